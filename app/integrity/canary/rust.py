"""Rust."""

from __future__ import annotations

import re

from tree_sitter import Language, Node

from app.integrity.canary.syntax import Dialect, Function, Insertion, Unable, Way, after_brace
from app.integrity.reader import text, tokens
from app.integrity.rust import RustReader

_INERT = re.compile(r"(?:pub (?:\( \w+ \) )?)?(?:use|mod|extern crate|type) ")
_TEST = re.compile(r"# \[ (?:(?:\w+ :: )*(?:test|rstest|bench)\b|cfg \( (?:test|all \( test)\b)")
_NUMBERS = re.compile(r"[iu](?:8|16|32|64|128|size)")
_BY_NAME = {
    "bool": "false",
    "f32": "0.0",
    "f64": "0.0",
    "char": "'\\0'",
    "()": "()",
    "String": "String::new()",
    "&str": '""',
    "&'static str": '""',
}
_DEFAULT = re.compile(
    r"(?:std::\w+::)?(?:Vec|HashMap|BTreeMap|HashSet|BTreeSet|VecDeque|PathBuf|OsString|Duration)\b"
)
_GENERIC = re.compile(r"(\w+)\s*<(.*)>$", re.DOTALL)


class RustFunctions(Dialect):
    """See `Dialect`."""

    functions = frozenset({"function_item"})
    containers = frozenset({"impl_item", "trait_item", "mod_item", "foreign_mod_item"})
    entry_points = frozenset({"main"})

    def language(self) -> Language:
        return RustReader.language()

    def name(self, node: Node) -> str:
        if node.type != "impl_item":
            return super().name(node)
        kind, of = node.child_by_field_name("type"), node.child_by_field_name("trait")
        return f"<{tokens(kind)} as {tokens(of)}>" if of is not None else tokens(kind)

    def is_inert(self, piece: str) -> bool:
        return bool(_INERT.match(piece))

    def is_passed_over(self, node: Node) -> bool:
        if node.type != "attribute_item":
            return any(_TEST.match(tokens(each)) for each in _attributes(node))
        after = node.next_named_sibling
        while after is not None and (
            after.type == "attribute_item" or after.type.endswith("comment")
        ):
            after = after.next_named_sibling
        return after is None or after.type in self.functions | self.containers

    def exempt(self, function: Function) -> str:
        at: Node | None = function.node
        while at is not None:
            if any(_TEST.match(tokens(each)) for each in _attributes(at)):
                return "belongs to the tests"
            at = at.parent
        return "has no code" if function.words == "{ }" else ""

    def edit(
        self, function: Function, source: bytes, way: Way, nonce: str
    ) -> list[Insertion] | Unable:
        if way is Way.RAISE:
            return after_brace(function, f'if true {{ panic!("{nonce}"); }}')
        if any(
            each.type == "function_modifiers" and "const" in text(each).split()
            for each in function.node.children
        ):
            return Unable("is a `const fn`")
        result = function.node.child_by_field_name("return_type")
        value = "()" if result is None else _neutral(" ".join(text(result).split()), source)
        if not value:
            return Unable("has no neutral return value")
        return after_brace(function, f"if true {{ return {value}; }}")


def _neutral(kind: str, source: bytes) -> str:
    """An expression of the type, or nothing where none is sure to compile."""
    if _NUMBERS.fullmatch(kind):
        return "0"
    if kind in _BY_NAME:
        return _BY_NAME[kind]
    if kind.startswith("&") and kind.endswith("]") and "mut" not in kind:
        return "&[]"
    if kind.startswith("(") and kind.endswith(")"):
        parts = [_neutral(each, source) for each in _split(kind[1:-1])]
        return f"({', '.join(parts)},)" if all(parts) else ""
    found = _GENERIC.match(kind.rpartition("::")[2]) if "<" not in kind.partition("::")[0] else None
    found = found or _GENERIC.match(kind)
    name = found.group(1) if found else kind
    inner = _split(found.group(2)) if found else []
    if kind.endswith("fmt::Result"):
        return "Ok(())"
    if name == "Option":
        return "None"
    if name in ("Result", "Box", "Rc", "Arc", "Cow") and inner:
        value = _neutral(inner[-1] if name == "Cow" else inner[0], source)
        wrap = "Ok" if name == "Result" else f"{name}::new"
        return f"{wrap}({value})" if value and name != "Cow" else ""
    if _DEFAULT.match(kind) or (re.fullmatch(r"\w+", name) and _has_default(name, source)):
        return "Default::default()"
    return ""


def _has_default(name: str, source: bytes) -> bool:
    words = re.escape(name.encode())
    derived = (
        rb"#\[derive\([^\)]*\bDefault\b[^\)]*\)\]\s*(?:#\[[^\]]*\]\s*)*(?:pub(?:\([^)]*\))?\s+)?"
    )
    return bool(
        re.search(derived + rb"(?:struct|enum)\s+" + words + rb"\b", source)
        or re.search(rb"impl\s+Default\s+for\s+" + words + rb"\b", source)
    )


def _split(kinds: str) -> list[str]:
    """Types separated by commas that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for at, sign in enumerate(kinds):
        depth += (sign in "<([") - (sign in ">)]")
        if sign == "," and not depth:
            parts.append(kinds[start:at].strip())
            start = at + 1
    return [each for each in (*parts, kinds[start:].strip()) if each]


def _attributes(node: Node) -> list[Node]:
    found: list[Node] = []
    before = node.prev_named_sibling
    while before is not None and (
        before.type == "attribute_item" or before.type.endswith("comment")
    ):
        found += [before] if before.type == "attribute_item" else []
        before = before.prev_named_sibling
    return found
