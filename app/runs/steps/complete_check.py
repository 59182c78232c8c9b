"""Completing the check run of a commit: with its verdict, or because the run ended before."""

from __future__ import annotations

from app import messages
from app.domain.flag import Flag
from app.domain.run import RunInput
from app.domain.values import CommitSha
from app.domain.verdict import TestChange, Verdict
from app.github import checks
from app.github.checks import Annotation, Output
from app.runs.attempt import Attempt
from app.runs.buttons import BUTTONS
from app.runs.durable import NoResult
from app.runs.services import WRITE_COMMITS, Services
from app.runs.steps.commit import CommitResult
from app.runs.steps.verify import VerifyResult

ANNOTATIONS = 200


async def complete_check(
    attempt: Attempt,
    sealed: CommitResult,
    verified: VerifyResult,
    *,
    cut_short: bool = False,
    published: bool = True,
) -> NoResult:
    """Complete the commit's check run with the verdict, and annotate failing lines.

    A commit that is on no public branch never counts as a success, whatever its tests say.
    """
    services, run = attempt.services, attempt.run
    assert sealed.check_run is not None
    client = await services.client(run, WRITE_COMMITS)
    verdict = verified.verdict
    await checks.complete_check_run(
        client,
        sealed.check_run,
        conclusion=_conclusion(verdict, cut_short=cut_short, published=published),
        output=Output(
            title=messages.check_run.title(verdict, len(verified.flags)),
            summary=messages.check_run.summary(verdict, verified.ran, verified.flags),
        ),
        annotations=[*_annotations(verdict), *_warnings(verified.flags)][:ANNOTATIONS],
        actions=BUTTONS,
    )
    return NoResult()


async def complete_open_check_runs(services: Services, run: RunInput) -> None:
    """Complete a finished run's check runs, so that none stays in progress forever."""
    row = await services.runs.get(run.id)
    if row.head_sha is None:
        return
    client = await services.client(run, WRITE_COMMITS)
    title, summary = messages.check_run.ended_early()
    for check in await checks.open_check_runs(client, CommitSha(row.head_sha), run.id):
        await checks.complete_check_run(
            client, check, conclusion="cancelled", output=Output(title=title, summary=summary)
        )


def _annotations(verdict: Verdict) -> list[Annotation]:
    checks = verdict.checks
    failing = (
        *(*verdict.new_failures, *verdict.failing_unknown),
        *(*checks.new_failures, *checks.failing_unknown),
        *(*verdict.still_failing, *checks.still_failing),
    )
    return [
        _annotation(change, change.file, change.line)
        for change in failing
        if change.file and change.line
    ]


def _annotation(change: TestChange, path: str, line: int) -> Annotation:
    title, message = messages.check_run.annotation(change)
    return Annotation(
        path=path, start_line=line, end_line=line, level="failure", title=title, message=message
    )


def _warnings(flags: tuple[Flag, ...]) -> list[Annotation]:
    """Annotations for flags on lines; flags on whole files are only in the summary."""
    return [
        Annotation(
            path=flag.file,
            start_line=flag.line,
            end_line=flag.line,
            level="warning",
            title=flag.kind.value,
            message=messages.refusals.flag_annotation(flag),
        )
        for flag in flags
        if flag.file and flag.line
    ]


def _conclusion(verdict: Verdict, *, cut_short: bool, published: bool) -> checks.Conclusion:
    if cut_short:
        return "action_required"
    return verdict.conclusion if published or verdict.conclusion == "failure" else "cancelled"
