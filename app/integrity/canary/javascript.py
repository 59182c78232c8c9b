"""JavaScript and TypeScript."""

from __future__ import annotations

import re

from tree_sitter import Language, Node

from app.integrity.canary.syntax import Dialect, Function, Insertion, Unable, Way
from app.integrity.javascript import JavaScriptReader, TsxReader, TypeScriptReader
from app.integrity.reader import text, tokens

_INERT = re.compile(
    r"import |(?:export )?(?:declare )?(?:interface|type) |export (?:type )?[{*]"
    r"|['\"] use \w+ ['\"]"
    r"|(?:const|let|var) (?:\w+|\{[^}]*\}) = require \( [^()]* \) ;?$"
    r"|module \. exports = (?:\w+|\{ (?:\w+ ,? ?)*\}) ;?$|export default \w+ ;?$"
)
_DEFINES = frozenset(
    {
        "variable_declarator",
        "assignment_expression",
        "pair",
        "field_definition",
        "public_field_definition",
    }
)
_NAMES = ("name", "left", "key", "property")


class JavaScriptFunctions(Dialect):
    """See `Dialect`."""

    functions = frozenset(
        {
            *("function_declaration", "generator_function_declaration", "method_definition"),
            *("arrow_function", "function_expression", "generator_function"),
        }
    )
    containers = frozenset(
        {"class_declaration", "class", "abstract_class_declaration", "internal_module"}
    )
    wrappers = (
        frozenset(
            {
                "export_statement",
                "lexical_declaration",
                "variable_declaration",
                "expression_statement",
            }
        )
        | _DEFINES
    )

    imports = re.compile(
        r"(?:import|const|let|var) (?P<names>.+?) (?:from|= require) (?P<source>.+)"
    )

    def language(self) -> Language:
        return JavaScriptReader.language()

    def name(self, node: Node) -> str:
        own = text(node.child_by_field_name("name"))
        above = node.parent
        if own or above is None:
            return own or "a function"
        if above.type in _DEFINES:
            named = next(filter(None, map(above.child_by_field_name, _NAMES)), None)
            return tokens(named, 200).replace(" ", "") or "a function"
        if above.type == "arguments" and above.parent is not None:
            called = tokens(above.parent.child_by_field_name("function"), 100).replace(" ", "")
            return f"{called}()"
        return "default" if above.type == "export_statement" else "a function"

    def is_inert(self, piece: str) -> bool:
        return bool(_INERT.match(piece))

    def is_harmless(self, header: str) -> bool:
        return "@" not in header

    def exempt(self, function: Function) -> str:
        return "has no code" if function.words == "{ }" else ""

    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable:
        # `if (!0)`: neither TypeScript nor a minifier treats the rest as unreachable.
        statement = f"if (!0) {self._statement(function.node, way, nonce)}"
        body = function.body
        if body.type != "statement_block":
            return [
                Insertion(body.start_byte, f"{{ {statement} return ".encode()),
                Insertion(body.end_byte, b"; }"),
            ]
        at = body.start_byte + 1
        for each in body.named_children:
            if not (_is_directive(each) or _is_super(each)):
                break
            at = each.end_byte
        return [Insertion(at, f" {statement} ".encode())]

    def _statement(self, node: Node, way: Way, nonce: str) -> str:
        if way is Way.RAISE:
            return f"throw new Error({nonce!r});"
        setter = any(each.type == "set" for each in node.children)
        return "return;" if setter else self.neutral

    neutral = "return undefined;"


class TypeScriptFunctions(JavaScriptFunctions):
    """See `Dialect`."""

    neutral = "return undefined as any;"

    def language(self) -> Language:
        return TypeScriptReader.language()


class TsxFunctions(TypeScriptFunctions):
    """See `Dialect`."""

    def language(self) -> Language:
        return TsxReader.language()


def _is_directive(node: Node) -> bool:
    return (
        node.type == "expression_statement"
        and node.named_child_count == 1
        and node.named_children[0].type == "string"
    )


def _is_super(node: Node) -> bool:
    return node.type == "expression_statement" and text(node).lstrip().startswith("super(")
