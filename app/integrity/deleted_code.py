"""Finds removed tests whose exercised code the change deleted, too. Pure.

A test that calls deleted code fails accordingly when it runs on the new code. Others reach their
code through a string: a route, a command, the path of a script. Such a test exercised deleted code
if one of its strings is what a deleted definition was registered under, its name, or a deleted
file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app import integrity
from app.domain.diff import Diff, FileDiff
from app.domain.evidence import ChangedSides, TestName
from app.domain.moves import file_in
from app.domain.verdict import Results, TestResult
from app.integrity import canary
from app.integrity.canary.syntax import Dialect, Function
from app.integrity.moved_tests import SEPARATORS

_TEXT = re.compile(r"([\"'`])((?:\\.|(?!\1)[^\\\n]){0,200})(\1?)")
_VARIABLE = re.compile(r"[<{:*(]")
"""The characters that begin a route's placeholder."""

_NUMBER = re.compile(r" \(\d+\)$")
_MIN_NAME = 3


def removed_with_code(
    diff: Diff, sides: ChangedSides, base: Results, head: Results
) -> tuple[TestName, ...]:
    """The tests of the base that are gone at head together with code that they name.

    Never raises for file contents. Takes about two seconds a megabyte: call it in a thread.
    """
    deleted = _deleted(_source(diff, sides))
    if not deleted.names and not deleted.routes:
        return ()
    gone = [
        (file, test.name)
        for file, test in integrity.removed_tests(diff)
        if any(map(deleted.has, _texts(test.body)))
    ]
    left = {(each.verifier, test.id) for each in head.verifiers for test in each.tests}
    return tuple(
        TestName(verifier=each.verifier, id=test.id)
        for each in base.verifiers
        for test in each.tests
        if (each.verifier, test.id) not in left and any(_is(test, *known) for known in gone)
    )


@dataclass(frozen=True)
class _Deleted:
    """`names`: of definitions and files. `routes`: what definitions were registered under."""

    names: frozenset[str]
    routes: frozenset[str]

    def has(self, text: str) -> bool:
        """Whether a test's string refers to something deleted."""
        name = text.rpartition(".")[2]
        if {text, name, name.replace("-", "_")} & self.names:
            return True
        path = re.split(r"[?#]", text)[0].strip("/")
        return any(_leads_to(path, route) for route in self.routes)


def _leads_to(path: str, route: str) -> bool:
    fixed, *variable = _VARIABLE.split(route.strip("/"), maxsplit=1)
    if not variable:
        return path == fixed
    return len(fixed) > 1 and path.startswith(fixed)


def _source(diff: Diff, sides: ChangedSides) -> list[FileDiff]:
    """The changed files of the source side that were read, renames in pairs."""
    paths = {*sides.source, *sides.partly}
    moved_from = {old for new, old in diff.renames.items() if new in diff.by_path}
    files = [diff.before_rename(each) for each in diff.files if each.path in paths]
    left = integrity.MAX_BYTES
    found = []
    for each in files:
        size = len(each.old or b"") + len(each.new or b"")
        moved = each.is_deleted and each.path in moved_from
        if moved or not each.is_text or each.withheld or size > 2 * integrity.MAX_FILE_BYTES:
            continue
        left -= size
        if left < 0:
            break
        found.append(each)
    return found


def _deleted(files: Sequence[FileDiff]) -> _Deleted:
    definitions = [each for file in files if (each := _definitions(file)) is not None]
    kept = {name for each in definitions for name in each.kept}
    names = {name for each in definitions for name in each.gone} - kept
    names |= {name for file in files if file.is_deleted for name in _names_of_file(file.path)}
    routes = {
        text
        for each in definitions
        for name, header in each.headers
        if name not in kept
        for text in _texts(header)
    }
    routes |= {text for file in files for text in _registered(file, names)}
    present = {
        text for file in files for text in _texts((file.new or b"").decode("utf-8", "replace"))
    }
    return _Deleted(frozenset(names - present), frozenset(routes - present))


def _names_of_file(path: str) -> Iterator[str]:
    yield path
    yield path.rpartition("/")[2].partition(".")[0]


def _registered(file: FileDiff, names: set[str]) -> Iterator[str]:
    """Strings on removed lines that name a deleted definition."""
    for _, line in file.removed_lines:
        text = line.decode("utf-8", "replace")
        if names.intersection(re.findall(r"\w+", text)):
            yield from _texts(text)


@dataclass(frozen=True)
class _Definitions:
    """`gone`: names of the file's deleted definitions. `headers`: each deleted function's name and
    what precedes its body. `kept`: names that it defines at head."""

    gone: frozenset[str]
    headers: tuple[tuple[str, str], ...]
    kept: frozenset[str]


def _definitions(file: FileDiff) -> _Definitions | None:
    dialect = canary.dialect_of(file.path)
    if dialect is None:
        return None
    before, after = dialect.outline(file.old or b""), dialect.outline(file.new or b"")
    functions = list(_gone(before.functions.values(), after.functions.values()))
    classes = {name.rpartition(".")[2] for name in before.classes.keys() - after.classes.keys()}
    names = classes | {_name(each) for each in functions}
    kept = {_name(each) for each in after.functions.values()}
    kept |= {name.rpartition(".")[2] for name in after.classes}
    return _Definitions(
        gone=frozenset(name for name in names if len(name) >= _MIN_NAME and name.isidentifier()),
        headers=tuple(
            (_name(each), _before_body(dialect, each, file.old or b"")) for each in functions
        ),
        kept=frozenset(name for name in kept if name.isidentifier()),
    )


def _gone(before: Iterable[Function], after: Iterable[Function]) -> Iterator[Function]:
    """Functions of which there are now fewer, by name and code."""
    old, new = list(before), list(after)
    many = Counter(_plain(each) for each in old)
    many.subtract(_plain(each) for each in new)
    code = {(_plain(each), each.words) for each in new}
    return (
        each for each in old if many[_plain(each)] > 0 and (_plain(each), each.words) not in code
    )


def _plain(function: Function) -> str:
    return _NUMBER.sub("", function.key)


def _name(function: Function) -> str:
    return _plain(function).rpartition(".")[2]


def _before_body(dialect: Dialect, function: Function, source: bytes) -> str:
    """The function with its decorators, or the call that it is given to, up to its body."""
    start = source.rfind(b"\n", 0, dialect.outer(function.node).start_byte) + 1
    return source[start : function.body.start_byte].decode("utf-8", "replace")


def _texts(code: str) -> Iterator[str]:
    found = (each.groups() for each in _TEXT.finditer(code))
    return (text for _, text, end in found if end and len(text) > 1)


def _is(test: TestResult, file: str, name: str) -> bool:
    """Whether a result is that of the test with this file and name."""
    if (file_in(test.id) or test.file or file) != file:
        return False
    plain = test.id.partition("[")[0]
    for spelled in {separator.join(name.split(".")) for separator in SEPARATORS}:
        before = plain.removesuffix(spelled)
        if before != plain and not re.search(r"\w$", before):
            return True
    return False
