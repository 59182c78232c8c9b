"""Java: JUnit 4 and 5, TestNG, AssertJ, Hamcrest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter_java
from tree_sitter import Language, Node

from app.domain.flag import Kind
from app.integrity.facts import (
    CLOSE,
    EXACT,
    LOOSE,
    PARTIAL,
    TRIVIAL,
    Assertion,
    TestMark,
)
from app.integrity.reader import (
    SyntaxContext,
    SyntaxReader,
    equality,
    is_literal,
    line,
    number,
    text,
    tokens,
)

_TESTS = frozenset(
    {"Test", "ParameterizedTest", "RepeatedTest", "TestFactory", "TestTemplate", "Property"}
)
_SKIPS = re.compile(r"Disabled\w*|Ignore|Enabled(?:If|On|For)\w*")
_RETRIES = re.compile(r"Retry\w*|RetryingTest|RerunFailing\w*|Flaky\w*")
_ROWS = frozenset({"ValueSource", "CsvSource"})
_STRENGTHS: dict[str, int] = {
    **dict.fromkeys(["assertTrue", "assertNotNull", "assertInstanceOf"], LOOSE),
    **dict.fromkeys(["assertNotEquals", "assertFalse", "assertNotSame", "assertAll"], PARTIAL),
    **dict.fromkeys(["assertThrows", "assertThrowsExactly", "assertDoesNotThrow"], CLOSE),
    **dict.fromkeys(["isNotNull", "isNotEmpty", "isInstanceOf", "isTrue", "exists"], LOOSE),
    **dict.fromkeys(["isNotEqualTo", "contains", "startsWith", "endsWith", "hasSize"], PARTIAL),
    **dict.fromkeys(["isGreaterThan", "isLessThan", "isBetween", "isPositive"], PARTIAL),
    **dict.fromkeys(["isCloseTo"], CLOSE),
}
_ONE_VALUE = frozenset({"assertTrue", "assertFalse", "assertNull", "assertNotNull"})


@cache
def _language() -> Language:
    return Language(tree_sitter_java.language())


class JavaReader(SyntaxReader):
    """See `SyntaxReader`."""

    strings = frozenset({"string_literal"})
    calls = frozenset({"method_invocation"})
    conditions = frozenset({"if_statement", "ternary_expression"})

    @classmethod
    def language(cls) -> Language:
        return _language()

    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        name = text(node.child_by_field_name("name"))
        if node.type in ("class_declaration", "record_declaration"):
            inner = replace(place, names=(*place.names, name))
            self._about(node, inner)
            return inner
        body = node.child_by_field_name("body")
        if node.type != "method_declaration" or body is None or place.test is not None:
            return place
        names = {_annotation(each) for each in _annotations(node)}
        old = name.startswith("test") and place.names and place.names[-1].endswith("Test")
        if not self.is_test or not (names & _TESTS or (old and "extends" in _header(node))):
            self.note_helper(name, node, body)
            return place
        opened = self.open_test(name, node, body, place)
        if opened.test is not None:
            opened.test.rows = _rows(node)
        self._about(node, opened)
        return opened

    def _about(self, node: Node, place: SyntaxContext) -> None:
        """Marks from the annotations of a test or its class."""
        if not self.is_test:
            return
        for each in _annotations(node):
            name, words = _annotation(each), tokens(each, 400)
            if _SKIPS.fullmatch(name) or "enabled = false" in words:
                found = self.mark(Kind.SKIPPED, each, f"`{place.owner}` is skipped.", place.owner)
                self.marks.append(found)
            elif _RETRIES.fullmatch(name):
                reason = f"`{place.owner}` is retried when it fails."
                self.marks.append(self.mark(Kind.RETRY, each, reason, place.owner))
            elif name == "Test" and re.search(r"\bexpected(?:Exceptions)? =", words):
                reason = f"`{place.owner}` is expected to fail."
                self.marks.append(self.mark(Kind.EXPECTED_TO_FAIL, each, reason, place.owner))

    def guard(self, node: Node) -> str:
        if node.type == "try_statement" and any(
            child.type == "catch_clause" and "throw" not in tokens(child, 4000).split()
            for child in node.named_children
        ):
            return "a try that swallows the failure"
        return super().guard(node)

    def assertion(self, node: Node) -> Assertion | None:
        if node.type != "method_invocation":
            return None
        name = text(node.child_by_field_name("name"))
        inner = _asserted(node)
        if inner is not None:
            return _fluent(node, name, inner)
        if name.startswith("assert") or name in ("fail", "verify"):
            return _classic(node, name)
        return None

    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        if node.type in ("annotation", "marker_annotation"):
            if _annotation(node) == "SuppressWarnings":
                reason = "This annotation suppresses compiler or linter warnings."
                yield self.mark(Kind.LINT_DISABLED, node, reason)
        elif node.type == "method_invocation":
            yield from self._called(node, place)
        elif node.type == "method_declaration":
            body = tokens(node.child_by_field_name("body"), 200)
            if text(node.child_by_field_name("name")) == "equals" and body == "{ return true ; }":
                reason = "`equals` returns the same value for every comparison."
                yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)

    def _called(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        name = text(node.child_by_field_name("name"))
        on = tokens(node.child_by_field_name("object"), 200).replace(" ", "")
        owner = place.owner
        if name.startswith(("assumeTrue", "assumeFalse", "assumeThat", "assumingThat", "abort")):
            if self.is_test and (on in ("", "Assumptions", "Assume")):
                reason = f"`{owner}` is skipped where this does not hold."
                yield self.mark(Kind.SKIPPED, node, reason, owner)
        elif name in ("exit", "halt") and self.is_test and on in ("System", "Runtime.getRuntime()"):
            if tokens(node.child_by_field_name("arguments")) == "( 0 )":
                reason = f"`{on}.{name}(0)` ends the run as a success."
                yield self.mark(Kind.EXIT_CODE, node, reason, owner)
        elif self.is_test and (("ProcessBuilder" in on and name == "start") or name == "exec"):
            reason = "This starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, owner)


def _annotations(node: Node) -> list[Node]:
    for child in node.children:
        if child.type == "modifiers":
            return [each for each in child.named_children if each.type.endswith("annotation")]
    return []


def _annotation(node: Node) -> str:
    return text(node.child_by_field_name("name")).rpartition(".")[2]


def _header(node: Node) -> str:
    """The declaration of the method's class, without its body."""
    above = node.parent
    while above is not None and above.type != "class_declaration":
        above = above.parent
    return "" if above is None else tokens(above, 400).partition("{")[0]


def _rows(node: Node) -> tuple[str, ...]:
    rows: list[str] = []
    for each in _annotations(node):
        if _annotation(each) in _ROWS:
            stack = list(each.named_children)
            while stack:
                inner = stack.pop()
                if inner.type == "element_value_array_initializer":
                    rows += [tokens(one) for one in inner.named_children]
                else:
                    stack.extend(inner.named_children)
    return tuple(rows)


def _arguments(node: Node) -> list[str]:
    given = node.child_by_field_name("arguments")
    return [tokens(each) for each in (given.named_children if given is not None else [])]


def _asserted(node: Node) -> Node | None:
    """The `assertThat(x)` at the start of a call chain, unless it is the call itself."""
    at = node.child_by_field_name("object")
    while at is not None and at.type == "method_invocation":
        if text(at.child_by_field_name("name")) in ("assertThat", "assertThatThrownBy", "then"):
            return at
        at = at.child_by_field_name("object")
    return None


def _fluent(node: Node, name: str, inner: Node) -> Assertion:
    subject = " ".join(_arguments(inner))
    expected = " , ".join(_arguments(node))
    strength = _STRENGTHS.get(name, EXACT)
    whole = f"assertThat ( {subject} ) . {name} ( {expected} )"
    near = re.search(r"(?:offset|within|withPercentage) \( ([\d.]+)", expected)
    tolerance = number(near.group(1)) if near else None
    if is_literal(subject) and strength == LOOSE:
        strength = TRIVIAL
    if tolerance is not None:
        expected = expected.partition(" , ")[0]
    return Assertion(line(node), whole, subject, expected or name, strength, "", tolerance)


def _classic(node: Node, name: str) -> Assertion:
    words = _arguments(node)
    at = line(node)
    strength = _STRENGTHS.get(name, EXACT)
    if name == "assertThrows":
        broad = bool(words) and words[0].startswith(("Exception .", "Throwable .", "RuntimeEx"))
        subject = " ".join(words[1:2])
        return Assertion(at, tokens(node), subject, " ".join(words[:1]), LOOSE if broad else CLOSE)
    if name in _ONE_VALUE or len(words) < 2:
        values = [each for each in words if not each.startswith("'")] or words
        subject = values[0] if values else ""
        nothing = subject in ("true", "false")
        message = " ".join(each for each in words if each != subject)
        whole = f"{name} ( {subject} )"
        return Assertion(at, whole, subject, "", TRIVIAL if nothing else strength, message)
    if len(words) > 2 and words[0].startswith("'") and number(words[2]) is None:
        words = [*words[1:], words[0]]  # JUnit 4 puts the message first
    delta = number(words[2]) if len(words) > 2 else None
    message = "" if delta is not None else " ".join(words[2:])
    whole = f"{name} ( {words[0]} , {words[1]} , {delta} )"
    found = equality(at, whole, words[1], words[0], strength, message)
    if name == "assertEquals" and delta is not None:
        return replace(found, strength=CLOSE, tolerance=delta)
    return found
