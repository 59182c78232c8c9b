"""Rust: the items that are only built for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tree_sitter import Node, Parser

from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter
from app.integrity.reader import text, tokens
from app.integrity.rust import RustReader

_TEST = re.compile(
    r"# \[ (?:cfg \( (?:test \)|all \( (?:[^()]*, )?test (?=[,)]))"
    r"|(?:\w+ :: )*(?:test|rstest|test_case|bench|quickcheck|wasm_bindgen_test)\b)"
)
_ABOUT_TESTS = re.compile(r"# \[ cfg \(.*\btest\b")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"")
_CONTAINERS = {"source_file", "mod_item", "impl_item", "trait_item"}
_ATTRIBUTES = {"attribute_item"}
_COMMENTS = {"line_comment", "block_comment"}
_MAX_DEPTH = 40

Container = tuple[str, ...]


@dataclass(frozen=True)
class _Item:
    """An item that is only built for tests, with its attributes and comments.

    `name` is empty for items without one. `code` is normalized.
    """

    container: Container
    start: int
    end: int
    name: str
    code: str


class RustTests(Splitter):
    """Items under `#[cfg(test)]` and functions with `#[test]`, wherever items can be.

    Code that is built differently for tests (`#[cfg(not(test))]`) belongs to both sides, so a file
    with such code cannot be split.
    """

    def parts(self, content: bytes) -> Parts | None:
        found = _read(content)
        if found is None:
            return None
        items, _ = found
        source = _source(content, items)
        # Their order matters only within a container.
        rest = sorted(((each.container, each.code) for each in items), key=lambda each: each[0])
        return Parts(tokens(_root(source)), rest)

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own, other = _read(source), _read(rest)
        if own is None or other is None:
            return None
        made = _source(source, own[0])
        found = _read(made)
        if found is None:
            return None
        ends = found[1]
        placed: dict[int, list[bytes]] = {}
        for item in other[0]:
            if item.container not in ends:
                return None
            placed.setdefault(ends[item.container], []).append(rest[item.start : item.end])
        for end in sorted(placed, reverse=True):
            before = made[:end].rstrip()
            made = b"%s\n\n%s\n%s" % (before, b"\n".join(placed[end]), made[end:])
        return made


def _root(content: bytes) -> Node:
    return Parser(RustReader.language()).parse(content).root_node


def _source(content: bytes, items: list[_Item]) -> bytes:
    """The file without these items."""
    kept: list[bytes] = []
    at = 0
    for item in items:
        kept.append(content[at : item.start])
        at = item.end
    return b"".join([*kept, content[at:]])


def _read(content: bytes) -> tuple[list[_Item], dict[Container, int]] | None:
    """The items, and where each container ends; None if the file cannot be split."""
    if len(content) > MAX_BYTES:
        return None
    root = _root(content)
    items: list[_Item] = []
    ends: dict[Container, int] = {}
    names: set[tuple[Container, str, str]] = set()
    twice: set[Container] = set()
    waiting: list[tuple[Node, Container]] = [(root, ())]
    while waiting:
        node, container = waiting.pop()
        if len(container) > _MAX_DEPTH:
            return None
        if container in ends:
            twice.add(container)  # such as two `impl` of one type
        body = node if node.type == "source_file" else node.child_by_field_name("body")
        if body is None:
            continue
        ends[container] = body.end_byte if body is node else body.end_byte - 1
        for attributes, item in _items(body):
            name = text(item.child_by_field_name("name"))
            words = [tokens(each, 2_000) for each in attributes if each.type in _ATTRIBUTES]
            if any(map(_is_unclear, words)):
                return None
            if any(_TEST.match(each) for each in words):
                start = _start((attributes or [item])[0], content)
                code = " ".join([*words, tokens(item)])
                items.append(_Item(container, start, _end(item, content), name, code))
            else:
                names.add((container, item.type, name))
                if item.type in _CONTAINERS:
                    waiting.append((item, (*container, _heading(item))))
    if root.has_error or _cfg_test_of_file(root):
        return None
    if any(
        each.container[:depth] in twice
        for each in items
        for depth in range(len(each.container) + 1)
    ):
        return None  # where an item belongs is unclear
    if any((each.container, "function_item", each.name) in names for each in items if each.name):
        return None  # the tests have their own version of something in the source
    return sorted(items, key=lambda each: each.start), ends


def _is_unclear(attribute: str) -> bool:
    """A condition about tests other than "only for tests": the item may be source as well."""
    words = _TEXT.sub("''", attribute)
    is_negative = re.search(r"\bnot \( test\b", words)
    return bool(_ABOUT_TESTS.match(words)) and bool(is_negative or not _TEST.match(words))


def _items(body: Node) -> Iterator[tuple[list[Node], Node]]:
    """Each item with the attributes and documentation in front of it."""
    before: list[Node] = []
    for child in body.named_children:
        if child.type in _ATTRIBUTES or child.type in _COMMENTS:
            before.append(child)
            continue
        # A comment belongs to an item only from the first attribute or documentation on.
        while before and before[0].type in _COMMENTS and not text(before[0]).startswith("///"):
            before.pop(0)
        yield before, child
        before = []


def _heading(item: Node) -> str:
    """What identifies a container: `mod name`, `impl Trait for Type`."""
    body = item.child_by_field_name("body")
    parts = [tokens(each) for each in item.children if body is None or each.id != body.id]
    return " ".join(parts)


def _start(item: Node, content: bytes) -> int:
    """Where the item begins, its indentation included."""
    line = content.rfind(b"\n", 0, item.start_byte) + 1
    return item.start_byte if content[line : item.start_byte].strip() else line


def _end(item: Node, content: bytes) -> int:
    """Where the item ends, its line's end included."""
    end = item.end_byte
    return end + 1 if content[end : end + 1] == b"\n" else end


def _cfg_test_of_file(root: Node) -> bool:
    """Whether `#![cfg(test)]` makes the whole file one for tests."""
    inner = (each for each in root.named_children if each.type == "inner_attribute_item")
    return any(re.match(r"# ! \[ cfg \( test", tokens(each)) for each in inner)
