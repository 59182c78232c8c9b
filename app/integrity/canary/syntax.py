"""Functions of a file, what of each changed, and where a statement can be put at their start.

Each language defines what its functions look like; see the other files of this package.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from tree_sitter import Language, Node, Parser

from app.integrity.reader import text


class Way(StrEnum):
    """What a changed function does instead of its work."""

    RAISE = "raise"
    """It ends with an error that no caller expects."""

    NEUTRAL = "neutral"
    """It returns a neutral value: None, undefined, zero."""


@dataclass(frozen=True)
class Function:
    """One function or method of a file.

    `key`: its name with those of what it is nested in, and a number where that is not unique.
    `header`: everything but its body. `words`: its own code without comments, documentation and
    the bodies of nested functions. Both are normalized token by token.
    """

    key: str
    line: int
    node: Node
    body: Node
    header: str
    words: str


@dataclass(frozen=True)
class Insertion:
    """Bytes to put at a byte offset."""

    at: int
    content: bytes


@dataclass(frozen=True)
class Unable:
    """Why a function cannot be given a statement at its start, or has no neutral value."""

    reason: str


@dataclass(frozen=True)
class Outline:
    """The contents of a file.

    `classes`: headers by class name. `pieces`: the other statements outside functions, by their
    text. `installed`: functions that the file puts in place of others.
    """

    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    pieces: Counter[str] = field(default_factory=Counter)
    installed: frozenset[str] = frozenset()
    broken: bool = False


class Dialect(ABC):
    """The functions of one language. One instance serves any number of files."""

    functions: frozenset[str] = frozenset()
    """Types of nodes that are functions; each has a `body`."""

    containers: frozenset[str] = frozenset()
    """Types of nodes whose `body` holds members, which are compared one by one."""

    wrappers: frozenset[str] = frozenset()
    """Types of nodes that only wrap a definition: decorators, `export`."""

    imports: re.Pattern[str] | None = None
    """Matches statements that import `names` from a `source`."""

    entry_points: frozenset[str] = frozenset()
    """Functions that run when a program starts. They count as code outside functions."""

    @abstractmethod
    def language(self) -> Language: ...

    @abstractmethod
    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable: ...

    def name(self, node: Node) -> str:
        return text(node.child_by_field_name("name")) or node.type

    def outer(self, node: Node) -> Node:
        """The whole definition of a function: with its decorators, or what it is assigned to."""
        above = node.parent
        while above is not None and above.type in self.wrappers:
            node, above = above, above.parent
        return node

    def documentation(self, body: Node) -> Node | None:
        """The statement that only documents the function."""
        return None

    def is_inert(self, piece: str) -> bool:
        """Whether a statement outside functions cannot make a test pass: an import, a version."""
        return False

    def is_harmless(self, header: str) -> bool:
        """Whether a new function is reached only by being called, as far as its header tells."""
        return True

    def exempt(self, function: Function) -> str:
        """Why a changed function keeps its code: it is not what the tests are about."""
        return ""

    def rebound(self, before: Counter[str], after: Counter[str]) -> str:
        """A name that both sides import, but from different places; or nothing."""
        old, new = self._imported(before), self._imported(after)
        return next((name for name in new if old.get(name, new[name]) != new[name]), "")

    def _imported(self, pieces: Counter[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for piece in pieces:
            statement = self.imports.match(piece) if self.imports else None
            if statement:
                names = statement["names"].strip("(){} ").split(",")
                found.update(
                    (each.split()[-1], statement["source"]) for each in names if each.split()
                )
        return found

    def is_passed_over(self, node: Node) -> bool:
        """Whether a statement outside functions is part of something else, or of the tests."""
        return False

    def installed(self, root: Node) -> frozenset[str]:
        """Names of functions that the file puts in place of others. They keep their code."""
        return frozenset()

    def outline(self, source: bytes) -> Outline:
        """Read a file. Never raises for its contents."""
        root = Parser(self.language()).parse(source).root_node
        found: dict[str, Function] = {}
        stack: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
        while stack:
            node, names = stack.pop()
            body = node.child_by_field_name("body")
            if body is not None and node.type in self.functions:
                function = self._function(node, body, names, found)
                found[function.key] = function
                names = (*names, self.name(node))
            elif body is not None and node.type in self.containers:
                names = (*names, self.name(node))
            stack.extend((child, names) for child in reversed(node.named_children))
        classes: dict[str, str] = {}
        pieces = Counter(self._pieces(root, classes))
        return Outline(found, classes, pieces, self.installed(root), root.has_error)

    def _function(
        self, node: Node, body: Node, names: tuple[str, ...], found: dict[str, Function]
    ) -> Function:
        plain = ".".join((*names, self.name(node)))
        key, number = plain, 1
        while key in found:
            number += 1
            key = f"{plain} ({number})"
        header = self.words(self.outer(node), but=body)
        words = self.words(body, but=self.documentation(body))
        return Function(key, node.start_point[0] + 1, node, body, header, words)

    def words(self, node: Node, but: Node | None = None) -> str:
        """Code token by token, without comments, bodies of functions inside it and `but`."""
        words: list[str] = []
        stack = [node]
        while stack:
            at = stack.pop()
            if at.type.endswith("comment") or (but is not None and at.id == but.id):
                continue
            if at.type in self.functions and at.id != node.id:
                body = at.child_by_field_name("body")
                if body is not None:
                    stack.extend(each for each in reversed(at.children) if each.id != body.id)
                    continue
            if at.child_count:
                stack.extend(reversed(at.children))
            elif word := text(at).strip():
                words.append(word)
        return " ".join(words)

    def _pieces(self, root: Node, classes: dict[str, str]) -> Iterator[str]:
        stack: list[tuple[Node, tuple[str, ...]]] = [(root, ())]
        while stack:
            node, names = stack.pop()
            for child in node.named_children:
                inner = self._unwrapped(child)
                body = inner.child_by_field_name("body")
                if child.type.endswith("comment") or self.is_passed_over(child):
                    continue
                if body is not None and inner.type in self.functions:
                    continue
                if body is not None and inner.type in self.containers:
                    within = (*names, self.name(inner))
                    classes[".".join(within)] = self.words(child, but=body)
                    stack.append((body, within))
                elif words := self.words(child):
                    yield words

    def _unwrapped(self, node: Node) -> Node:
        """The definition inside decorators and exports."""
        while node.type in self.wrappers:
            inner = next(
                (
                    each
                    for each in reversed(node.named_children)
                    if each.type in self.functions | self.containers | self.wrappers
                ),
                None,
            )
            if inner is None:
                return node
            node = inner
        return node


def parses(dialect: Dialect, source: bytes) -> bool:
    return not Parser(dialect.language()).parse(source).root_node.has_error


def apply(source: bytes, edits: list[Insertion]) -> bytes:
    """The source with all edits made. Of two at the same offset, the first comes first."""
    parts: list[bytes] = []
    at = 0
    for edit in sorted(edits, key=lambda each: each.at):
        parts += [source[at : edit.at], edit.content]
        at = edit.at
    return b"".join([*parts, source[at:]])


def after_brace(function: Function, statement: str) -> list[Insertion]:
    """Put a statement after the `{` that opens the body."""
    return [Insertion(function.body.start_byte + 1, f" {statement} ".encode())]
