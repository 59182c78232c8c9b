"""Go: the testing package, testify."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter_go
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
    callee,
    equality,
    is_literal,
    line,
    number,
    text,
    tokens,
)

# https://pkg.go.dev/testing: `Test` is not followed by a lowercase letter.
_TEST = re.compile(r"(?:Test|Example|Fuzz)(?![a-z])\w*")
_FAILS = re.compile(r"\b\w+ \. (?:Error|Errorf|Fatal|Fatalf|Fail|FailNow) \(")
_SKIPS = re.compile(r"\w+\.(?:Skip|Skipf|SkipNow)")
_TESTIFY = re.compile(r"(?:assert|require|s|suite|is|r|a)\.([A-Z]\w*)")
_CONSTRAINT = re.compile(r"//\s*(?:go:build|\+build)\b")
_NUMBER = re.compile(r"[<>]=? (\d[\d.e-]*)")
_STRENGTHS: dict[str, int] = {
    **dict.fromkeys(["True", "NotNil", "NotEmpty", "IsType", "NotPanics", "Error"], LOOSE),
    **dict.fromkeys(["Contains", "NotEqual", "Greater", "Less", "GreaterOrEqual"], PARTIAL),
    **dict.fromkeys(["LessOrEqual", "Subset", "Regexp", "Len", "ElementsMatch", "False"], PARTIAL),
    **dict.fromkeys(["InDelta", "InEpsilon", "ErrorContains", "ErrorIs", "WithinDuration"], CLOSE),
}
_ONE_VALUE = frozenset(
    {"True", "False", "Nil", "NotNil", "NoError", "Error", "Empty", "NotEmpty", "Zero", "NotZero"}
)


@cache
def _language() -> Language:
    return Language(tree_sitter_go.language())


class GoReader(SyntaxReader):
    """See `SyntaxReader`."""

    blocks = frozenset({"statement_list"})
    strings = frozenset({"interpreted_string_literal", "raw_string_literal"})
    conditions = frozenset({"if_statement"})

    @classmethod
    def language(cls) -> Language:
        return _language()

    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        if node.type not in ("function_declaration", "method_declaration"):
            return place
        body = node.child_by_field_name("body")
        if body is None:
            return place
        name = text(node.child_by_field_name("name"))
        parameters = tokens(node.child_by_field_name("parameters"))
        suite = node.type == "method_declaration" and name.startswith("Test")
        plain = _TEST.fullmatch(name) and ("testing ." in parameters or name.startswith("Ex"))
        if not self.is_test or not (suite or plain) or "testing . M" in parameters:
            self.note_helper(name, node, body)
            return place
        opened = self.open_test(name, node, body, place)
        if opened.test is not None:
            opened.test.rows = _rows(body)
        return opened

    def guard(self, node: Node) -> str:
        return "" if _checks(node) else super().guard(node)

    def assertion(self, node: Node) -> Assertion | None:
        if node.type == "if_statement" and _checks(node):
            return _condition(node)
        if node.type == "call_expression":
            return _testify(node)
        return None

    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        owner = place.owner
        if node.type == "function_declaration" and self.is_test:
            name = text(node.child_by_field_name("name"))
            body = tokens(node.child_by_field_name("body"), 4000)
            if name == "TestMain" and ". Run (" not in body:
                reason = "`TestMain` runs no tests."
                yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)
            elif name == "TestMain" and "os . Exit" in body and "os . Exit ( 0 )" not in body:
                return
            elif name == "TestMain":
                reason = "`TestMain` decides what is run and how it ends."
                yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)
            elif name == "init":
                yield from self._init(node, body)
        if node.type == "call_expression":
            yield from self._called(node, owner)
        if node.type == "comment" and self.is_test and _CONSTRAINT.match(text(node)):
            reason = "A build constraint controls whether these tests are built."
            yield TestMark(Kind.SKIPPED, line(node), text(node), reason)

    def _init(self, node: Node, body: str) -> Iterator[TestMark]:
        if "os . Exit" in body or "flag . Set" in body:
            reason = "`init` changes how the tests are run or how they end."
            yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)

    def _called(self, node: Node, owner: str) -> Iterator[TestMark]:
        name = callee(node)
        if self.is_test and _SKIPS.fullmatch(name):
            yield self.mark(Kind.SKIPPED, node, f"`{owner}` is skipped.", owner)
        elif self.is_test and name == "os.Exit":
            if tokens(node.child_by_field_name("arguments")) == "( 0 )":
                reason = "`os.Exit(0)` ends the run as a success."
                yield self.mark(Kind.EXIT_CODE, node, reason, owner)
        elif (self.is_test and name.endswith(".Start") and "exec" in tokens(node, 400)) or name in (
            "syscall.ForkExec",
            "syscall.Setsid",
            "os.StartProcess",
        ):
            reason = f"`{name}` starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, owner)


def _checks(node: Node) -> bool:
    """`if ... { t.Errorf(...) }` is how Go asserts."""
    body = node.child_by_field_name("consequence")
    return (
        node.type == "if_statement"
        and body is not None
        and bool(_FAILS.search(tokens(body, 2000)))
        and "t . Run (" not in tokens(body, 2000)
    )


def _condition(node: Node) -> Assertion:
    condition = node.child_by_field_name("condition")
    initial = tokens(node.child_by_field_name("initializer"))
    words = tokens(condition)
    message = tokens(node.child_by_field_name("consequence"), 2000)
    whole = f"{initial} ; {words}".strip(" ;")
    at = line(node)
    if condition is None or condition.type != "binary_expression":
        nothing = words in ("false", "true")
        return Assertion(at, whole, words, "", TRIVIAL if nothing else PARTIAL, message)
    left = tokens(condition.child_by_field_name("left"))
    right = tokens(condition.child_by_field_name("right"))
    sign = text(condition.child_by_field_name("operator"))
    if sign in ("&&", "||"):
        nothing = sign == "&&" and "false" in words.split()
        return Assertion(at, whole, words, "", TRIVIAL if nothing else EXACT, message)
    strength = EXACT if sign == "!=" else PARTIAL
    if sign in ("==", "!=") and "nil" in (left, right):
        strength = LOOSE if sign == "==" else EXACT
    got = f"{initial} {left}".strip() if not is_literal(left) else left
    found = equality(at, whole, got, right, strength, message)
    near = _NUMBER.search(words) if "Abs" in words else None
    if near:
        return replace(found, strength=CLOSE, expected="", tolerance=number(near.group(1)))
    return found


def _testify(node: Node) -> Assertion | None:
    found = _TESTIFY.fullmatch(callee(node))
    if not found:
        return None
    name = found.group(1).removesuffix("f")
    given = node.child_by_field_name("arguments")
    words = [tokens(each) for each in (given.named_children if given is not None else [])]
    if words and words[0] in ("t", "s . T ( )", "tt", "b"):
        words = words[1:]
    at = line(node)
    strength = _STRENGTHS.get(name, EXACT)
    if name in _ONE_VALUE or len(words) < 2:
        subject = words[0] if words else ""
        nothing = name == "True" and subject == "true"
        message = " ".join(words[1:])
        whole = f"{name} ( {subject} )"
        return Assertion(at, whole, subject, "", TRIVIAL if nothing else strength, message)
    expected, got = words[0], words[1]
    delta = number(words[2]) if name in ("InDelta", "InEpsilon") and len(words) > 2 else None
    message = " ".join(words[3 if delta is not None else 2 :])
    whole = f"{name} ( {expected} , {got} , {delta} )"
    return replace(equality(at, whole, got, expected, strength, message), tolerance=delta)


def _rows(body: Node) -> tuple[str, ...]:
    """The rows of tables: slice and map literals whose elements are literals."""
    rows: list[str] = []
    stack = [body]
    while stack:
        node = stack.pop()
        if node.type == "composite_literal":
            kind = node.child_by_field_name("type")
            if kind is not None and kind.type in ("slice_type", "map_type", "array_type"):
                value = node.child_by_field_name("body")
                items = value.named_children if value is not None else []
                rows += [tokens(each) for each in items if "{" in text(each)[:200]]
                continue
        stack.extend(node.named_children)
    return tuple(rows)
