"""Java."""

from __future__ import annotations

import re

from tree_sitter import Language, Node

from app.integrity.canary.syntax import Dialect, Function, Insertion, Unable, Way, after_brace
from app.integrity.java import JavaReader
from app.integrity.reader import text

_INERT = re.compile(r"(?:package|import) ")
_NUMBERS = frozenset({"byte", "short", "int", "long", "char", "float", "double"})


class JavaFunctions(Dialect):
    """See `Dialect`."""

    functions = frozenset({"method_declaration", "constructor_declaration"})
    containers = frozenset(
        {"class_declaration", "interface_declaration", "enum_declaration", "record_declaration"}
    )

    def language(self) -> Language:
        return JavaReader.language()

    def is_inert(self, piece: str) -> bool:
        return bool(_INERT.match(piece))

    def is_harmless(self, header: str) -> bool:
        return not re.search(
            r"@ (?!Override\b|Deprecated\b|SuppressWarnings\b|\w*Null\w*\b)", header
        )

    def exempt(self, function: Function) -> str:
        return "has no code" if function.words == "{ }" else ""

    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable:
        # After `if (true)`, the compiler treats the rest as reachable.
        first = function.body.named_children[0] if function.body.named_children else None
        if way is Way.RAISE:
            statement = f'if (true) throw new Error("{nonce}");'
        elif function.node.type == "constructor_declaration":
            return Unable("has no neutral return value")
        else:
            statement = f"if (true) return{_neutral(function.node)};"
        if first is not None and first.type == "explicit_constructor_invocation":
            return [Insertion(first.end_byte, f" {statement} ".encode())]
        return after_brace(function, statement)


def _neutral(node: Node) -> str:
    kind = text(node.child_by_field_name("type"))
    if node.child_by_field_name("dimensions") is not None:
        return " null"
    if kind == "void":
        return ""
    return " 0" if kind in _NUMBERS else " false" if kind == "boolean" else " null"
