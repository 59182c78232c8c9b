"""Completing a commit's check run: with its verdict, or because the run ended early."""

from __future__ import annotations

from app import messages
from app.domain.flag import Flag
from app.domain.run import RunInput
from app.domain.values import CommitSha
from app.domain.verdict import TestChange, Verdict
from app.github import checks
from app.github.checks import Action, Annotation, Output
from app.runs import buttons, posted_verdicts
from app.runs.attempt import Attempt
from app.runs.durable import NoResult
from app.runs.services import Services
from app.runs.shared_commit import shared_with
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
    held_by: str = "",
) -> NoResult:
    """Complete the commit's check run with the verdict, and annotate failing and doubtful lines.

    A commit that is on no public branch never counts as a success, whatever its tests say.
    `held_by` is why the pull request is a draft whatever the tests say, as a sentence.
    """
    services, run = attempt.services, attempt.run
    assert sealed.check_run is not None
    client = await services.checks_client(run)
    verdict = verified.verdict
    if published:
        # First, since a person may accept the verdict as soon as the check run shows it.
        await posted_verdicts.record_verdict(
            attempt, sealed, verified, held_by=held_by, unfinished=cut_short
        )
    title = messages.check_run.title(verdict)
    summary = messages.check_run.summary(
        verdict, sealed.sha, verified.ran, verified.flags, verified.attestation, verified.cells
    )
    conclusion = _conclusion(verdict, cut_short=cut_short, published=published)
    if run.mode == "test" and conclusion in ("success", "neutral"):
        place = await shared_with(services, run.trigger, sealed.sha)
        if place:
            conclusion = "action_required"
            title, why = messages.check_run.shared(place)
            summary = f"{why}\n\n{summary}"
    await checks.complete_check_run(
        client,
        sealed.check_run,
        conclusion=conclusion,
        output=Output(title=title, summary=summary),
        annotations=[*_failures(verdict)[:ANNOTATIONS], *_doubts(verdict, verified.flags)],
        actions=_buttons(run, verdict, cut_short) if published else buttons.UNPUBLISHED,
    )
    return NoResult()


def _buttons(run: RunInput, verdict: Verdict, cut_short: bool) -> tuple[Action, ...]:
    agent = run.trigger.kind != "check"
    return buttons.of_verdict(verdict, agent=agent, unfinished=cut_short)


async def complete_open_check_runs(services: Services, run: RunInput, problem: str = "") -> None:
    """Complete a finished run's check runs, so that none stays in progress forever.

    `problem` is why it failed; the check of a quiet run is the only place that can say so.
    """
    row = await services.runs.get(run.id)
    head = row.head_sha or run.trigger.head_sha
    if head is None:
        return
    client = await services.checks_client(run)
    title, summary = messages.check_run.ended_early(
        row.stop_why if run.quiet else None, problem if run.quiet else ""
    )
    for check in await checks.open_check_runs(client, CommitSha(head), run.id):
        await checks.complete_check_run(
            client,
            check,
            conclusion="cancelled",
            output=Output(title=title, summary=summary),
            actions=(buttons.TEST,) if run.trigger.kind == "check" else (),
        )


def _failures(verdict: Verdict) -> list[Annotation]:
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


def _doubts(verdict: Verdict, flags: tuple[Flag, ...]) -> list[Annotation]:
    """The few lines to review first: suspicious tests, then flags; the summary has the others."""
    found: dict[tuple[str, int], Annotation] = {}
    for row in messages.verdict.doubts(verdict):
        title, message = messages.verdict.doubt(row)
        if row.file and row.line:
            found[row.file, row.line] = _notice(row.file, row.line, title, message)
    for flag in flags:
        if flag.file and flag.line:
            message = messages.refusals.flag_annotation(flag)
            notice = _notice(flag.file, flag.line, flag.kind.value, message)
            found.setdefault((flag.file, flag.line), notice)
    return list(found.values())[: messages.verdict.NOTICES]


def _notice(path: str, line: int, title: str, message: str) -> Annotation:
    return Annotation(
        path=path, start_line=line, end_line=line, level="warning", title=title, message=message
    )


def _conclusion(verdict: Verdict, *, cut_short: bool, published: bool) -> checks.Conclusion:
    if cut_short:
        return "action_required"
    return verdict.conclusion if published or verdict.conclusion == "failure" else "cancelled"
