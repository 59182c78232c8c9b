"""JavaScript and TypeScript: Jest, Vitest, Mocha, node:test, chai and node:assert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter_javascript
import tree_sitter_typescript
from tree_sitter import Language, Node

from app.domain.flag import Kind
from app.integrity.facts import (
    CLOSE,
    EVERYTHING,
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

_TEST = re.compile(r"(?:x|f)?(?:it|test|specify)\b|Deno\.test\b|bench\b")
_GROUP = re.compile(r"(?:x|f)?(?:describe|context|suite)\b")
_SKIP = re.compile(r"x(?:it|test|describe|context|specify)\b|.*\.(?:skip|skipIf|todo|runIf)\b")
_ONLY = re.compile(r"f(?:it|describe)\b|.*\.only\b")
_FAILING = re.compile(r".*\.(?:failing|fails)\b")
_FUNCTIONS = frozenset({"arrow_function", "function_expression", "function"})
_OPTION = re.compile(r"\b(skip|todo|retry|retries|fails) : (?!false|0\b|undefined)")
_RETRIES = re.compile(r"(?:jest\.retryTimes|.*\.retries)$")
_SKIPS = re.compile(r"(?:this|t|ctx|context)\.(?:skip|todo)$")
_SPAWNS = re.compile(r"(?:\w+\.)?(?:spawn|fork)$")
_FRAMEWORK = re.compile(
    r"(?:global|globalThis|window)\.(?:expect|it|test|describe|assert)\b|expect\.\w+$|assert\.\w+$"
    r"|process\.(?:exit|exitCode|reallyExit)\b|Object\.is$|jest\.\w+$"
)

_MATCHERS: dict[str, int] = {
    **dict.fromkeys(["toBeTruthy", "toBeDefined", "toBeInstanceOf", "exist", "ok"], LOOSE),
    **dict.fromkeys(["toHaveBeenCalled", "toBeFalsy", "called", "instanceof", "instanceOf"], LOOSE),
    **dict.fromkeys(
        ["toContain", "toMatch", "toMatchObject", "toHaveProperty", "include"], PARTIAL
    ),
    **dict.fromkeys(["toBeGreaterThan", "toBeGreaterThanOrEqual", "toBeLessThan"], PARTIAL),
    **dict.fromkeys(["toBeLessThanOrEqual", "above", "below", "least", "most", "contain"], PARTIAL),
    **dict.fromkeys(
        ["match", "property", "a", "an", "toContainEqual", "stringContaining"], PARTIAL
    ),
    **dict.fromkeys(["toThrow", "toThrowError", "throw", "throws", "rejectedWith"], CLOSE),
    **dict.fromkeys(["toBeCloseTo", "closeTo", "approximately"], CLOSE),
}
_ASSERTS: dict[str, int] = {
    **dict.fromkeys(["assert", "ok", "isOk", "isTrue", "isDefined", "exists", "isObject"], LOOSE),
    **dict.fromkeys(["match", "include", "notEqual", "notStrictEqual", "isAbove"], PARTIAL),
    **dict.fromkeys(["throws", "rejects", "doesNotThrow", "closeTo"], CLOSE),
}
_FIRST_ARGUMENT = re.compile(r"toHaveBeenCalled$|toBeTruthy|toBeFalsy|toBeDefined|toBeNull")
_DIGITS = 2  # `toBeCloseTo`'s default precision


@cache
def _javascript() -> Language:
    return Language(tree_sitter_javascript.language())


@cache
def _typescript() -> Language:
    return Language(tree_sitter_typescript.language_typescript())


@cache
def _tsx() -> Language:
    return Language(tree_sitter_typescript.language_tsx())


class JavaScriptReader(SyntaxReader):
    """See `SyntaxReader`."""

    conditions = frozenset({"if_statement", "ternary_expression"})

    @classmethod
    def language(cls) -> Language:
        return _javascript()

    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        if node.type in ("function_declaration", "variable_declarator") and place.test is None:
            self._note(node)
            return place
        if node.type != "call_expression" or place.test is not None or not self.is_test:
            return place
        name = _name(node)
        is_test = _TEST.match(name)
        if not is_test and not _GROUP.match(name):
            return place
        places = _arguments(node)
        title = _title(places)
        body = next((each for each in reversed(places) if each.type in _FUNCTIONS), None)
        if body is None or not title:
            return place
        if not is_test:
            return replace(place, names=(*place.names, title))
        opened = self.open_test(title, node, body.child_by_field_name("body") or body, place)
        if opened.test is not None:
            opened.test.rows = _rows(node)
        return opened

    def _note(self, node: Node) -> None:
        value = node.child_by_field_name("value") or node
        body = (
            value.child_by_field_name("body") if value.type in _FUNCTIONS or value is node else None
        )
        if body is not None:
            self.note_helper(text(node.child_by_field_name("name")), node, body)

    def guard(self, node: Node) -> str:
        if node.type == "try_statement":
            handler = node.child_by_field_name("handler")
            if handler is not None and "throw" not in tokens(handler, 4000).split():
                return "a try that swallows the failure"
        return super().guard(node)

    def assertion(self, node: Node) -> Assertion | None:
        if node.type not in ("call_expression", "member_expression"):
            return None
        chain, called, last = _chain(node)
        if called is not None and callee(called) == "expect":
            return _expect(node, chain, called, last)
        if node.type == "call_expression":
            return _assert(node)
        return None

    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        if node.type == "call_expression":
            yield from self._called(node, place)
        elif node.type == "assignment_expression":
            left = tokens(node.child_by_field_name("left"), 200).replace(" ", "")
            right = tokens(node.child_by_field_name("right"), 200)
            if left == "process.exitCode" and right in ("0", "undefined"):
                yield self.mark(Kind.EXIT_CODE, node, "The exit code is set to success.")
            elif _FRAMEWORK.match(left):
                reason = f"`{left}` is replaced, but belongs to the test framework."
                yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason, place.owner)

    def _called(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        name = _name(node)
        words = f"`{_title(_arguments(node)) or place.owner or 'a part of this file'}`"
        owner = place.owner
        if self.is_test and (_TEST.match(name) or _GROUP.match(name)):
            yield from self._declared(node, name, words, owner)
        elif self.is_test and _SKIPS.match(name):
            yield self.mark(Kind.SKIPPED, node, f"`{owner}` is skipped.", owner)
        elif _RETRIES.match(name):
            yield self.mark(Kind.RETRY, node, f"`{name}` retries failing tests.", owner)
        elif name == "process.exit" and self.is_test:
            if tokens(node.child_by_field_name("arguments")) in ("( )", "( 0 )"):
                reason = "`process.exit` ends the run as a success."
                yield self.mark(Kind.EXIT_CODE, node, reason, owner)
        elif _SPAWNS.match(name) and "detached : true" in tokens(node, 2000):
            reason = f"`{name}` starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, owner)
        elif self.is_test and name == "process.on" and "exit" in tokens(node, 200):
            reason = "The handling of process exit is changed."
            yield self.mark(Kind.EXIT_CODE, node, reason, owner)

    def _declared(self, node: Node, name: str, words: str, owner: str) -> Iterator[TestMark]:
        options = [each for each in _arguments(node) if each.type == "object"]
        found = next(filter(None, (_OPTION.search(tokens(each)) for each in options)), None)
        option = found.group(1) if found else ""
        callback = any(each.type in _FUNCTIONS for each in _arguments(node))
        if _SKIP.match(name) or option in ("skip", "todo"):
            yield self.mark(Kind.SKIPPED, _head(node), f"{words} is skipped.", owner)
        elif _ONLY.match(name):
            reason = f"Only {words} runs; all other tests in the file are skipped."
            yield self.mark(Kind.SKIPPED, _head(node), reason, EVERYTHING)
        elif _FAILING.match(name) or option == "fails":
            reason = f"{words} is expected to fail."
            yield self.mark(Kind.EXPECTED_TO_FAIL, _head(node), reason, owner)
        elif option in ("retry", "retries"):
            yield self.mark(Kind.RETRY, _head(node), f"{words} is retried when it fails.", owner)
        elif not callback and len(_arguments(node)) == 1 and _TEST.match(name):
            yield self.mark(Kind.SKIPPED, _head(node), f"{words} has no code.", owner)


class TypeScriptReader(JavaScriptReader):
    """See `SyntaxReader`."""

    @classmethod
    def language(cls) -> Language:
        return _typescript()


class TsxReader(JavaScriptReader):
    """See `SyntaxReader`."""

    @classmethod
    def language(cls) -> Language:
        return _tsx()


def _name(node: Node) -> str:
    """The name of the called function, looking through `each(...)` and template tags."""
    called = node.child_by_field_name("function")
    while called is not None and called.type == "call_expression":
        called = called.child_by_field_name("function")
    return "" if called is None else tokens(called, 200).replace(" ", "")


def _head(node: Node) -> Node:
    return node.child_by_field_name("function") or node


def _arguments(node: Node) -> list[Node]:
    given = node.child_by_field_name("arguments")
    if given is None or given.type != "arguments":
        return []
    return [child for child in given.named_children if child.type != "comment"]


def _title(places: list[Node]) -> str:
    if not places or places[0].type not in ("string", "template_string"):
        return ""
    return text(places[0])[1:-1][:200]


def _rows(node: Node) -> tuple[str, ...]:
    """The cases of `each([...])`."""
    inner = node.child_by_field_name("function")
    if inner is None or inner.type != "call_expression" or not _name(inner).endswith("each"):
        return ()
    table = next(iter(_arguments(inner)), None)
    if table is None or table.type != "array":
        return ()
    return tuple(tokens(each) for each in table.named_children if each.type != "comment")


def _chain(node: Node) -> tuple[list[str], Node | None, Node | None]:
    """`expect(x).not.toBe(y)`: the names after the first call, that call, and the last call."""
    names: list[str] = []
    last = node if node.type == "call_expression" else None
    at: Node | None = node
    while at is not None:
        if at.type == "call_expression":
            called = at.child_by_field_name("function")
            if called is None or called.type != "member_expression":
                return names[::-1], at, last if last is not at else None
            at = called
        elif at.type == "member_expression":
            names.append(text(at.child_by_field_name("property")))
            at = at.child_by_field_name("object")
        else:
            return names[::-1], None, None
    return names[::-1], None, None


def _expect(node: Node, chain: list[str], called: Node, last: Node | None) -> Assertion | None:
    places = _arguments(called)
    subject = tokens(places[0]) if places else ""
    message = tokens(places[1]) if len(places) > 1 else ""
    at = line(node)
    if not chain:
        return Assertion(at, f"expect {subject}", subject, "", TRIVIAL, message)
    matcher = chain[-1]
    given = _arguments(last) if last is not None else []
    if matcher.endswith("nlineSnapshot"):
        given = given[-1:]
    expected = tokens(given[0]) if given else ""
    strength = _MATCHERS.get(matcher, EXACT)
    negated = "not" in chain[:-1]
    if matcher in ("toThrow", "toThrowError", "throw") and not given:
        strength = LOOSE
    if negated:
        strength = LOOSE if strength >= PARTIAL else PARTIAL
    tolerance = None
    if matcher == "toBeCloseTo":
        digits = number(tokens(given[1])) if len(given) > 1 else _DIGITS
        tolerance = 10 ** -(digits if digits is not None else _DIGITS)
    elif matcher in ("closeTo", "approximately") and len(given) > 1:
        tolerance = number(tokens(given[1]))
    elif len(given) > 1 and not message:
        message = tokens(given[1]) if matcher in ("equal", "equals", "eql") else ""
    if is_literal(subject) and (not given or is_literal(expected) or expected == subject):
        strength = TRIVIAL
    near = str(tolerance) if tolerance is not None else ""
    whole = f"expect ( {subject} ) {' . '.join(chain)} ( {expected} {near} )"
    label = f"{'not ' if negated else ''}{subject}"
    wanted = expected or ("" if _FIRST_ARGUMENT.match(matcher) else matcher)
    return Assertion(at, whole, label, wanted, strength, message, tolerance)


def _assert(node: Node) -> Assertion | None:
    name = callee(node)
    first, _, last = name.rpartition(".")
    if name != "assert" and not re.fullmatch(r"(?:\w+\.)*assert(?:\.strict)?|t|should", first):
        return None
    if first == "t" and not re.match(
        r"(?:is|deepEqual|true|false|truthy|equal|same|ok|not|throws|regex|like)", last
    ):
        return None
    words = [tokens(each) for each in _arguments(node)]
    if len(words) >= 2 and last not in (
        "ok",
        "isOk",
        "isTrue",
        "true",
        "throws",
        "rejects",
        "assert",
    ):
        message = words[2] if len(words) > 2 and last != "closeTo" else ""
        strength = _ASSERTS.get(last, EXACT)
        plain = f"{name} ( {words[0]} , {words[1]} )"
        found = equality(line(node), plain, words[0], words[1], strength, message)
        if last in ("closeTo", "approximately") and len(words) > 2:
            return replace(found, text=f"{plain} {words[2]}", tolerance=number(words[2]))
        return found
    subject = words[0] if words else ""
    if last in ("throws", "rejects"):
        expected = words[1] if len(words) > 1 else ""
        return Assertion(line(node), tokens(node), last, expected, CLOSE if expected else LOOSE)
    exact = " === " in subject or " == " in subject
    strength = TRIVIAL if is_literal(subject) else EXACT if exact else _ASSERTS.get(last, LOOSE)
    message = words[1] if len(words) > 1 else ""
    return Assertion(line(node), f"{name} ( {subject} )", subject, "", strength, message)
