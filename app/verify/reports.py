"""Verification results for the agent: success in one line, failures with their essentials.

Test names, messages and output come from the repository: each of their lines starts with a bar and
has no control characters, so that none can be mistaken for one of Honk's lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain.sanitize import fit, fit_middle, visible
from app.domain.verdict import (
    Results,
    TestChange,
    TestOutcome,
    Verdict,
    compare,
)

MAX_NAME = 300
_LEAST = 300
"""A failure's description that would be cut below this many characters is left out."""


@dataclass(frozen=True)
class _Failure:
    test: TestChange
    was: str
    check: bool = False


def for_agent(results: Results, before: Results | None, *, budget_chars: int = 8_000) -> str:
    """Format the results in about `budget_chars` characters; omissions are counted.

    `before`, the base commit's results if known, adds what changed.
    """
    if not results.verifiers:
        return "Nothing to run: no tests were found and the repository's policy names none."
    verdict = compare(before, results)
    failures = [*_failures(verdict, before)]
    notes = list(dict.fromkeys(_notes(verdict, results)))
    if not failures:
        return "\n".join([_summary(verdict, results, before), *notes])
    head = "\n".join([_headline(verdict, failures), *notes])
    return f"{head}\n\n{_format_failures(failures, budget_chars - len(head))}"


def _summary(verdict: Verdict, results: Results, before: Results | None) -> str:
    counts = verdict.counts_after
    tests = [result for result in results.verifiers if result.kind == "tests"]
    passed = verdict.checks.passed
    checks = f", {passed:,} {'check passes' if passed == 1 else 'checks pass'}" if passed else ""
    if not any(result.ran for result in tests):
        return f"No test was run{checks}." if checks else "Nothing was run."
    seconds = sum(result.seconds for result in results.verifiers)
    only = all(result.from_exit_code_only for result in tests)
    what = "exited with code 0" if only else "passed"
    skipped = f", {counts.skipped:,} skipped" if counts.skipped else ""
    fixed = f", {len(verdict.fixed):,} of them failed before" if before and verdict.fixed else ""
    return f"OK: {counts.passed:,} {what}{fixed}{skipped}{checks} ({seconds:.1f} s)."


def _headline(verdict: Verdict, failures: Sequence[_Failure]) -> str:
    counts = verdict.counts_after
    total = counts.passed + counts.failed + counts.errors + counts.skipped
    fixed = f" {len(verdict.fixed):,} that failed before pass now." if verdict.fixed else ""
    checks = sum(failure.check for failure in failures)
    tests = len(failures) - checks
    and_checks = f" Besides, {checks:,} of its checks fail." if checks else ""
    if not tests:
        return f"CHECKS FAILED: {checks:,}. {counts.passed:,} tests passed.{fixed}"
    return f"FAILED: {tests:,} of {total:,}, {counts.passed:,} passed.{fixed}{and_checks}"


def _failures(verdict: Verdict, before: Results | None) -> Iterator[_Failure]:
    unknown = "" if before is None else ", unknown before"
    for test in verdict.new_failures:
        yield _Failure(test, ", new: it is not there before" if test.before is None else _NEW)
    for test in verdict.failing_unknown:
        yield _Failure(test, unknown)
    for test in verdict.still_failing:
        yield _Failure(test, ", failed before too")
    for test in verdict.flaky:
        if test.after is not None and test.after.bad:
            yield _Failure(test, ", flaky: it passed when run again")
    for test in verdict.checks.new_failures:
        yield _Failure(test, _NEW, check=True)
    for test in verdict.checks.failing_unknown:
        yield _Failure(test, unknown, check=True)
    for test in verdict.checks.still_failing:
        yield _Failure(test, ", failed before too", check=True)


_NEW = ", new: it did not fail before"


def _notes(verdict: Verdict, results: Results) -> Iterator[str]:
    for name, tests in (
        ("no longer there", verdict.removed),
        ("skipped now", verdict.newly_skipped),
        ("not reached", verdict.not_run),
    ):
        if tests:
            names = ", ".join(_name(test.id, 100) for test in tests[:5])
            more = f" and {len(tests) - 5:,} more" if len(tests) > 5 else ""
            yield f"Tests of the base commit that are {name}: {len(tests):,} ({names}{more})."
    for result in results.verifiers:
        if result.problem is not None:
            yield f"{result.verifier}: {visible(result.problem)}."
        if result.note is not None:
            yield f"{result.verifier}: {visible(result.note)}."


def _format_failures(failures: Sequence[_Failure], budget: int) -> str:
    """As many failures as fit, then names, then a count of the rest."""
    parts: list[str] = []
    for number, failure in enumerate(failures):
        share = max(_LEAST, budget // min(len(failures) - number, 5))
        text = _describe(failure, share)
        if len(text) > budget and parts:
            parts.append(_left_out(failures[number:], budget))
            break
        parts.append(text)
        budget -= len(text) + 2
    return "\n\n".join(parts)


def _describe(failure: _Failure, limit: int) -> str:
    test = failure.test
    place = f" at {_name(test.file, MAX_NAME)}:{test.line}" if test.file and test.line else ""
    word = "ERROR" if test.after is TestOutcome.ERROR else "FAILED"
    check = f"{_name(test.verifier, 100)}: " if failure.check else ""
    head = f"{word} {check}{_name(test.id, MAX_NAME)}{place}{failure.was}"
    text = test.details
    first = test.message.strip().partition("\n")[0]
    if first not in text:
        text = f"{test.message.strip()}\n{text}"
    return f"{head}\n{_barred(text, max(0, limit - len(head)))}".rstrip()


def _left_out(failures: Sequence[_Failure], budget: int) -> str:
    lines = [f"{len(failures):,} more failures, cut to their names:"]
    for number, failure in enumerate(failures):
        line = f"FAILED {_name(failure.test.id, 120)}{failure.was}"
        budget -= len(line) + 1
        if budget < 0:
            lines.append(f"… and {len(failures) - number:,} more.")
            break
        lines.append(line)
    return "\n".join(lines)


def _barred(text: str, limit: int) -> str:
    lines = [line.rstrip() for line in visible(text).split("\n")]
    bars = "\n".join(f"| {line}" for line in lines if line)
    return "\n".join(
        line if line.startswith("| ") else f"| {line}"
        for line in fit_middle(bars, limit).split("\n")
    )


def _name(text: str, limit: int) -> str:
    """Format a name on one line."""
    return fit(" ".join(visible(text).split()), limit)
