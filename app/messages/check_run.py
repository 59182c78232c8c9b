"""Title, summary and annotations of the check runs."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain import sanitize
from app.domain.check_names import TESTS_CHECK as TESTS_CHECK
from app.domain.ci import VERIFIER as CI
from app.domain.flag import Flag
from app.domain.report import (
    Report,
)
from app.domain.values import short
from app.domain.verdict import TestChange, Verdict, VerdictKind, VerifierResult
from app.domain.verdict_words import ACCEPTED
from app.messages import verdict as verdicts
from app.messages.formatting import (
    FLAGS_SHOWN,
    duration,
    sentence,
)
from app.messages.outcome import outcome_headline, result_line

SUMMARY_LIMIT = 65_535


RUN_CHECK = "honk / run"


BY_PULL = "pull."
"""The external id of a check run that belongs to no run; the pull request's number follows, and
after a dot the request's id."""


def pull_id(number: int, request: str) -> str:
    """The external id of a check run on a pull request that belongs to no run."""
    return f"{BY_PULL}{number}.{request}"


def stopped() -> tuple[str, str]:
    """Title and summary of the check run of a run that was stopped."""
    return (
        "Stopped",
        "Someone stopped the run. The commit has its work, but there is no verdict on it.",
    )


def run_in_progress() -> tuple[str, str]:
    """Title and summary of `honk / run` while a run works on the pull request."""
    return ("Honk is working", "See the status comment in the conversation for details.")


def run_completed(report: Report) -> tuple[str, str]:
    """Title and summary of `honk / run` when the run has ended."""
    return (outcome_headline(report), result_line(report) or outcome_headline(report))


def waiting() -> tuple[str, str]:
    """Title and summary of a check run that is queued or in progress."""
    return ("Waiting for tests", "Running the tests in a clean checkout of this commit.")


def queued(page: str, image: str) -> tuple[str, str]:
    """Title and summary of a check run that waits for a slot. `page` is its URL and `image` that of
    its current state, or both are empty.
    """
    lines = ["Requests from people run first. The result will replace this text."]
    if page:
        lines.append(f"[![State of the run]({image})]({page})")
    return ("Queued", "\n\n".join(lines))


def no_worker() -> str:
    """The state of a run that no worker starts, although a slot is free."""
    return "No worker is running; Honk's operator has to start one"


def forks_ask(number: int) -> tuple[str, str]:
    """Title and summary of the check on a fork's pull request that no one has asked to verify."""
    return (
        "Not run: this pull request is from a fork",
        "Someone with write access can start the tests: use the button **Run the tests** above, or "
        f"comment `/honk test` on #{number}. The code runs in a sandbox without secrets.\n\n"
        "To verify every fork, set `check: {forks: always}` in `.github/honk.yml`.",
    )


def forks_never() -> tuple[str, str]:
    """Title and summary of the check on a fork's pull request if the policy excludes forks."""
    return (
        "Not run: pull requests from forks are not verified",
        "`check: {forks: never}` in `.github/honk.yml` disables it. Nothing was measured.",
    )


def skipped_paths(globs: Sequence[str]) -> tuple[str, str]:
    """Title and summary of the check on a change of skipped paths only."""
    listed = ", ".join(sanitize.code(glob, limit=100) for glob in globs[:10])
    return (
        "Not run: only skipped paths changed",
        f"Every changed file matches `check: {{skip: …}}` in `.github/honk.yml`: {listed}. "
        "Nothing was measured.",
    )


def shared(place: str) -> tuple[str, str]:
    """Title and summary of a check that would also count elsewhere; `place` is #N, for example."""
    return (
        f"Does not count: {place} has the same head commit",
        f"A check belongs to a commit, so this one would also count for {place}, which was not "
        "measured with it. Close one of the two or push another commit to it, and then use the "
        "button **Run the tests** above.",
    )


def minutes_spent(minutes: float) -> tuple[str, str]:
    """Title and summary of the check when the day's minutes are used up."""
    return (
        "Not run: today's minutes are used up",
        f"Honk spends at most {minutes:g} minutes a day on pull requests that no one asked it to "
        "verify (`check: {minutes_per_day: …}` in `.github/honk.yml`). The day ends at midnight "
        "UTC.\n\nThe button **Run the tests** above starts them now. Entries of a merge queue are "
        "always verified.",
    )


def policy_error(problem: str, next_step: str) -> tuple[str, str]:
    """Title and summary of the check while the policy file has an error."""
    merging = (
        "Every pull request shows this error until it is fixed on the default branch, even the one "
        "that fixes it. If this check is required, someone who can bypass it has to merge the fix."
    )
    parts = (problem, next_step, merging)
    return ("Not run: the policy file has an error", "\n\n".join(filter(None, parts)))


def breaks_policy(problem: str) -> tuple[str, str]:
    """Title and summary of the check on a change after which the policy file has an error."""
    return (
        "Not run: this change breaks the policy file",
        f"{sanitize.markdown(problem, limit=4_000)}\n\nWith this error on the default branch, no "
        "pull request would be verified. Fix the file on this branch; the next push starts the "
        "tests.",
    )


def refused(problem: str, next_step: str) -> tuple[str, str]:
    """Title and summary of the check that refuses a request where Honk may not comment."""
    return ("Nothing started", f"{problem}\n\n{next_step}".strip())


def superseded_by(sha: str) -> str:
    """Why a verification stops when another commit is the head."""
    return f"Superseded: {short(sha)} is the head now. Its own check has the result."


def superseded_by_newer() -> str:
    """Why a verification stops when a newer push or request is about the same pull request."""
    return "Superseded: a newer push or request started another check."


def left_queue() -> str:
    """Why a verification stops when its entry is no longer in the merge queue."""
    return "This entry was removed from the merge queue."


def merge_queue_entry() -> str:
    """The title of a merge queue's entry that names no pull request."""
    return "Merge queue entry"


def title(verdict: Verdict) -> str:
    """The verdict in one line."""
    return verdict.title


def summary(
    verdict: Verdict,
    sha: str,
    ran: tuple[str, ...],
    flags: Sequence[Flag] = (),
    attestation: str = "",
    cells: str = "",
) -> str:
    """The check run's page below its title: evidence, table, names, notes, hints; commands
    folded. `attestation` is the URL of the signed evidence, or empty; `cells` says who ran which
    cell, if the repository's CI ran some."""
    parts = [
        verdicts.statement(verdict),
        verdicts.next_step(verdict, sha),
        verdicts.expectations(verdict),
        verdicts.table(verdict),
        verdicts.notes_list(verdict),
        cells,
        flags_section(flags),
        verdicts.signed(attestation),
    ]
    text = _fit_bytes("\n\n".join(part for part in parts if part), SUMMARY_LIMIT)
    return text + _commands(ran, SUMMARY_LIMIT - len(text.encode()))


def accepted(title: str, summary: str, kind: VerdictKind, login: str, sha: str) -> tuple[str, str]:
    """Title and summary after a person accepted the verdict; unchanged if they say so already."""
    if title.startswith(f"{ACCEPTED}: "):
        return title, summary
    said = verdicts.accepted(login, sha)
    seen = title.partition(": ")[2] or title
    rest = summary.replace(verdicts.how_to_go_on(kind, sha), "").strip()
    return f"{ACCEPTED}: {seen}", _fit_bytes(f"{said}\n\n{rest}", SUMMARY_LIMIT)


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
    if result.verifier == CI:
        return _what_ci_ran(result)
    ended = "timed out" if result.timed_out else f"exited with {result.exit_code}"
    folder = result.verifier.partition(":")[2]
    where = f" in {sanitize.code(folder, limit=200)}" if folder else ""
    lines = [
        f"{sanitize.code(result.command, limit=300)}{where} {ended} ({duration(result.seconds)})."
    ]
    if result.from_exit_code_only:
        lines.append("It writes no test report that Honk can read, so only the exit code counts.")
    for remark in (result.problem, result.note):
        if remark:
            text = sanitize.plain(remark, limit=500)
            lines.append(sentence(text[:1].upper() + text[1:]))
    if result.output_tail.strip():
        tail = sanitize.fence(result.output_tail, limit=20_000)
        lines.append(f"<details><summary>Output (end)</summary>\n\n{tail}\n\n</details>")
    return "\n\n".join(lines)


def _what_ci_ran(result: VerifierResult) -> str:
    """The reports of one artifact of the repository's CI."""
    count = f"{len(result.tests):,} tests in the reports of CI"
    lines = [f"{sanitize.code(result.command, limit=300)}: {count} ({duration(result.seconds)})."]
    if result.problem:
        text = sanitize.plain(result.problem, limit=500)
        lines.append(sentence(text[:1].upper() + text[1:]))
    return "\n\n".join(lines)


def annotation(change: TestChange) -> tuple[str, str]:
    """Title and message of the annotation on a failing line."""
    title = sanitize.fit(" ".join(sanitize.printable(change.id).split()), 250)
    message = sanitize.printable(change.details or change.message) or "This test fails."
    return title, sanitize.fit_middle(message, 8_000)


def ended_early(why: str | None = None, problem: str = "") -> tuple[str, str]:
    """Title and summary of a check run whose run ended before its tests were judged. `why` is a
    sentence that says why it was stopped, `problem` why it failed; if both are missing, the issue
    has the reason.
    """
    if why:
        return ("Superseded" if why.startswith("Superseded") else "Stopped", why)
    if problem:
        return ("No verdict: the run failed", sanitize.fit(problem, 4_000))
    return (
        "Not judged",
        "The run ended before the verdict on this commit. See the issue for the reason.",
    )


def _commands(ran: tuple[str, ...], room: int) -> str:
    """The commands with their output, folded, as far as they fit in `room` bytes."""
    head = "\n\n<details><summary>Commands and output</summary>\n\n"
    foot, left_out = "\n\n</details>", "\n\nThe rest was left out to stay within GitHub's limit."
    room -= len((head + foot + left_out).encode())
    kept: list[str] = []
    for each in ran:
        room -= len(each.encode()) + 2
        if room < 0:
            break
        kept.append(each)
    more = left_out if len(kept) < len(ran) else ""
    return head + "\n\n".join(kept) + more + foot if kept else ""


def _fit_bytes(text: str, limit: int) -> str:
    """GitHub counts bytes here; a cut is marked."""
    while len(text.encode()) > limit:
        text = sanitize.fit(text, max(0, len(text) - (len(text.encode()) - limit)) - 1)
    return text
