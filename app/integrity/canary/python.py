"""Python."""

from __future__ import annotations

import re

from tree_sitter import Language, Node

from app.integrity.canary.syntax import Dialect, Function, Insertion, Unable, Way
from app.integrity.python import PythonReader
from app.integrity.reader import text

_INERT = re.compile(
    r"(?:from|import) |(?:__\w+__|__all__)(?: :[^=]*)? \+?= |pass$|\.\.\.$"
    r"|if (?:typing \. )?TYPE_CHECKING :|(?:\w+ = )?(?:typing \. )?TypeVar \("
    r"|(?:[rRbBuU]*)(['\"]).*\1$|\w+ = (?:logging \. )?getLogger \(",
    re.DOTALL,
)
_HARMLESS = re.compile(
    r"@ (?:staticmethod|classmethod|property|(?:\w+ \. )?(?:setter|deleter|getter)"
    r"|(?:functools \. )?(?:cache|cached_property|lru_cache(?: \([^()]*\))?|wraps \( \w+ \))"
    r"|(?:contextlib \. )?(?:async)?contextmanager"
    r"|(?:typing \. )?(?:override|final|overload|no_type_check)|(?:abc \. )?abstractmethod) "
)
_DECLARES = re.compile(r"@ (?:(?:abc|typing) \. )?(?:abstractmethod|overload) ")
_FIXTURE = re.compile(r"@ (?:pytest|pytest_asyncio) \. (?:fixture|hookimpl|hookspec)\b")
_ASSIGNED = frozenset({"attribute", "subscript"})


class PythonFunctions(Dialect):
    """See `Dialect`."""

    functions = frozenset({"function_definition"})
    containers = frozenset({"class_definition"})
    wrappers = frozenset({"decorated_definition"})
    imports = re.compile(r"from (?P<source>.+?) import (?P<names>.+)")

    def language(self) -> Language:
        return PythonReader.language()

    def documentation(self, body: Node) -> Node | None:
        first = next((each for each in body.named_children if each.type != "comment"), None)
        if first is None or first.type != "expression_statement":
            return None
        inner = first.named_children[0] if first.named_child_count == 1 else None
        return first if inner is not None and inner.type == "string" else None

    def is_inert(self, piece: str) -> bool:
        return bool(_INERT.match(piece))

    def is_harmless(self, header: str) -> bool:
        rest = header
        while found := _HARMLESS.match(rest):
            rest = rest[found.end() :]
        return not rest.startswith("@")

    def exempt(self, function: Function) -> str:
        name = self.name(function.node)
        if name.startswith("pytest_") or _FIXTURE.search(function.header):
            return "is called by pytest"
        if function.words in ("", "pass", "...") or _DECLARES.search(function.header):
            return "has no code"
        return ""

    def installed(self, root: Node) -> frozenset[str]:
        found: set[str] = set()
        stack = [root]
        while stack:
            at = stack.pop()
            stack.extend(at.named_children)
            left, value = at.child_by_field_name("left"), at.child_by_field_name("right")
            if at.type == "call" and text(at.child_by_field_name("function")) == "setattr":
                left = at.child_by_field_name("arguments")
                value = left.named_children[-1] if left and left.named_children else None
            elif at.type != "assignment" or left is None or left.type not in _ASSIGNED:
                continue
            own = text(left).startswith(("self.", "cls."))
            if value is not None and value.type in ("identifier", "attribute") and not own:
                found.add(text(value).rpartition(".")[2])
        return frozenset(found)

    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable:
        statement = f"raise BaseException({nonce!r})" if way is Way.RAISE else "return"
        known = self.documentation(function.body)
        first = next(
            each
            for each in function.body.named_children
            if each.type != "comment" and (known is None or each.id != known.id)
        )
        start = source.rfind(b"\n", 0, first.start_byte) + 1
        indentation = source[start : first.start_byte]
        if indentation.strip():
            return [Insertion(first.start_byte, f"{statement}; ".encode())]
        end = b"\r\n" if source[:start].endswith(b"\r\n") else b"\n"
        return [Insertion(start, indentation + statement.encode() + end)]
