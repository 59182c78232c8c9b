"""Python: the examples in docstrings."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tree_sitter import Node, Parser

from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter
from app.integrity.python import PythonReader
from app.integrity.reader import text, tokens

_DEFINITIONS = {"class_definition", "function_definition"}
_EXAMPLE = re.compile(r"(?m)^\s*>>>")
_MAX_NODES = 200_000


@dataclass(frozen=True)
class _Docstring:
    """A docstring with examples. `owner`: the dotted name of what it documents."""

    owner: str
    start: int
    end: int
    text: bytes


class Doctests(Splitter):
    """Docstrings with examples, by what they document. Those of other docstrings are source."""

    def parts(self, content: bytes) -> Parts | None:
        found = _read(content)
        if found is None:
            return None
        source = content
        for each in reversed(found):
            source = b'%s""%s' % (source[: each.start], source[each.end :])
        # A separate token for each position, so that an added or removed docstring is noticed.
        code = tokens(_root(source)).replace("'' ", "")
        return Parts(code, {each.owner: each.text for each in found})

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own, other = _read(source), _read(rest)
        if own is None or other is None:
            return None
        texts = {each.owner: each.text for each in other}
        if texts.keys() != {each.owner for each in own}:
            return None
        made = source
        for each in reversed(own):
            made = made[: each.start] + texts[each.owner] + made[each.end :]
        return made


def _root(content: bytes) -> Node:
    return Parser(PythonReader.language()).parse(content).root_node


def _read(content: bytes) -> list[_Docstring] | None:
    """The docstrings with examples, in order; None if the file cannot be split."""
    if len(content) > MAX_BYTES:
        return None
    root = _root(content)
    if root.has_error:
        return None
    found: list[_Docstring] = []
    waiting: list[tuple[Node, str]] = [(root, "")]
    for _ in range(_MAX_NODES):
        if not waiting:
            break
        node, owner = waiting.pop()
        if node.type in _DEFINITIONS:
            owner = f"{owner}.{text(node.child_by_field_name('name'))}"
        if node.type in ("module", "block"):
            first = next((each for each in node.named_children if each.type != "comment"), None)
            string = (
                first.named_children[0]
                if first is not None
                and first.type == "expression_statement"
                and first.named_child_count
                else None
            )
            is_own = node.type == "module" or (
                node.parent is not None and node.parent.type in _DEFINITIONS
            )
            if (
                string is not None
                and string.type == "string"
                and is_own
                and _EXAMPLE.search(text(string))
            ):
                found.append(
                    _Docstring(owner, string.start_byte, string.end_byte, string.text or b"")
                )
        waiting.extend((each, owner) for each in node.named_children)
    else:
        return None
    if len({each.owner for each in found}) < len(found):
        return None
    return sorted(found, key=lambda each: each.start)
