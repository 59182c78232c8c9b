"""JavaScript and TypeScript: Vitest's tests in source."""

from __future__ import annotations

from tree_sitter import Node, Parser

from app.integrity.javascript import TsxReader, TypeScriptReader
from app.integrity.mixed.splitter import MAX_BYTES, Parts, Splitter
from app.integrity.reader import text, tokens

_MARK = "import.meta.vitest"


class InSourceTests(Splitter):
    """`if (import.meta.vitest)` at the top of a file. https://vitest.dev/guide/in-source"""

    def parts(self, content: bytes) -> Parts | None:
        root = _root(content)
        if root is None:
            return None
        blocks = _blocks(root)
        source = _without(content, blocks)
        if _MARK.encode() in source:
            return None
        kept = _root(source)
        return Parts(tokens(kept), tuple(tokens(each) for each in blocks))

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        own, other = _root(source), _root(rest)
        if own is None or other is None:
            return None
        made = _without(source, _blocks(own)).rstrip(b"\n")
        tests = [each.text or b"" for each in _blocks(other)]
        return b"\n".join([made, *tests]) + b"\n"


def _root(content: bytes) -> Node | None:
    """The tree of a file, read as TypeScript, which JavaScript is too; None if it has errors."""
    if len(content) > MAX_BYTES:
        return None
    for reader in (TypeScriptReader, TsxReader):
        root = Parser(reader.language()).parse(content).root_node
        if not root.has_error:
            return root
    return None


def _blocks(root: Node) -> list[Node]:
    return [
        each
        for each in root.named_children
        if each.type == "if_statement"
        and text(each.child_by_field_name("condition")).strip("() \t\n") == _MARK
        and each.child_by_field_name("alternative") is None
    ]


def _without(content: bytes, blocks: list[Node]) -> bytes:
    for each in reversed(blocks):
        content = content[: each.start_byte] + content[each.end_byte :]
    return content
