"""Rust: the built-in harness, with tokio's and rstest's attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import tree_sitter_rust
from tree_sitter import Language, Node

from app.domain.flag import Kind
from app.integrity.facts import (
    EXACT,
    LOOSE,
    PARTIAL,
    TRIVIAL,
    Assertion,
    TestMark,
)
from app.integrity.reader import (
    SyntaxContext,
    SyntaxReader,
    callee,
    equality,
    is_literal,
    line,
    number,
    text,
    tokens,
)

_TEST = re.compile(r"# \[ (?:\w+ :: )*(?:test|rstest|test_case|quickcheck|wasm_bindgen_test)\b")
_ASSERT = re.compile(r"(?:debug_|prop_)?assert(\w*)|insta::assert\w*|assert_\w+")
_MACROS = frozenset({"assert", "assert_eq", "assert_ne", "panic", "test"})
_NUMBER = re.compile(r"<=? ([\d.]+(?:e-?\d+)?(?:_?f\d\d)?|f(?:32|64) :: EPSILON)")


@cache
def _language() -> Language:
    return Language(tree_sitter_rust.language())


class RustReader(SyntaxReader):
    """See `SyntaxReader`. Tests live next to the code, so any file may have some."""

    strings = frozenset({"string_literal", "raw_string_literal"})
    conditions = frozenset({"if_expression"})
    calls = frozenset({"call_expression", "macro_invocation"})

    @classmethod
    def language(cls) -> Language:
        return _language()

    def enter(self, node: Node, place: SyntaxContext) -> SyntaxContext:
        name = text(node.child_by_field_name("name"))
        body = node.child_by_field_name("body")
        if node.type == "mod_item" and body is not None:
            return replace(place, names=(*place.names, name))
        if node.type != "function_item" or body is None or place.test is not None:
            return place
        attributes = _attributes(node)
        if not any(_TEST.match(tokens(each)) for each in attributes):
            self.note_helper(name, node, body)
            return place
        opened = self.open_test(name, node, body, place)
        if opened.test is not None:
            words = [tokens(each) for each in attributes]
            opened.test.rows = tuple(each for each in words if re.match(r"# \[ (test_)?case", each))
            self._about_test(attributes, opened)
        return opened

    def _about_test(self, attributes: list[Node], place: SyntaxContext) -> None:
        for each in attributes:
            words = tokens(each)
            if re.search(r"\bignore\b", words) and not words.startswith("# [ allow"):
                reason = f"`{place.owner}` is skipped."
                self.marks.append(self.mark(Kind.SKIPPED, each, reason, place.owner))
            elif re.match(r"# \[ should_panic", words):
                reason = f"`{place.owner}` is expected to panic."
                self.marks.append(self.mark(Kind.EXPECTED_TO_FAIL, each, reason, place.owner))
            elif re.match(r"# \[ cfg \((?! test \))", words):
                reason = f"A condition controls whether `{place.owner}` is built."
                self.marks.append(self.mark(Kind.SKIPPED, each, reason, place.owner))

    def assertion(self, node: Node) -> Assertion | None:
        if node.type != "macro_invocation":
            return None
        name = text(node.child_by_field_name("macro")).replace(" ", "")
        return _macro(node, name) if _ASSERT.fullmatch(name) else None

    def own_marks(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        if node.type in ("attribute_item", "inner_attribute_item"):
            words = tokens(node, 400)
            if re.match(r"# (?:! )?\[ (?:allow|expect) \(", words):
                reason = "This attribute suppresses compiler or linter warnings."
                yield self.mark(Kind.LINT_DISABLED, node, reason)
            elif re.search(
                r"coverage \( off|no_coverage|cfg_attr \( (?:coverage|tarpaulin)", words
            ):
                reason = "This attribute excludes code from coverage."
                yield self.mark(Kind.COVERAGE, node, reason)
        elif node.type == "macro_definition":
            name = text(node.child_by_field_name("name"))
            if name in _MACROS:
                reason = f"The macro `{name}!` is replaced."
                yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)
        elif node.type == "function_item":
            yield from self._always_equal(node)
        elif node.type == "call_expression":
            yield from self._called(node, place)
        elif node.type == "macro_invocation" and self._decides(node):
            reason = "The code detects whether it is being tested."
            yield self.mark(Kind.ENVIRONMENT_DEPENDENT, node, reason, place.owner)

    def _decides(self, node: Node) -> bool:
        name = text(node.child_by_field_name("macro"))
        return name == "cfg" and bool(re.search(r"\btest\b", tokens(node, 200)))

    def _always_equal(self, node: Node) -> Iterator[TestMark]:
        body = tokens(node.child_by_field_name("body"), 200)
        if text(node.child_by_field_name("name")) == "eq" and body in ("{ true }", "{ false }"):
            reason = "`eq` returns the same value for every comparison."
            yield self.mark(Kind.FRAMEWORK_PATCHED, node, reason)

    def _called(self, node: Node, place: SyntaxContext) -> Iterator[TestMark]:
        name = callee(node)
        if name.endswith("process::exit") and place.test is not None:
            if tokens(node.child_by_field_name("arguments")) == "( 0 )":
                reason = "`exit(0)` ends the run as a success."
                yield self.mark(Kind.EXIT_CODE, node, reason, place.owner)
        elif place.test is not None and name.endswith(".spawn") and "Command" in name:
            reason = "This starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, place.owner)
        elif name.endswith(("libc::fork", "libc::setsid", "unistd::fork", "unistd::setsid")):
            reason = f"`{name}` starts a process that keeps running."
            yield self.mark(Kind.BACKGROUND_PROCESS, node, reason, place.owner)


def _attributes(node: Node) -> list[Node]:
    """The attributes before an item."""
    found: list[Node] = []
    before = node.prev_named_sibling
    while before is not None and (
        before.type == "attribute_item" or before.type.endswith("comment")
    ):
        if before.type == "attribute_item":
            found.append(before)
        before = before.prev_named_sibling
    return found[::-1]


def _macro(node: Node, name: str) -> Assertion | None:
    tree = next((child for child in node.named_children if child.type == "token_tree"), None)
    if tree is None:
        return None
    words = _split(tree)
    at = line(node)
    if name.endswith(("assert_eq", "assert_ne")) and len(words) >= 2:
        strength = EXACT if name.endswith("eq") else PARTIAL
        whole = f"{name} ( {words[0]} , {words[1]} )"
        return equality(at, whole, words[0], words[1], strength, " ".join(words[2:]))
    if name.endswith("assert"):
        return _plain(at, name, words)
    return Assertion(at, tokens(node), words[0] if words else name, " ".join(words[1:]), EXACT)


def _plain(at: int, name: str, words: list[str]) -> Assertion:
    subject = words[0] if words else ""
    message = " ".join(words[1:])
    whole = f"{name} ( {subject} )"
    near = _NUMBER.search(subject) if "abs (" in subject else None
    left, sign, right = subject.partition(" == ")
    if sign:
        return equality(at, whole, left, right, EXACT, message)
    if is_literal(subject) or "|| true" in subject:
        return Assertion(at, whole, subject, "", TRIVIAL, message)
    if near:
        value = number(near.group(1).replace("_", "").split("f")[0])
        rest = subject[: near.start()]
        return Assertion(at, whole, rest, "", PARTIAL, message, value)
    return Assertion(at, whole, subject, "", LOOSE, message)


def _split(tree: Node) -> list[str]:
    """The arguments of a macro: its tokens, split at commas."""
    words: list[str] = []
    current: list[str] = []
    for child in tree.children[1:-1]:
        if text(child) == ",":
            words.append(" ".join(current))
            current = []
        else:
            current.append(tokens(child))
    if current:
        words.append(" ".join(current))
    return words
