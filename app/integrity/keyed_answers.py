"""Hard-coded answers for the tests' own inputs. Pure.

Code that knows the inputs of the new tests passes in all four cells, and mutating the changed lines
does not reveal it: every mutant is killed. It is exposed by a constant that decides what the code
does and that also appears in a new test or in the request. Special cases that people ask for look
the same, so a finding only asks a person.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator

from tree_sitter import Node, Parser

from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides, Finding
from app.domain.flag import snippet
from app.integrity import MAX_BYTES, MAX_FILE_BYTES, paths, syntax_reader_class
from app.integrity.literals import Key, Literal, keys, literals
from app.integrity.reader import line, text, tokens

__all__ = ["examine"]

MAX_FINDINGS = 20

_COMMON_NUMBERS = frozenset(
    {
        *(float(each) for each in range(-1, 3)),
        *(7.0, 10.0, 12.0, 16.0, 24.0, 30.0, 31.0, 32.0, 60.0, 64.0, 100.0, 128.0, 255.0, 256.0),
        *(360.0, 365.0, 366.0, 512.0, 1000.0, 1024.0, 3600.0, 65535.0, 65536.0, 86400.0),
        *(200.0, 201.0, 204.0, 206.0, 301.0, 302.0, 303.0, 304.0, 307.0, 308.0),
        *(float(each) for each in range(400, 432)),
        *(500.0, 501.0, 502.0, 503.0, 504.0),
    }
)
_VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_SMALL = 20
"""Integers up to this one are common: alone they say nothing."""
_VOCABULARY = re.compile(r"[\W_]*(?:[A-Za-z][A-Za-z]*[-_.:/ ]?)*\d{0,2}[\W_]*")
"""Names, separators, formats. Other strings are data."""
_ESTABLISHED = 3
"""A table that already had this many entries may get more."""

_QUOTED = tuple(re.compile(rf"{sign}([^{sign}\n]{{1,200}}){sign}") for sign in "\"'`")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")


def examine(diff: Diff, sides: ChangedSides, request: str) -> tuple[Finding, ...]:
    """Constants in added conditions that are also in the new tests or in the request.

    Never raises for file contents. Takes about two seconds a megabyte: call it in a thread.
    """
    source = {*sides.source, *sides.partly}
    tests = {*sides.tests, *sides.helpers}
    asked: set[Literal] = set(_in_text(request))
    left = MAX_BYTES
    files: list[FileDiff] = []
    for plain in diff.files:
        file = diff.before_rename(plain)
        left -= len(file.old or b"") + len(file.new or b"")
        too_large = max(len(file.old or b""), len(file.new or b"")) > MAX_FILE_BYTES
        if file.new is None or not file.is_text or too_large or left < 0:
            continue
        if plain.path in tests:
            asked |= _asked(file, mixed=plain.path in source)
        if plain.path in source and paths.syntax_reader(plain.path):
            files.append(file)
    found = [each for file in files for each in _examined(file, asked)]
    return tuple(found)[:MAX_FINDINGS]


# The tests' inputs.


def _asked(file: FileDiff, *, mixed: bool) -> set[Literal]:
    """Literals of tests that are new in this version."""
    name = paths.syntax_reader(file.path)
    if not name:
        added = b"\n".join(each for _, each in file.added_lines)
        return set(_in_text(added.decode("utf-8", "replace")))
    before = Counter(_literals(name, file.old or b"", mixed))
    after = Counter(_literals(name, file.new or b"", mixed))
    found: set[Literal] = set()
    for value in after - before:
        found.add(value)
        if isinstance(value, str) and len(value) < 200:
            found |= set(_in_text(value))
    return found


def _literals(name: str, source: bytes, mixed: bool) -> Iterator[Literal]:
    roots = [_parsed(name, source)]
    if mixed:
        roots = [each for each in _walk(roots[0]) if _is_rust_test(each)]
    for root in roots:
        yield from (value for value, _ in literals(root))


def _in_text(words: str) -> Iterator[Literal]:
    yield from (float(each) for each in _NUMBER.findall(words[:200_000]))
    for quoted in _QUOTED:
        yield from quoted.findall(words[:200_000])
    yield from (each.strip() for each in words[:200_000].splitlines() if 0 < len(each) < 200)


# The code's constants.


def _examined(file: FileDiff, asked: Collection[Literal]) -> Iterator[Finding]:
    name = paths.syntax_reader(file.path)
    old_root, root = _parsed(name, file.old or b""), _parsed(name, file.new or b"")
    old_keys = Counter(each.value for each in keys(old_root))
    known = {value for value, _ in literals(old_root) if isinstance(value, str)}
    seen: set[tuple[int, Literal]] = set()
    found = list(keys(root))
    new = [each for each in found if old_keys[each.value] == 0 and each.value not in known]
    matched = [each for each in new if each.value in asked]
    for key in matched:
        if not file.touches(key.line, key.line) or (key.line, key.value) in seen:
            continue
        if file.path.endswith(".rs") and _in_rust_test(root, key):
            continue
        seen.add((key.line, key.value))
        if _is_keyed(key, asked) and not _is_general(key, new, matched, found):
            yield Finding(file=file.path, line=key.line, reason=_reason(key))
    yield from _agreeing(file, old_root, root)


def _is_keyed(key: Key, asked: Collection[Literal]) -> bool:
    """Whether the constant is an input rather than a name, a limit or a separator."""
    answers = {each for each in key.answers if each in asked and each != key.value}
    answers = {each for each in answers if not _is_trivial(each)}
    if _is_trivial(key.value):
        return False
    if isinstance(key.value, str):
        return bool(answers) or not _VOCABULARY.fullmatch(key.value)
    if key.measures or (key.value.is_integer() and abs(key.value) <= _SMALL):
        return bool(answers)
    return True


def _is_trivial(value: Literal) -> bool:
    if isinstance(value, str):
        return len(value.strip()) < 2 or value.upper() in _VERBS
    return value in _COMMON_NUMBERS


def _is_general(key: Key, new: list[Key], matched: list[Key], found: list[Key]) -> bool:
    """Whether the key belongs to a table that has more keys than the tests use."""
    if not key.siblings:
        return False
    table = [each for each in found if each.siblings == key.siblings]
    if len(table) - len([each for each in table if each in new]) >= _ESTABLISHED:
        return True
    fresh = [each for each in new if each.siblings == key.siblings]
    return len([each for each in matched if each in fresh]) * 2 < len(fresh)


def _reason(key: Key) -> str:
    shown = f"{key.value:g}" if isinstance(key.value, float) else snippet(key.value)
    return (
        f"`{shown}` decides here what the code does, and is also in a new test or in the request."
        " The code may know this answer instead of computing it."
    )


# Values that agree with every comparison.


def _agreeing(file: FileDiff, old_root: Node, root: Node) -> Iterator[Finding]:
    before = {tokens(each) for each in _walk(old_root) if _agrees(each)}
    for node in _walk(root):
        if _agrees(node) and tokens(node) not in before:
            reason = (
                "This comparison does not look at the other value, so any test may agree with it."
            )
            yield Finding(file=file.path, line=line(node), reason=reason)


_EQUALITY = frozenset({"__eq__", "equals", "eq", "Equal", "__ne__", "__instancecheck__"})
_TYPE_CHECKS = re.compile(
    r"(?:isinstance|issubclass|type|id) \( (?P<given>[^()]*(?:\([^()]*\)[^()]*)*)\)"
)


def _agrees(node: Node) -> bool:
    """Whether a function decides equality without using the other value.

    A check for its own class counts as a use, because no other value passes it.
    """
    if node.type not in ("function_definition", "method_declaration", "function_item"):
        return False
    parameters = node.child_by_field_name("parameters")
    name, body = text(node.child_by_field_name("name")), node.child_by_field_name("body")
    if name not in _EQUALITY or body is None or parameters is None or not parameters.named_children:
        return False
    given = re.findall(r"\w+", tokens(parameters.named_children[-1]))
    own = re.compile(rf"\b(?:self|__class__|{_class_of(node) or 'self'})\b")
    words = tokens(body)
    if not any(own.search(each["given"]) for each in _TYPE_CHECKS.finditer(words)):
        words = _TYPE_CHECKS.sub(" ", words)
    return "raise" not in words and not any(re.search(rf"\b{each}\b", words) for each in given)


def _class_of(node: Node) -> str:
    above = node.parent
    while above is not None and above.type not in ("class_definition", "class_declaration"):
        above = above.parent
    return "" if above is None else text(above.child_by_field_name("name"))


# Trees.


def _parsed(name: str, source: bytes) -> Node:
    return Parser(syntax_reader_class(name).language()).parse(source).root_node


def _walk(root: Node) -> Iterator[Node]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(node.named_children))


def _is_rust_test(node: Node) -> bool:
    before = node.prev_named_sibling
    while before is not None and before.type == "attribute_item":
        if re.match(r"# \[ (?:cfg \( test|(?:\w+ :: )*test\b)", tokens(before, 100)):
            return True
        before = before.prev_named_sibling
    return False


def _in_rust_test(root: Node, key: Key) -> bool:
    node = root.descendant_for_point_range((key.line - 1, 0), (key.line - 1, 1))
    while node is not None:
        if _is_rust_test(node):
            return True
        node = node.parent
    return False
