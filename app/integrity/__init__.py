"""Finds where a change makes the tests check less. Pure.

Languages with a grammar are read as syntax trees, configuration with its format's parser. A file
that is too large to read, or is not text, gets its own flag, so nothing is skipped silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import cast

from app.domain.diff import Diff, FileDiff
from app.domain.flag import GROUPS, Flag, Kind, blocking
from app.integrity import configuration, paths
from app.integrity.facts import FileFacts, TestCode
from app.integrity.reader import SyntaxReader
from app.integrity.tests import FileSide, compare, matched, unmatched

__all__ = ["MAX_BYTES", "MAX_FILE_BYTES", "MAX_FLAGS", "Flag", "Kind", "blocking", "examine"]

MAX_FILE_BYTES = 600_000
"""Larger source files are not parsed."""

MAX_BYTES = 4_000_000
"""At most this much of both sides of one change is parsed, tests first."""

MAX_FLAGS = 200
"""Flags beyond this number are counted but not listed."""

_SINGLE = frozenset({kind for kinds in GROUPS.values() for kind in kinds})
"""Kinds that are listed once for each test; other kinds are listed once for each file."""


def examine(diff: Diff, failing_before: Iterable[str] = ()) -> tuple[Flag, ...]:
    """Return all flags on a change, in the order of its files.

    `failing_before` are ids of tests that fail on the base: when the expected value of one
    changes, the flag mentions the failure, since the test itself may have been wrong. Never
    raises for file contents. Takes about two seconds a megabyte: call it in a thread.
    """
    files = _in_pairs(diff)
    sides, unread = _read(files, diff.renames)
    code_changed = any(
        paths.syntax_reader(each.path) and not paths.is_test(each.path) for each in files
    )
    flags = [
        *compare(sides, frozenset(failing_before), code_changed=code_changed),
        *(flag for each in files for flag in configuration.examine(each)),
        *unread,
    ]
    return _bounded(_merged(flags))


def matched_tests(diff: Diff) -> tuple[tuple[str, TestCode, str, TestCode], ...]:
    """The tests of changed files that exist on both sides, each with its file before and after.

    They are matched by name, then by code, then by assertions. Never raises for file contents.
    """
    sides, _ = _read(_in_pairs(diff), diff.renames)
    return tuple(
        (diff.renames.get(pair.came_from, pair.came_from), pair.before, pair.path, pair.after)
        for pair in matched(sides)
    )


def removed_tests(diff: Diff) -> tuple[tuple[str, TestCode], ...]:
    """The tests of changed files that have no counterpart at head, each with its file before.

    Never raises for file contents.
    """
    sides, _ = _read(_in_pairs(diff), diff.renames)
    return tuple(
        (diff.renames.get(side.file.path, side.file.path), test) for side, test in unmatched(sides)
    )


def _in_pairs(diff: Diff) -> list[FileDiff]:
    """The files, with renames paired: a renamed file has its old content, and its old name does not
    count as deleted.
    """
    sources = {old for new, old in diff.renames.items() if new in diff.by_path}
    return [
        diff.before_rename(file)
        for file in diff.files
        if not (file.path in sources and file.is_deleted)
    ]


def _read(files: list[FileDiff], renames: Mapping[str, str]) -> tuple[list[FileSide], list[Flag]]:
    sides: list[FileSide] = []
    unread: list[Flag] = []
    left = MAX_BYTES
    for file in sorted(files, key=lambda each: not paths.is_test(each.path)):
        source = renames.get(file.path, file.path)
        if not paths.syntax_reader(file.path) or (file.old == file.new and source == file.path):
            continue
        size = len(file.old or b"") + len(file.new or b"")
        problem = _unreadable(file, left)
        if problem:
            unread.append(Flag(kind=Kind.NOT_EXAMINED, file=file.path, reason=problem))
            continue
        left -= size
        side = FileSide(file, _facts(source, file, file.old), _facts(file.path, file, file.new))
        sides.append(side)
        if side.after.broken and not side.before.broken and file.new and paths.is_test(file.path):
            reason = "This file could not be parsed completely, so tests in it may be missed."
            unread.append(Flag(kind=Kind.NOT_EXAMINED, file=file.path, reason=reason))
    return sides, unread


def _unreadable(file: FileDiff, left: int) -> str:
    """Why the file cannot be read, or an empty string."""
    if not file.is_text:
        return "" if _is_linked(file) else "This source file is not text and was not examined."
    if file.withheld or max(len(file.old or b""), len(file.new or b"")) > MAX_FILE_BYTES:
        return f"This file is larger than {MAX_FILE_BYTES:,} bytes and was not examined."
    if len(file.old or b"") + len(file.new or b"") > left:
        return f"The change is larger than {MAX_BYTES:,} bytes; this file was not examined."
    return ""


def _is_linked(file: FileDiff) -> bool:
    return file.new_mode not in ("100644", "100755", "000000")


@cache
def syntax_reader_class(name: str) -> type[SyntaxReader]:
    """The class that an ecosystem names as `module:Class`."""
    module, _, of = name.partition(":")
    return cast("type[SyntaxReader]", getattr(import_module(f"{__name__}.{module}"), of))


def _facts(path: str, file: FileDiff, content: bytes | None) -> FileFacts:
    name = paths.syntax_reader(path)
    if not content or not name or _is_linked(file):
        return FileFacts()
    return syntax_reader_class(name)(is_test=paths.is_test(path)).read(content)


def _merged(flags: Iterable[Flag]) -> Iterator[Flag]:
    """Keep one flag for each file and kind, except for kinds that are listed for each test."""
    kept: dict[object, list[Flag]] = {}
    for at, flag in enumerate(flags):
        key = at if flag.kind in _SINGLE else (flag.file, flag.kind)
        kept.setdefault(key, []).append(flag)
    for group in kept.values():
        first, more = group[0], len(group) - 1
        if more:
            places = "1 more place" if more == 1 else f"{more} more places"
            reason = f"{first.reason} The same in {places} in this file."
            first = first.model_copy(update={"reason": reason})
        yield first


def _bounded(flags: Iterable[Flag]) -> tuple[Flag, ...]:
    """Limit the flags, removed tests first."""
    every = list(flags)
    if len(every) <= MAX_FLAGS:
        return tuple(sorted(every, key=lambda flag: (flag.file, flag.line or 0)))
    every.sort(key=lambda flag: flag.kind not in _SINGLE)
    left = len(every) - MAX_FLAGS
    reason = f"{left:,} more flags on this change are not listed."
    return (*every[:MAX_FLAGS], Flag(kind=Kind.NOT_EXAMINED, file="", reason=reason))
