"""Runners that report in the Test Anything Protocol, on standard output.

AVA: https://github.com/avajs/ava/blob/main/docs/05-command-line.md
Node-tap: https://node-tap.org/cli/
Tape: https://github.com/tape-testing/tape
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain.file_tree import located
from app.domain.verdict import TestOutcome, TestResult, VerifierResult, executed
from app.sandbox.spec import Completed
from app.verify.junit import repository_path
from app.verify.results import output_tail, result_of
from app.verify.tap import Point, TapDocument, named, read_tap
from app.verify.verifier import STDOUT, TestCommand, VerifierContext
from app.verify.verifiers.javascript import ALONE, ScriptRunner

_NO_TEST = re.compile(
    r"Uncaught exception in |Unhandled rejection in |No tests found in |Could(?: not|n't) "
    r"|\S+ exited (?:due|with)|Internal error"
)


@dataclass(frozen=True)
class _TapRunner(ScriptRunner):
    """A runner whose standard output is its report."""

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        return replace(super().command(context), stdout=True)

    def results(self, document: TapDocument) -> tuple[TestResult, ...]:
        raise NotImplementedError

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        printed = reports.get(STDOUT, b"")
        document = read_tap(printed)
        tests = self.results(document)
        if document.count > 1:
            # The script itself got as far as the runner, which then ran a second time.
            reports = {name: each for name, each in reports.items() if name != ALONE}
        result = result_of(self.name, self.line, completed).model_copy(
            update={
                "tests": tests,
                "ran": executed(tests),
                "complete": document.complete and not any(test.could_not_run for test in tests),
                "note": self._note(reports),
                "output_tail": output_tail(completed, printed),
            }
        )
        unreadable = None if document.complete or not tests else "its report is incomplete"
        return self._judged(result, completed.how_it_ended, unreadable)


@dataclass(frozen=True)
class Ava(_TapRunner):
    """A package tested with AVA, which names a test's file only if there are several."""

    line: str = "ava"
    name: ClassVar[str] = "ava"
    program: ClassVar[str] = "ava"
    none_found: ClassVar[re.Pattern[str]] = re.compile(r"Couldn[’']t find any files to test")

    def added(self, context: VerifierContext) -> Sequence[str]:
        return ("--tap",)

    def results(self, document: TapDocument) -> tuple[TestResult, ...]:
        place = located("", self.folder)

        def each() -> Iterator[tuple[str, Point, str | None, bool]]:
            for point in document.points:
                name = point.name.replace("\\#", "#")
                yield f"{place}{name}", point, None, _NO_TEST.match(name) is not None

        return named(each())


@dataclass(frozen=True)
class Tap(_TapRunner):
    """A package tested with node-tap: a point for each file, and below it one for each test."""

    line: str = "tap"
    name: ClassVar[str] = "tap"
    program: ClassVar[str] = "tap"
    none_found: ClassVar[re.Pattern[str]] = re.compile(
        r"(?i)no valid test files|no tests specified"
    )

    def added(self, context: VerifierContext) -> Sequence[str]:
        return ("--reporter=tap",)

    def results(self, document: TapDocument) -> tuple[TestResult, ...]:
        def each() -> Iterator[tuple[str, Point, str | None, bool]]:
            for point in document.points:
                file = repository_path(point.name, self.folder)
                start = file or located(point.name, self.folder)
                bad = any(test.outcome.bad for test in point.inner)
                for test in point.inner:
                    yield f"{start} > {test.name}", test, file, False
                if not point.inner or (point.outcome.bad and not bad):
                    yield start, point, file, True

        return named(each())


@dataclass(frozen=True)
class Tape(_TapRunner):
    """A package tested with tape, whose assertions follow a comment with the test's name."""

    line: str = "tape"
    name: ClassVar[str] = "tape"
    program: ClassVar[str] = "tape"
    none_found: ClassVar[re.Pattern[str]] = re.compile(r"No test files found")

    def added(self, context: VerifierContext) -> Sequence[str]:
        return ()

    def results(self, document: TapDocument) -> tuple[TestResult, ...]:
        place = located("", self.folder)

        def each() -> Iterator[tuple[str, Point, str | None, bool]]:
            for (_, name), points in itertools.groupby(document.points, lambda one: one.section):
                if name:
                    yield f"{place}{name}", _together(name, list(points)), None, False
                else:
                    yield from ((f"{place}{one.name}", one, None, False) for one in points)

        return named(each())


def _together(name: str, points: Sequence[Point]) -> Point:
    """One point for all assertions of a test; the first failing one gives the reason."""
    bad = next((each for each in points if each.outcome.bad), None)
    if bad is not None:
        return Point(name, bad.outcome, 0, [f"message: {bad.name}", *bad.details])
    skipped = all(each.outcome is TestOutcome.SKIPPED for each in points)
    return Point(name, TestOutcome.SKIPPED if skipped else TestOutcome.PASSED, 0)
