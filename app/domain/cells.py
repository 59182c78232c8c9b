"""Reads the results of one cell, test by test. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.domain.verdict import (
    Results,
    Seen,
    TestKey,
    TestOutcome,
    TestResult,
    VerifierResult,
    executed,
    is_below,
    is_flaky,
    tests_by_key,
    tests_of,
)

Where = Literal["base", "proof", "guard", "head"]


@dataclass(frozen=True)
class View:
    """One test's state in a cell. `hidden`: something that could not start hides it."""

    seen: Seen
    test: TestResult | None = None
    hidden: bool = False

    @property
    def failed(self) -> bool:
        """Whether the test itself is reported as failing or as an error."""
        return self.test is not None and self.test.outcome.bad

    @property
    def flaky(self) -> bool:
        return self.test is not None and is_flaky(self.test)


@dataclass(frozen=True)
class CellResults:
    """One cell. `only`: the test files that ran; empty for all. `runs`: how many times it ran."""

    where: Where
    results: Results | None
    only: frozenset[str] = frozenset()
    runs: int = 1
    tests: Mapping[TestKey, TestResult] = field(default_factory=dict)
    _runs: Mapping[tuple[str, str], _VerifierRun] = field(default_factory=dict)

    @classmethod
    def of(
        cls, where: Where, results: Results | None, only: Collection[str] = (), runs: int = 1
    ) -> CellResults:
        """The cell with these results, which hold tests only and no checks."""
        if results is None:
            return cls(where, None)
        grouped: dict[tuple[str, str], list[VerifierResult]] = {}
        for each in results.verifiers:
            grouped.setdefault((each.verifier, each.command), []).append(each)
        return cls(
            where,
            results,
            frozenset(only),
            runs,
            tests_by_key(results),
            {key: _VerifierRun.of(found) for key, found in grouped.items()},
        )

    def view(self, key: TestKey, file: str | None) -> View:
        """The test's state in the cell. The test's file is given if it is known."""
        if self.results is None:
            return View(Seen.NOT_RUN)
        test = self.tests.get(key)
        if test is not None:
            return View(self._outcome(key, test), test)
        run = self._runs.get((key.verifier, key.command))
        if run is None:
            return self._without_verifier()
        if self.only and file is not None and file not in self.only:
            return View(Seen.NOT_RUN)
        if run.hides(key.id):
            return View(Seen.NO_START, hidden=True)
        # A test whose file is unknown may be in a file that this cell left out.
        return View(Seen.NOT_RUN if self.only and file is None else Seen.ABSENT)

    def holds_below(self, unit: str) -> bool:
        """Whether any test was executed in the file, package or class."""
        return any(is_below(key.id, unit) and executed((test,)) for key, test in self.tests.items())

    def _without_verifier(self) -> View:
        if self.where == "base":
            return View(Seen.ABSENT)
        if self.where == "head":
            ran = any(run.ran for run in self._runs.values())
            return View(Seen.ABSENT) if ran else View(Seen.NO_START, hidden=True)
        return View(Seen.NOT_RUN)

    def _outcome(self, key: TestKey, test: TestResult) -> Seen:
        """An error of the test itself counts against base and head; elsewhere it did not execute.

        It may come from a fixture or an import, and some runners report any exception as one.
        """
        if is_flaky(test) or not self._is_repeated(test):
            return Seen.NO_START
        if test.outcome is TestOutcome.PASSED:
            return Seen.PASS
        if test.outcome is TestOutcome.SKIPPED:
            return Seen.NO_START
        if test.could_not_run and self.where != "head":
            return Seen.NO_START
        if test.outcome is TestOutcome.FAILED or self.where in ("base", "head"):
            return Seen.FAIL
        return Seen.NO_START

    def _is_repeated(self, test: TestResult) -> bool:
        """Whether a test that fails in the proof fails in each of its runs."""
        if self.where != "proof" or not test.outcome.bad or test.whole_run:
            return True
        return 1 + len(test.also) >= self.runs and all(
            outcome is test.outcome for outcome in test.also
        )

    def is_void(self, view: View) -> bool:
        """Whether the test was skipped, or did not give the same result each time."""
        test = view.test
        return test is not None and (
            test.outcome is TestOutcome.SKIPPED or is_flaky(test) or not self._is_repeated(test)
        )


@dataclass(frozen=True)
class _VerifierRun:
    """One verifier's run, and which of its entries hide tests."""

    ran: bool
    units: frozenset[str]
    everything: bool

    @classmethod
    def of(cls, results: Iterable[VerifierResult]) -> _VerifierRun:
        results = tuple(results)
        breaks = [test for result in results for test in breaks_of(result)]
        units = frozenset(test.id for test in breaks if not test.whole_run)
        ran = any(result.ran for result in results)
        empty = not ran and not all(result.nothing_to_run for result in results)
        interrupted = not units and not all(result.complete for result in results)
        whole = any(test.whole_run for test in breaks)
        return cls(ran, units, empty or interrupted or whole)

    def hides(self, test_id: str) -> bool:
        """Whether something that could not run contains the test: everything, a file, a package, a
        class.
        """
        if self.everything or not self.units:
            return self.everything
        return any(above in self.units for above in _above(test_id))


def breaks_of(result: VerifierResult) -> Iterator[TestResult]:
    """The entries for tests that could not run, or for an interrupted run.

    A command with only an exit code counts as a test of its own if it exited by itself.
    """
    for test in tests_of(result):
        by_itself = result.from_exit_code_only and test.outcome is TestOutcome.FAILED
        if not test.outcome.bad or is_flaky(test) or (by_itself and not test.could_not_run):
            continue
        if test.could_not_run or test.whole_run:
            yield test


def _above(test_id: str) -> Iterator[str]:
    for position, character in enumerate(test_id):
        if character in ": .[":
            yield test_id[:position]
