"""The durable workflows, as a table of contents: intakes for triggers, attempts for runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import structlog
from dbos import DBOS

from app import log_events, messages, tracing
from app.domain import policy as policies
from app.domain.flag import kinds
from app.domain.report import Report, Work
from app.domain.run import Outcome, Preparation, RunInput, hidden_ref
from app.domain.trigger import Signal, Trigger
from app.domain.values import Value
from app.errors import UserError
from app.runs import dispatch, endings, intake, pending, queue, signals
from app.runs.attempt import Attempt
from app.runs.durable import HistoryError, InternalError, NoResult, StoppedError
from app.runs.services import Services
from app.runs.steps import (
    checkpoint,
    commit,
    complete_check,
    prepare,
    propose_setup,
    publish,
    publish_patch,
    rebase,
    report,
    review,
    sync_upstream,
    verify,
    verify_head,
    work,
)
from app.runs.steps.checkpoint import CheckpointResult
from app.runs.steps.commit import CommitResult
from app.runs.steps.propose_setup import SetupProposal
from app.runs.steps.publish import KeepResult, PublishResult
from app.runs.steps.publish_patch import PatchResult
from app.runs.steps.rebase import RebaseResult
from app.runs.steps.sync_upstream import SyncResult
from app.runs.steps.verify import VerifyResult

log = structlog.get_logger()

RECOVERIES = 2
"""An attempt that has killed its worker three times is not recovered again."""


class HistoryResult(Value):
    """Which version of the workflow recorded this attempt's steps."""

    version: str


class UnreadResult(Value):
    """Whether people wrote something that the agent has not read."""

    unheard: bool


class SalvageResult(Value):
    """Where the work of a failed attempt is kept; empty when there is none."""

    kept_at: str


def register(services: Services) -> None:
    """Register the workflows with the engine. Call it before the engine is launched."""

    @DBOS.workflow(name=queue.INTAKE, max_recovery_attempts=RECOVERIES)
    async def _intake(trigger: dict[str, Any], tries: int = 0) -> None:
        request = Trigger.recorded(trigger)
        async with _in_intake(services):
            try:
                await dispatch.dispatch(services, request, tries)
            except HistoryError as mismatch:
                await pending.start_over(services, request, mismatch)

    @DBOS.workflow(name=queue.SIGNAL, max_recovery_attempts=RECOVERIES)
    async def _signal(signal: dict[str, Any], tries: int = 0) -> None:
        request = Signal.recorded(signal)
        async with _in_intake(services):
            try:
                await signals.handle_signal(services, request, tries)
            except HistoryError as mismatch:
                await pending.start_over(services, request, mismatch)

    @DBOS.workflow(name=queue.ATTEMPT, max_recovery_attempts=RECOVERIES)
    async def _attempt(run: dict[str, Any], number: int) -> None:
        attempt = Attempt(services, RunInput.recorded(run), number)
        async with services.shutdown.work():
            with (
                services.pace.work(),
                tracing.span("attempt", run=attempt.run.id, number=number, subject=attempt.subject),
            ):
                await run_attempt(attempt)


@asynccontextmanager
async def _in_intake(services: Services) -> AsyncIterator[None]:
    with services.pace.work():
        async with services.intake_semaphore.enter(), services.shutdown.work():
            yield


async def run_attempt(attempt: Attempt) -> None:
    """Run one attempt, and report how it ended whatever happens."""
    structlog.contextvars.bind_contextvars(run=attempt.run.id)
    log.info(log_events.ATTEMPT_STARTED, subject=attempt.subject)
    try:
        ending = await _run_to_ending(attempt)
        await attempt.final_step("report", NoResult, report.report, ending)
        why = {"why": ending.problem} if ending.outcome is Outcome.ERROR else {}
        log.info(log_events.ATTEMPT_ENDED, outcome=ending.outcome.value, **why)
        await _continue_if_unread(attempt)
    except HistoryError as mismatch:
        await _end_after_upgrade(attempt, mismatch)


async def _run_to_ending(attempt: Attempt) -> Report:
    try:
        return await _run(attempt)
    except UserError as problem:
        return await _failed(attempt, problem.message, problem.next_step, problem.details)
    except InternalError as bug:
        return await _failed(attempt, *messages.refusals.internal_error(bug.reference))
    except StoppedError:
        return Report(outcome=Outcome.STOPPED, kept_at=await _salvage(attempt))


async def _continue_if_unread(attempt: Attempt) -> None:
    """Messages that arrived after the agent last checked start the next attempt."""
    result = await attempt.final_step("check for unread messages", UnreadResult, _unread)
    if result.unheard:
        await attempt.final_step("reopen", NoResult, _reopen)
        await queue.enqueue_attempt(attempt.run, attempt.number + 1)


async def _unread(attempt: Attempt) -> UnreadResult:
    return UnreadResult(unheard=await work.has_unread_messages(attempt.services, attempt.run))


async def _reopen(attempt: Attempt) -> NoResult:
    run = attempt.run
    return await intake.reopen(attempt.services, run.trigger, run, attempt.number + 1)


async def _run(attempt: Attempt) -> Report:
    await _check_history(attempt)
    preparation = await attempt.step("prepare", Preparation, prepare.prepare)
    match attempt.run.mode:
        case "plan" | "ask":
            return await _answer(attempt, preparation)
        case "test":
            return await _test(attempt, preparation)
        case "rebase":
            return await _rebase(attempt, preparation)
        case "work":
            return await _change(attempt, preparation)
        case "setup":
            return await _propose_setup(attempt, preparation)


async def _check_history(attempt: Attempt) -> None:
    """The steps of an attempt that another version began are replayed only if both agree."""
    result = await attempt.step("history", HistoryResult, _history)
    if result.version != queue.HISTORY:
        raise HistoryError(f"recorded by version {result.version}, this is {queue.HISTORY}")


async def _history(_attempt: Attempt) -> HistoryResult:
    return HistoryResult(version=queue.HISTORY)


async def _change(attempt: Attempt, preparation: Preparation) -> Report:
    """Turn the agent's work into a commit and test it. Failing tests send the agent back."""
    run = attempt.run
    feedback = _opening_message(attempt, preparation)
    for correction in range(run.policy.corrections + 1):
        feedback_id = f"attempt {attempt.number}, correction {correction}"
        done, packed = await _work(attempt, preparation, feedback, feedback_id)
        may_correct = correction < run.policy.corrections and done.ending == "done"
        on_github = not (packed.empty or packed.secrets or packed.refused)
        if done.ending == "stopped" and on_github:
            return await _keep(attempt, preparation, packed, done)
        if packed.secrets and may_correct:
            feedback = messages.agent.secrets(packed.secrets)
            continue
        if packed.secrets:
            return endings.contains_secret(done, packed)
        if done.ending in ("question", "stopped", "refused") or packed.empty:
            return endings.no_change(run, done, packed)
        if preparation.target.fork:
            return await _show_patch(attempt, preparation, packed, done)
        if packed.refused and may_correct:
            feedback = messages.agent.push_refused(packed.refused.paths, packed.refused.rule)
            continue
        if packed.refused:
            return endings.refused_by_github(done, packed.refused)
        synced = await _sync(attempt, preparation, packed)
        preparation, packed = synced.preparation, synced.packed
        if synced.same_as:
            return endings.overtaken(done, synced)
        if preparation.conflicts and may_correct:
            feedback = messages.agent.conflicts(preparation.conflicts)
            continue
        if preparation.conflicts:
            return endings.merge_conflict(run, done, preparation)
        committed, verified = await _commit_and_verify(attempt, preparation, packed, done)
        if verified.stopped:
            return await _keep(attempt, preparation, packed, done)
        verified = await _review(attempt, preparation, committed, verified)
        feedback = _feedback(run, verified, asked_before=correction > 0)
        if verified.refused and not may_correct:
            await _complete_check(attempt, committed, verified)
            return endings.forbidden_by_policy(run, done, verified)
        if feedback is None or not may_correct:
            return await _publish(attempt, preparation, committed, done, verified)
        await _complete_check(attempt, committed, verified)
    raise AssertionError("the loop ends in a report")


def _opening_message(attempt: Attempt, preparation: Preparation) -> str | None:
    """What the agent reads first; in a first attempt, the assignment alone."""
    if preparation.conflicts:
        return messages.agent.conflicts(preparation.conflicts)
    if attempt.number == 1:
        return None
    if attempt.run.carries_out == attempt.number:
        return messages.agent.carry_out_plan()
    return messages.agent.continue_work()


async def _answer(attempt: Attempt, preparation: Preparation) -> Report:
    """A plan or an answer. Changes that the agent made along the way are discarded."""
    run, feedback = attempt.run, _opening_message(attempt, preparation)
    feedback_id = f"attempt {attempt.number}"
    done = await attempt.step(
        "work", Work, work.work, preparation, feedback, feedback_id=feedback_id
    )
    if done.ending == "refused":
        return endings.declined(run, done)
    outcomes = {**endings.WITHOUT_A_RESULT, "done": Outcome.ANSWERED}
    return Report(outcome=outcomes.get(done.ending, Outcome.NOTHING), work=done, mode=run.mode)


async def _test(attempt: Attempt, preparation: Preparation) -> Report:
    """Test the head as it is, without a change. Its check run shows the result."""
    run = attempt.run
    head = await attempt.step("verify head", CommitResult, verify_head.verify_head, preparation)
    if head.skipped:
        return Report(outcome=Outcome.NOTHING, head_sha=head.sha, mode=run.mode)
    verified = await attempt.step("verify", VerifyResult, verify.verify, preparation, head)
    if verified.stopped:
        await attempt.final_step("salvage", SalvageResult, _save_work)
        return Report(outcome=Outcome.STOPPED, mode=run.mode)
    await _complete_check(attempt, head, verified)
    good = verified.verdict.conclusion in ("success", "neutral")
    return Report(
        outcome=Outcome.DONE if good else Outcome.NOT_READY,
        verdict=verified.verdict,
        head_sha=head.sha,
        check_url=head.check_url,
        mode=run.mode,
    )


async def _propose_setup(attempt: Attempt, preparation: Preparation) -> Report:
    """A pull request with a policy file, verified by that file itself. It needs no agent."""
    run = attempt.run
    proposal = await attempt.step(
        "propose setup", SetupProposal, propose_setup.propose_setup, preparation
    )
    done, packed = Work(ending="done", text=proposal.text), proposal.packed
    if packed is None:
        return Report(outcome=Outcome.ANSWERED, work=done, mode=run.mode)
    if packed.refused:
        return endings.refused_by_github(done, packed.refused)
    policy = policies.with_setup_of(run.policy, policies.parse(proposal.policy))
    proposed = replace(attempt, run=run.model_copy(update={"policy": policy}))
    committed, verified = await _commit_and_verify(proposed, preparation, packed, done)
    if verified.stopped:
        return await _keep(proposed, preparation, packed, done)
    verified = await _review(proposed, preparation, committed, verified)
    return await _publish(proposed, preparation, committed, done, verified)


async def _rebase(attempt: Attempt, preparation: Preparation) -> Report:
    """A clean rebase needs no agent. Merge conflicts do."""
    run = attempt.run
    if attempt.number > 1:
        return await _change(attempt, preparation)
    rebased = await attempt.step("rebase", RebaseResult, rebase.rebase, preparation)
    if rebased.up_to_date:
        return Report(outcome=Outcome.ANSWERED, work=messages.comments.up_to_date(), mode=run.mode)
    if rebased.preparation.conflicts:
        return await _change(attempt, rebased.preparation)
    preparation, committed = rebased.preparation, rebased.sealed
    done = messages.comments.rebased(preparation.base, merged=preparation.merged is not None)
    if committed is None:
        packed = await _checkpoint(attempt, preparation)
        if packed.refused:
            return endings.refused_by_github(done, packed.refused)
        committed = await _commit(attempt, preparation, packed, done)
    verified = await attempt.step("verify", VerifyResult, verify.verify, preparation, committed)
    if verified.stopped:
        await _complete_check(attempt, committed, verified)
        return Report(outcome=Outcome.STOPPED, mode=run.mode)
    verified = await _review(attempt, preparation, committed, verified)
    return await _publish(attempt, preparation, committed, done, verified)


async def _show_patch(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult, done: Work
) -> Report:
    """Show work on a fork as a patch. Pushing it would run the fork's code with secrets."""
    run = attempt.run
    unpublished = CommitResult(sha=packed.commit, tree=packed.tree, check_run=None)
    verified = await attempt.step("verify", VerifyResult, verify.verify, preparation, unpublished)
    if verified.stopped:
        return Report(outcome=Outcome.STOPPED, work=done, kept_at=hidden_ref(run.id))
    patch = await attempt.step(
        "show patch", PatchResult, publish_patch.create_patch, preparation, packed
    )
    return Report(
        outcome=Outcome.SHOWN if done.ending == "done" else endings.WITHOUT_A_RESULT[done.ending],
        work=done,
        verdict=verified.verdict,
        patch=patch.text,
        trust=preparation.target.at or "",
        kept_at=hidden_ref(run.id),
    )


async def _work(
    attempt: Attempt, preparation: Preparation, feedback: str | None, feedback_id: str
) -> tuple[Work, CheckpointResult]:
    done = await attempt.step(
        "work", Work, work.work, preparation, feedback, feedback_id=feedback_id
    )
    packed = await _checkpoint(attempt, preparation)
    return done.model_copy(update={"left_out": packed.left_out}), packed


async def _checkpoint(attempt: Attempt, preparation: Preparation) -> CheckpointResult:
    return await attempt.step("checkpoint", CheckpointResult, checkpoint.checkpoint, preparation)


async def _sync(attempt: Attempt, preparation: Preparation, packed: CheckpointResult) -> SyncResult:
    """Bring the work together with what others pushed."""
    return await attempt.step(
        "sync upstream", SyncResult, sync_upstream.sync_upstream, preparation, packed
    )


async def _commit(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult, done: Work
) -> CommitResult:
    return await attempt.step(
        "commit", CommitResult, commit.create_commit, preparation, packed, done
    )


async def _commit_and_verify(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult, done: Work
) -> tuple[CommitResult, VerifyResult]:
    committed = await _commit(attempt, preparation, packed, done)
    verified = await attempt.step("verify", VerifyResult, verify.verify, preparation, committed)
    return committed, verified


async def _review(
    attempt: Attempt, preparation: Preparation, committed: CommitResult, verified: VerifyResult
) -> VerifyResult:
    return await attempt.step(
        "review", VerifyResult, review.review, preparation, committed, verified
    )


async def _complete_check(
    attempt: Attempt, committed: CommitResult, verified: VerifyResult
) -> None:
    """Complete the check run of a commit that is not published."""
    published = attempt.run.mode == "test"
    await attempt.step(
        "complete check",
        NoResult,
        complete_check.complete_check,
        committed,
        verified,
        published=published,
    )


async def _keep(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult, done: Work
) -> Report:
    """Stopped: commit the work so far to the branch, with a cancelled check run."""
    kept = await attempt.step("keep", KeepResult, _commit_and_keep, preparation, packed, done)
    return Report(outcome=Outcome.STOPPED, kept_at=kept.branch)


async def _commit_and_keep(
    attempt: Attempt, preparation: Preparation, packed: CheckpointResult, done: Work
) -> KeepResult:
    if preparation.target.fork or preparation.conflicts:
        return KeepResult(branch=hidden_ref(attempt.run.id))
    committed = await commit.create_commit(attempt, preparation, packed, done)
    return await publish.keep(attempt, preparation, committed)


async def _publish(
    attempt: Attempt,
    preparation: Preparation,
    committed: CommitResult,
    done: Work,
    verified: VerifyResult,
) -> Report:
    run = attempt.run
    published = await attempt.step(
        "publish", PublishResult, publish.publish, preparation, committed, done, verified
    )
    if published.publication is None:
        return await _publish_after_push(attempt, preparation, committed, done, verified)
    if done.ending in ("budget", "stuck"):
        outcome = endings.WITHOUT_A_RESULT[done.ending]
    else:
        outcome = Outcome.DONE if publish.is_ready(run, done, verified) else Outcome.NOT_READY
    return Report(
        outcome=outcome,
        work=done,
        verdict=verified.verdict,
        publication=published.publication,
        head_sha=committed.sha,
        mode=run.mode,
        flags=kinds(verified.flags),
    )


async def _publish_after_push(
    attempt: Attempt,
    preparation: Preparation,
    committed: CommitResult,
    done: Work,
    verified: VerifyResult,
) -> Report:
    """Someone pushed during verification: move the work on top of the push and verify it again.

    This repeats until no push comes in between, or until there is a merge conflict.
    """
    await _complete_check(attempt, committed, verified)
    if preparation.forced:
        problem, next_step = messages.refusals.branch_moved()
        raise UserError(problem, next_step=next_step)
    packed = CheckpointResult(tree=committed.tree, commit=committed.sha, empty=False)
    synced = await _sync(attempt, preparation, packed)
    preparation = synced.preparation
    if synced.same_as:
        return endings.overtaken(done, synced)
    if preparation.conflicts:
        return endings.merge_conflict(attempt.run, done, preparation)
    committed, verified = await _commit_and_verify(attempt, preparation, synced.packed, done)
    if verified.stopped:
        return await _keep(attempt, preparation, synced.packed, done)
    verified = await _review(attempt, preparation, committed, verified)
    return await _publish(attempt, preparation, committed, done, verified)


def _feedback(run: RunInput, verified: VerifyResult, *, asked_before: bool) -> str | None:
    """What the agent should fix; None if there is nothing."""
    parts = [
        verify.feedback(run, verified, asked_before=asked_before),
        review.feedback(verified),
    ]
    return "\n\n".join(part for part in parts if part) or None


async def _failed(attempt: Attempt, problem: str, next_step: str, details: str = "") -> Report:
    """Save the work so far, then report the problem."""
    return Report(
        outcome=Outcome.ERROR,
        problem=problem,
        next_step=next_step,
        details=details,
        kept_at=await _salvage(attempt, f"{problem} {next_step}".strip()),
    )


async def _salvage(attempt: Attempt, problem: str = "") -> str:
    """Save the work of an attempt that ends early. Returns where it is; empty if nowhere."""
    try:
        result = await attempt.final_step("salvage", SalvageResult, _save_work, problem)
    except (UserError, InternalError):
        return ""
    return result.kept_at


async def _save_work(attempt: Attempt, problem: str = "") -> SalvageResult:
    services, run = attempt.services, attempt.run
    await complete_check.complete_open_check_runs(services, run, problem)
    return SalvageResult(kept_at=await checkpoint.salvage(services, run))


async def _end_after_upgrade(attempt: Attempt, mismatch: HistoryError) -> None:
    """End an attempt whose recorded steps do not fit this version of the workflow.

    The engine cannot record another step for it, so these effects are not recorded; each of them
    can safely be done twice.
    """
    log.warning(log_events.HISTORY_MISMATCH, why=str(mismatch))
    try:
        kept_at = (await _save_work(attempt)).kept_at
    except UserError:
        kept_at = ""
    problem, next_step = messages.refusals.upgraded()
    ending = Report(outcome=Outcome.ERROR, problem=problem, next_step=next_step, kept_at=kept_at)
    await report.report(attempt, ending)
    await attempt.services.save_counts(attempt.run.id)
