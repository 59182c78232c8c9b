"""The syntax tree walk shared by all languages; each language interprets its own nodes."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tree_sitter import Language, Node, Parser

from app.domain.flag import Kind
from app.integrity import signs
from app.integrity.facts import (
    TRIVIAL,
    Assertion,
    FileFacts,
    TestCode,
    TestMark,
)

_DEEP = 8
_CONDITION = 2_000
"""Limits on nested conditions and on the characters of each, since hostile code may have any
number."""


@dataclass(frozen=True)
class SyntaxContext:
    """The walk's position in the file."""

    names: tuple[str, ...] = ()
    test: TestCode | None = None
    guards: tuple[str, ...] = ()
    asserted: bool = False

    @property
    def owner(self) -> str:
        return self.test.name if self.test else ".".join(self.names)


class SyntaxReader(ABC):
    """Reads one language. One instance reads one file.

    `is_test`: the language's runner collects tests from this file.
    """

    comments: frozenset[str] = frozenset({"comment", "line_comment", "block_comment"})
    blocks: frozenset[str] = frozenset({"block", "statement_block"})
    endings: frozenset[str] = frozenset(
        {"return_statement", "raise_statement", "throw_statement", "return_expression"}
    )
    strings: frozenset[str] = frozenset({"string", "template_string"})
    calls: frozenset[str] = frozenset({"call", "call_expression"})
    conditions: frozenset[str] = frozenset({"if_statement", "conditional_expression"})

    def __init__(self, *, is_test: bool) -> None:
        self.is_test = is_test
        self.tests: dict[str, TestCode] = {}
        self.marks: list[TestMark] = []
        self.helpers: dict[str, tuple[str, int]] = {}

    @classmethod
    @abstractmethod
    def language(cls) -> Language: ...

    @abstractmethod
    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        """Return the place for the node's children; opens a test that begins here."""

    @abstractmethod
    def assertion(self, node: Node) -> Assertion | None:
        """The node's assertion, if it is one."""

    @abstractmethod
    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        """Marks specific to this language."""

    def guard(self, node: Node) -> str:
        """The condition under which the node's children run, if any."""
        if node.type in self.conditions:
            condition = node.child_by_field_name("condition")
            return tokens(condition, _CONDITION) if condition else "a condition"
        return ""

    def read(self, source: bytes) -> FileFacts:
        """Read a whole file. Never raises for its contents."""
        root = Parser(self.language()).parse(source).root_node
        stack: list[tuple[Node, SyntaxContext]] = [(root, SyntaxContext())]
        while stack:
            node, place = stack.pop()
            stack.extend(self._visit(node, place))
        return FileFacts(self.tests, tuple(self.marks), self.helpers, root.has_error)

    def _visit(self, node: Node, place: SyntaxContext) -> list[tuple[Node, SyntaxContext]]:
        """Read one node and return the nodes to visit next, in reverse order."""
        place = self.enter(node, place)
        self.marks.extend(self._marks(node, place))
        found = self.assertion(node) if place.test is not None and not place.asserted else None
        if found is not None and place.test is not None:
            place.test.assertions.append(replace(found, guards=place.guards))
            place = replace(place, asserted=True)
        if guard := self.guard(node):
            place = replace(place, guards=(*place.guards[-_DEEP:], guard))
        below: list[tuple[Node, SyntaxContext]] = []
        for child in self._alive(node):
            below.append((child, place))
            if node.type in self.blocks and (left := self._leaves_early(child)):
                place = replace(place, guards=(*place.guards[-_DEEP:], left))
        return below[::-1]

    def _leaves_early(self, node: Node) -> str:
        """The condition of an `if ...: return`, which guards everything after it."""
        if node.type == "expression_statement" and node.named_child_count:
            node = node.named_children[0]
        body = node.child_by_field_name("consequence") if node.type in self.conditions else None
        if body is None:
            return ""
        last = body
        for _ in range(_DEEP):
            if not last.named_child_count or last.type in self.endings:
                break
            last = last.named_children[-1]
        return self.guard(node) if last.type in self.endings else ""

    def _alive(self, node: Node) -> list[Node]:
        """The reachable children: those after a return in the same block are not."""
        children = node.named_children
        if node.type not in self.blocks:
            return children
        for at, child in enumerate(children):
            if child.type in self.endings or (
                child.type == "expression_statement"
                and child.named_child_count
                and child.named_children[0].type in self.endings
            ):
                # A trailing comment on the last line is the next node, but still applies.
                silent = (each for each in children[at + 1 :] if each.type in self.comments)
                return [*children[: at + 1], *silent]
        return children

    def _marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        yield from self.own_marks(node, place)
        if node.type in self.comments:
            yield from signs.in_comment(text(node), line(node))
        elif node.type in self.strings:
            yield from self._in_string(node, place)
        elif node.type in self.conditions:
            condition = node.child_by_field_name("condition") or node
            if condition is not node or node.named_child_count < 8:
                words = tokens(condition, _CONDITION)
                yield from signs.in_condition(words, line(node), place.owner, self.is_test)

    def _in_string(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        words = text(node)
        if signs.may_forge(words) and (name := self._written_by(node)):
            yield from signs.in_output(words, line(node), name, place.owner)

    def _written_by(self, node: Node) -> str:
        """The name of the printing or writing call that contains the node."""
        above = node.parent
        for _ in range(6):
            if above is None:
                return ""
            if above.type in self.calls:
                name = callee(above)
                if signs.writes(name):
                    return name
            above = above.parent
        return ""

    def mark(self, kind: Kind, node: Node, reason: str, owner: str = "") -> TestMark:
        return TestMark(kind, line(node), tokens(node, 400), reason, owner)

    def open_test(self, name: str, node: Node, body: Node, place: SyntaxContext) -> SyntaxContext:
        """Open a test. Of two with the same name the later one counts, as for runners."""
        whole = ".".join((*place.names, name))
        test = TestCode(whole, line(node), tokens(body), guards=place.guards)
        self.tests[whole] = test
        return replace(place, test=test, guards=(), asserted=False)

    def note_helper(self, name: str, node: Node, body: Node) -> None:
        """Record a function that is not a test: it may have been one."""
        if body.end_byte - body.start_byte < 20_000:
            self.helpers.setdefault(tokens(body), (name, line(node)))


def text(node: Node | None) -> str:
    return "" if node is None else (node.text or b"").decode("utf-8", "replace")


def line(node: Node) -> int:
    return node.start_point[0] + 1


def callee(node: Node) -> str:
    """The callee as written, without spaces."""
    names = ("function", "macro", "name")
    called = next(filter(None, (node.child_by_field_name(each) for each in names)), None)
    if called is None or called.end_byte - called.start_byte > 400:
        return ""
    return "".join(text(called).split())


_LEAVES = frozenset({"string", "string_literal", "interpreted_string_literal", "template_string"})
_TRAILING_COMMA = re.compile(r" , ([)\]}])")


def tokens(node: Node | None, limit: int = 1_000_000) -> str:
    """Normalize code: one space between tokens, no comments, one kind of quotes, no trailing
    commas."""
    if node is None:
        return ""
    words: list[str] = []
    stack = [node]
    size = 0
    while stack and size < limit:
        at = stack.pop()
        if at.type.endswith("comment"):
            continue
        if at.child_count and at.type not in _LEAVES:
            stack.extend(reversed(at.children))
            continue
        word = text(at)
        if at.type in _LEAVES and word.startswith('"') and "'" not in word:
            word = f"'{word[1:-1]}'" if word.endswith('"') else word
        if word.strip():
            words.append(word.strip())
            size += len(word)
    return _TRAILING_COMMA.sub(r" \1", " ".join(words))


def number(words: str) -> float | None:
    """A literal number, or None."""
    try:
        return float(words.replace(" ", "").replace("_", "").rstrip("fFdDlL"))
    except ValueError:
        return None


_LITERAL = re.compile(r"^(['\"`\[{]|-? ?\d|[rbfu]['\"]|(true|false|null|none|nil|vec !)\b)", re.I)


def is_literal(words: str) -> bool:
    return bool(_LITERAL.match(words))


def equality(at: int, whole: str, one: str, other: str, strength: int, message: str) -> Assertion:
    """An assertion comparing two values. The literal is the expected one, on either side."""
    if is_literal(one) and not is_literal(other):
        one, other = other, one
    nothing = one == other or (is_literal(one) and is_literal(other))
    return Assertion(at, whole, one, other, TRIVIAL if nothing else strength, message)
