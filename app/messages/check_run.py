"""Title, summary and annotations of the check runs."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.flag import Flag
from app.domain.report import (
    Report,
)
from app.domain.verdict import CheckResults, TestChange, TestCounts, Verdict, VerifierResult
from app.messages.formatting import (
    FLAGS_SHOWN,
    NAMES_SHOWN,
    duration,
    outcome_headline,
    reasons,
    result_line,
    sentence,
)

SUMMARY_LIMIT = 65_535


TESTS_CHECK = "honk / tests"


RUN_CHECK = "honk / run"


def stopped() -> tuple[str, str]:
    """Title and summary of the check run of a run that was stopped."""
    return ("Stopped", "Someone stopped the run. The commit has its work; no tests were judged.")


def run_in_progress() -> tuple[str, str]:
    """Title and summary of `honk / run` while a run works on the pull request."""
    return ("Honk is working", "See the status comment in the conversation for details.")


def run_completed(report: Report) -> tuple[str, str]:
    """Title and summary of `honk / run` when the run has ended."""
    return (outcome_headline(report), result_line(report) or outcome_headline(report))


def waiting() -> tuple[str, str]:
    """Title and summary of a check run that is queued or in progress."""
    return ("Waiting for tests", "Running the tests in a clean checkout of this commit.")


def title(verdict: Verdict, flags: int) -> str:
    """The verdict in one line, with the number of flags to review."""
    return f"{verdict.title}, {flags} to review" if flags else verdict.title


def summary(verdict: Verdict, ran: tuple[str, ...], flags: Sequence[Flag] = ()) -> str:
    """The check run's page below its title: reasons, flags, the table, the commands."""
    parts = [*reasons(verdict), flags_section(flags), verdict_table(verdict), *ran]
    return sanitize.fit("\n\n".join(part for part in parts if part), SUMMARY_LIMIT)


def flags_section(flags: Sequence[Flag]) -> str:
    """What a person should review before trusting the change."""
    if not flags:
        return ""
    lines = [f"- {flag_line(flag)}" for flag in flags[:FLAGS_SHOWN]]
    if len(flags) > FLAGS_SHOWN:
        lines.append(f"- and {len(flags) - FLAGS_SHOWN:,} more")
    return "\n".join(["**Review these first**", "", *lines])


def flag_line(flag: Flag) -> str:
    """One flag: where, and why."""
    line = f":{flag.line}" if flag.line else ""
    where = f"{sanitize.code(f'{flag.file}{line}', limit=200)}: " if flag.file else ""
    return f"{where}{sanitize.plain(flag.reason, limit=400)}"


def what_ran(result: VerifierResult) -> str:
    """One command, how it ended, and its last output in a fold."""
    ended = "timed out" if result.timed_out else f"exited with {result.exit_code}"
    folder = result.verifier.partition(":")[2]
    where = f" in {sanitize.code(folder, limit=200)}" if folder else ""
    lines = [
        f"{sanitize.code(result.command, limit=300)}{where} {ended} ({duration(result.seconds)})."
    ]
    if result.from_exit_code_only:
        lines.append("It writes no test report that Honk can read, so only its exit code counts.")
    for remark in (result.problem, result.note):
        if remark:
            told = sanitize.plain(remark, limit=500)
            lines.append(sentence(told[:1].upper() + told[1:]))
    if result.output_tail.strip():
        tail = sanitize.fence(result.output_tail, limit=20_000)
        lines.append(f"<details><summary>Output (end)</summary>\n\n{tail}\n\n</details>")
    return "\n\n".join(lines)


def verdict_rows(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """The kinds of change to tests and checks that occurred, each with all names."""
    rows = [
        ("New failures", verdict.new_failures),
        ("Failing, no base result", verdict.failing_unknown),
        ("Fixed", verdict.fixed),
        ("Failing before and after", verdict.still_failing),
        ("Flaky", verdict.flaky),
        ("Added", verdict.added),
        ("Removed", verdict.removed),
        ("Newly skipped", verdict.newly_skipped),
        ("No longer skipped", verdict.unskipped),
        ("Not run", verdict.not_run),
    ]
    named = [(name, [test.id for test in tests]) for name, tests in rows if tests]
    named += [
        (name, [f"{each.verifier}: {each.id}" for each in found])
        for name, found in _check_rows(verdict.checks)
        if found
    ]
    return named


def verdict_table(verdict: Verdict) -> str:
    """Test counts before and after, in a table narrow enough for a phone; names below it."""
    named = verdict_rows(verdict)
    before = verdict.counts_before
    lines = ["| Tests | |", "|---|---|"]
    lines += [f"| {name} | {len(tests):,} |" for name, tests in named]
    if verdict.checks.passed:
        lines.append(f"| Checks: passed | {verdict.checks.passed:,} |")
    lines.append(f"| Before | {_counts(before) if before else 'unknown'} |")
    lines.append(f"| After | {_counts(verdict.counts_after)} |")
    return "\n".join(lines) + "\n\n" + "\n".join(_names(name, tests) for name, tests in named)


def _check_rows(checks: CheckResults) -> list[tuple[str, tuple[TestChange, ...]]]:
    return [
        ("Checks: new failures", checks.new_failures),
        ("Checks: failing, no base result", checks.failing_unknown),
        ("Checks: fixed", checks.fixed),
        ("Checks: failing before and after", checks.still_failing),
        ("Checks: not run", checks.not_run),
    ]


def _names(name: str, tests: Sequence[str]) -> str:
    shown = ", ".join(sanitize.code(test, limit=160) for test in tests[:NAMES_SHOWN])
    more = f" and {len(tests) - NAMES_SHOWN:,} more" if len(tests) > NAMES_SHOWN else ""
    return f"- {name}: {shown}{more}"


def annotation(change: TestChange) -> tuple[str, str]:
    """Title and message of the annotation on a failing line."""
    title = sanitize.fit(" ".join(sanitize.printable(change.id).split()), 250)
    message = sanitize.printable(change.details or change.message) or "This test fails."
    return title, sanitize.fit_middle(message, 8_000)


def ended_early() -> tuple[str, str]:
    """Title and summary of a check run whose run ended before its tests were judged."""
    return (
        "Not judged",
        "The run ended before this commit's tests were judged. See the issue for the reason.",
    )


def _counts(counts: TestCounts) -> str:
    failed = counts.failed + counts.errors
    return f"{counts.passed:,} passed, {failed:,} failed, {counts.skipped:,} skipped"
