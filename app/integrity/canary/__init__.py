"""The canary: do the tests that prove a change fail when its functions do nothing? Pure.

Every function that the change touches on the source side gets an error at its start, and in a
second version a neutral return value. Tests that count as proof and still pass under both prove
nothing about these functions: something else made them pass.

Changes outside functions stay as they are. A test's result may depend on them, so the canary
measures nothing if all tests pass then; if at least one test fails, that is a valid result in any
case.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from app.domain.diff import EXECUTABLE, PLAIN, Diff, FileDiff
from app.domain.evidence import ChangedSides
from app.domain.flag import snippet
from app.domain.verdict import Results, TestOutcome
from app.integrity import MAX_BYTES, MAX_FILE_BYTES, paths
from app.integrity.canary.go import GoFunctions
from app.integrity.canary.java import JavaFunctions
from app.integrity.canary.javascript import JavaScriptFunctions, TsxFunctions, TypeScriptFunctions
from app.integrity.canary.python import PythonFunctions
from app.integrity.canary.rust import RustFunctions
from app.integrity.canary.syntax import (
    Dialect,
    Function,
    Insertion,
    Outline,
    Unable,
    Way,
    apply,
    parses,
)
from app.integrity.configuration import flat_settings

__all__ = [
    "CanaryPlan",
    "ChangedFunction",
    "Untouched",
    "Way",
    "dialect_of",
    "evaluate",
    "instrument",
    "plan_canary",
]

Measured = Literal["failed", "passed", "not measured"]

_DIALECTS: Mapping[str, Dialect] = {
    "python:PythonReader": PythonFunctions(),
    "go:GoReader": GoFunctions(),
    "rust:RustReader": RustFunctions(),
    "java:JavaReader": JavaFunctions(),
    "javascript:JavaScriptReader": JavaScriptFunctions(),
    "javascript:TypeScriptReader": TypeScriptFunctions(),
    "javascript:TsxReader": TsxFunctions(),
}
"""By the syntax reader that an ecosystem declares. Other languages have no canary."""

_TOOLS = re.compile(
    r"(?:^|/)\.[^/]+(?:/|$)|(?:^|/)(?:MANIFEST\.in|LICEN[CS]E[^/]*|NOTICE[^/]*|AUTHORS[^/]*|CITATION[^/]*"
    r"|GNUmakefile|[Mm]akefile|[Jj]ustfile|Dockerfile[^/]*|setup\.py|noxfile\.py|RELEASING[^/]*|CODEOWNERS"
    r"|requirements/[^/]+|[^/]*(?:dev|docs?|test|lint|build)[^/]*\.(?:txt|in))$"
)
"""Files for tools around the code, which do not affect test results."""

_MATTERS = re.compile(
    r"(?i)depend|requir|extras|entry|package|include|exports|main|module|\bbin\b|feature|overrides"
    r"|resolutions|replace|patch"
)
"""Settings that decide what the code consists of."""

_MAX_TRIED = 100
"""The maximum number of functions that are tried one by one if not all of them accept a
statement.
"""

_DECLARATIONS = re.compile(r"\.pyi$|\.d\.[cm]?ts$")


@dataclass(frozen=True)
class ChangedFunction:
    """A function. `line` counts from 1 at head."""

    file: str
    line: int
    name: str


@dataclass(frozen=True)
class Untouched:
    """A part of the change that keeps its code, and why. `name` is empty for the whole file.

    `matters`: a test's result may depend on it, so passing tests say nothing.
    """

    file: str
    name: str
    reason: str
    matters: bool = True

    @property
    def sentence(self) -> str:
        where = f"`{self.name}` in {self.file}" if self.name else self.file
        return f"{where} {self.reason}."


@dataclass(frozen=True)
class CanaryPlan:
    """The overrides for the head tree, by path, as mode and content: one set for each way."""

    raising: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    neutral: Mapping[str, tuple[str, bytes]] = field(default_factory=dict)
    functions: tuple[ChangedFunction, ...] = ()
    untouched: tuple[Untouched, ...] = ()

    @property
    def why_not(self) -> str:
        """Why there is nothing to run; empty when there is."""
        if self.functions:
            return ""
        first = next(iter(sorted(self.untouched, key=lambda each: not each.matters)), None)
        return first.sentence if first else "The change touches no function."


def dialect_of(path: str) -> Dialect | None:
    """How to find the functions of a file; None if its language has no canary."""
    return _DIALECTS.get(paths.syntax_reader(path))


def plan_canary(diff: Diff, sides: ChangedSides, nonce: str) -> CanaryPlan:
    """Plan both versions of the head tree.

    `nonce`: letters and digits that no code under test can know; the error carries it. Never
    raises for file contents. Takes about a second a megabyte: call it in a thread.
    """
    source = {*sides.source, *sides.partly}
    files = [diff.before_rename(each) for each in diff.files if each.path in source]
    moved_from = {old for new, old in diff.renames.items() if new in diff.by_path}
    sources = [each for each in files if not (each.is_deleted and each.path in moved_from)]
    parts: list[_Part] = []
    untouched: list[Untouched] = []
    left = MAX_BYTES
    for each in sources:
        left -= len(each.old or b"") + len(each.new or b"")
        part = _examined(each, left)
        if isinstance(part, Untouched):
            untouched.append(part)
        else:
            parts.append(part)
    return _planned(parts, [each for each in untouched if each.reason], nonce)


def instrument(path: str, old: bytes | None, new: bytes, way: Way, nonce: str) -> bytes | Untouched:
    """One file in which all changed functions end at their start."""
    part = _examined(FileDiff.of(path, old, new), MAX_BYTES)
    if isinstance(part, Untouched):
        return part
    plan = _planned([part], [], nonce)
    made = (plan.raising if way is Way.RAISE else plan.neutral).get(path)
    if made is None:
        return next(iter(plan.untouched), Untouched(path, "", "has no changed function"))
    return made[1]


def evaluate(
    plan: CanaryPlan,
    proof: Collection[tuple[str, str]],
    raising: Results | None,
    neutral: Results | None,
) -> tuple[Measured, str]:
    """The canary's result, and why.

    `proof`: verifier and id of each test that counts as proof. The results are those of the tests
    over both versions; None where it did not run. With `neutral` still to run, "failed" already
    decides, so that the second run can be saved.
    """
    if plan.why_not:
        return "not measured", plan.why_not
    if not proof:
        return "not measured", "No test counts as proof."
    seen = [_seen(results, proof) for results in (raising, neutral) if results is not None]
    if any("failed" in each for each in seen):
        return "failed", ""
    if len(seen) < 2:
        return "not measured", "The tests did not run with the changed functions switched off."
    if any("no start" in each for each in seen):
        return "not measured", "The tests could not start with the changed functions switched off."
    matters = next((each for each in plan.untouched if each.matters), None)
    if matters is not None:
        return "not measured", matters.sentence
    what = _named(plan.functions)
    return "passed", f"The proof passes even when {what} raises an error or returns nothing."


def _seen(results: Results, proof: Iterable[tuple[str, str]]) -> set[str]:
    """How the proof ended: "passed", "failed" (executed, but did not pass), "no start"."""
    tests = {
        (verifier.verifier, test.id): test
        for verifier in results.verifiers
        for test in verifier.tests
    }
    seen: set[str] = set()
    for key in proof:
        test = tests.get(key)
        if test is None or test.could_not_run or test.outcome is TestOutcome.SKIPPED:
            seen.add("no start")
        else:
            seen.add("failed" if test.outcome.bad else "passed")
    return seen


def _named(functions: tuple[ChangedFunction, ...]) -> str:
    first = f"`{functions[0].name}`"
    more = len(functions) - 1
    return f"{first} and {more} more changed functions" if more else first


@dataclass(frozen=True)
class _Part:
    """One file of the change, read."""

    file: FileDiff
    dialect: Dialect
    before: Outline
    after: Outline

    @cached_property
    def runs_at_load(self) -> frozenset[str]:
        """Names in changed code outside functions. A canary in such a function would keep the
        module from loading, no matter what the tests check.
        """
        pieces = self.after.pieces - self.before.pieces
        return frozenset(
            word
            for piece in pieces
            if not self.dialect.is_inert(piece)
            for word in re.findall(r"\w+", piece)
        )


def _examined(file: FileDiff, left: int) -> _Part | Untouched:
    """Read a file, or return why it is not read; without a reason if that does not matter."""
    path = file.path
    if paths.is_lint_config(path) or _DECLARATIONS.search(path):
        return Untouched(path, "", "")
    if {file.old_mode, file.new_mode} - {"000000", PLAIN, EXECUTABLE}:
        return Untouched(path, "", "is not a regular file")
    if file.old == file.new and file.old is not None:
        return Untouched(path, "", "")
    dialect = dialect_of(path)
    if _TOOLS.search(path) or (dialect is None and _is_other_setting(file)):
        return Untouched(path, "", "")
    if dialect is None:
        return Untouched(path, "", "is not code whose functions can be read")
    if not file.is_text or file.withheld or left < 0:
        return Untouched(path, "", "is too large, or not text")
    if max(len(file.old or b""), len(file.new or b"")) > MAX_FILE_BYTES:
        return Untouched(path, "", "is too large")
    after = dialect.outline(file.new or b"")
    if after.broken:
        return Untouched(path, "", "could not be parsed completely")
    return _Part(file, dialect, dialect.outline(file.old or b""), after)


def _is_other_setting(file: FileDiff) -> bool:
    """Whether only settings changed that do not affect the code, such as a version."""
    before, after = flat_settings(file) if file.is_text and not file.withheld else ({}, {})
    keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    return bool(after) and not any(_MATTERS.search(key) for key in keys)


def _planned(parts: list[_Part], untouched: list[Untouched], nonce: str) -> CanaryPlan:
    still_there = {f.words for part in parts for f in part.after.functions.values()}
    raising: dict[str, tuple[str, bytes]] = {}
    neutral: dict[str, tuple[str, bytes]] = {}
    functions: list[ChangedFunction] = []
    for part in parts:
        path, mode = part.file.path, part.file.new_mode
        untouched += _outside_functions(part, still_there)
        made, kept = _instrumented(part, nonce)
        untouched += kept
        functions += made.functions
        if made.functions:
            raising[path] = (mode, made.raising)
            neutral[path] = (mode, made.neutral)
    return CanaryPlan(raising, neutral, tuple(functions), tuple(untouched))


@dataclass(frozen=True)
class _Edits:
    function: Function
    raising: list[Insertion]
    neutral: list[Insertion]


@dataclass(frozen=True)
class _Made:
    raising: bytes = b""
    neutral: bytes = b""
    functions: tuple[ChangedFunction, ...] = ()


def _instrumented(part: _Part, nonce: str) -> tuple[_Made, list[Untouched]]:
    source, path = part.file.new or b"", part.file.path
    edits: list[_Edits] = []
    kept: list[Untouched] = []
    for function in _changed(part):
        reason, matters = _exempt(part, function)
        error = part.dialect.edit(function, source, Way.RAISE, nonce) if not reason else []
        value = part.dialect.edit(function, source, Way.NEUTRAL, nonce) if not reason else []
        if reason or isinstance(error, Unable):
            kept.append(Untouched(path, function.key, reason or "cannot raise", matters))
            continue
        if isinstance(value, Unable):
            kept.append(Untouched(path, function.key, value.reason))
            value = error
        edits.append(_Edits(function, error, value))
    fitting = _fitting(part.dialect, source, edits)
    names = {each.function.key for each in fitting}
    kept += [
        Untouched(path, each.function.key, "cannot take a statement at its start")
        for each in edits
        if each.function.key not in names
    ]
    places = tuple(ChangedFunction(path, each.function.line, each.function.key) for each in fitting)
    return _Made(*_applied(source, fitting), places), kept


def _fitting(dialect: Dialect, source: bytes, edits: list[_Edits]) -> list[_Edits]:
    """The functions with which the file still parses: usually all, so all are tried at once."""
    if all(parses(dialect, made) for made in _applied(source, edits)):
        return edits
    single = [
        each
        for each in edits[:_MAX_TRIED]
        if all(parses(dialect, made) for made in _applied(source, [each]))
    ]
    return single if all(parses(dialect, made) for made in _applied(source, single)) else []


def _applied(source: bytes, edits: list[_Edits]) -> tuple[bytes, bytes]:
    return (
        apply(source, [each for one in edits for each in one.raising]),
        apply(source, [each for one in edits for each in one.neutral]),
    )


def _changed(part: _Part) -> Iterator[Function]:
    """Functions whose own code is new or different. Moved code did not change."""
    for key, function in part.after.functions.items():
        before = part.before.functions.get(key)
        if before is None or before.words != function.words:
            yield function


def _exempt(part: _Part, function: Function) -> tuple[str, bool]:
    """Why a function keeps its code, and whether test results may depend on it."""
    name = part.dialect.name(function.node)
    if name in part.runs_at_load:
        return "runs while its module is loaded", True
    if name in part.dialect.entry_points:
        return "runs when the program starts", True
    if name in part.after.installed:
        return "replaces another function", False
    return part.dialect.exempt(function), False


def _outside_functions(part: _Part, still_there: Collection[str]) -> Iterator[Untouched]:
    """The changes outside functions on which a test's result may depend."""
    path, before, after, dialect = part.file.path, part.before, part.after, part.dialect
    for piece in (after.pieces - before.pieces) + (before.pieces - after.pieces):
        if not dialect.is_inert(piece):
            yield Untouched(path, "", f"also changes outside functions: `{snippet(piece)}`")
            break
    if name := dialect.rebound(before.pieces, after.pieces):
        yield Untouched(path, name, "is imported from elsewhere")
    for name, header in after.classes.items():
        if before.classes.get(name, header) != header:
            yield Untouched(path, name, "has a changed declaration")
    for key, function in after.functions.items():
        reason, matters = _exempt(part, function)
        if reason and not matters:
            continue
        was = before.functions.get(key)
        changed = was is None or was.header != function.header
        if changed and not dialect.is_harmless(function.header):
            yield Untouched(path, key, "is decorated, and its declaration is new")
    for key, function in before.functions.items():
        gone = key not in after.functions and function.words not in still_there
        # Without a method, another class's takes over; without a function, nothing does.
        if gone and "." in key and not dialect.exempt(function):
            yield Untouched(path, key, "was removed")
            break
