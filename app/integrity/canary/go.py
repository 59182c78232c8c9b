"""Go."""

from __future__ import annotations

import re

from tree_sitter import Language, Node

from app.integrity.canary.syntax import Dialect, Function, Insertion, Unable, Way, after_brace
from app.integrity.go import GoReader
from app.integrity.reader import text

_INERT = re.compile(r"(?:package|import) |type \w+ interface \{")


class GoFunctions(Dialect):
    """See `Dialect`."""

    functions = frozenset({"function_declaration", "method_declaration"})
    entry_points = frozenset({"init", "main", "TestMain"})

    def language(self) -> Language:
        return GoReader.language()

    def name(self, node: Node) -> str:
        name = text(node.child_by_field_name("name"))
        receiver = node.child_by_field_name("receiver")
        kind = re.search(r"(\w+)\s*(?:\[[^\]]*\])?\s*\)$", text(receiver)) if receiver else None
        return f"{kind.group(1)}.{name}" if kind else name

    def is_inert(self, piece: str) -> bool:
        return bool(_INERT.match(piece))

    def exempt(self, function: Function) -> str:
        return "has no code" if function.words == "{ }" else ""

    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable:
        if way is Way.RAISE:
            return after_brace(function, f'if true {{ panic("{nonce}") }};')
        return after_brace(function, f"if true {{ {_zero(function.node)} }};")


def _zero(node: Node) -> str:
    """A return of zero values: named results have them already."""
    result = node.child_by_field_name("result")
    if result is None:
        return "return"
    if result.type != "parameter_list":
        return f"var honkCanary0 {text(result)}; return honkCanary0"
    types: list[str] = []
    for each in result.named_children:
        if each.child_by_field_name("name") is not None:
            return "return"
        if each.type == "parameter_declaration":
            types.append(text(each.child_by_field_name("type")))
    names = [f"honkCanary{number}" for number in range(len(types))]
    made = "; ".join(f"var {name} {kind}" for name, kind in zip(names, types, strict=True))
    return f"{made}; return {', '.join(names)}" if names else "return"
