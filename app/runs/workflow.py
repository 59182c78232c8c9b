"""The durable story, as a table of contents: an intake for each trigger, attempts for each run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from dbos import DBOS

from app import log_events, messages, tracing
from app.domain.report import (
    Report,
    Work,
)
from app.domain.run import Outcome, Preparation, RunInput, hidden_ref
from app.domain.trigger import Signal, Trigger
from app.domain.values import Value
from app.errors import UserError
from app.runs import (
    dispatch,
    durable,
    intake,
    queue,
    signals,
)
from app.runs.durable import InternalError, NoResult, StoppedError
from app.runs.services import Services
from app.runs.steps import (
    checkpoint,
    commit,
    prepare,
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
from app.runs.steps.checkpoint import CheckpointResult, PushRefusal
from app.runs.steps.commit import CommitResult
from app.runs.steps.publish import KeepResult, PublishResult
from app.runs.steps.publish_patch import PatchResult
from app.runs.steps.rebase import RebaseResult
from app.runs.steps.sync_upstream import SyncResult
from app.runs.steps.verify import VerifyResult

log = structlog.get_logger()
V = TypeVar("V", bound=Value)

_WITHOUT_A_CHANGE = {
    "question": Outcome.QUESTION,
    "stopped": Outcome.STOPPED,
    "budget": Outcome.BUDGET,
    "stuck": Outcome.STUCK,
}

# An attempt that has killed its worker three times is not tried again.
RECOVERIES = 2


class UnreadResult(Value):
    """Whether people said something that no turn of the agent has heard."""

    unheard: bool


class SalvageResult(Value):
    """Where the work of a failed attempt is kept; empty when there is none."""

    kept_at: str


def register(services: Services) -> None:
    """Make both workflows known to the engine, before it is launched."""

    @DBOS.workflow(name=queue.INTAKE, max_recovery_attempts=RECOVERIES)
    async def _intake(trigger: dict[str, Any], tries: int = 0) -> None:
        async with services.intake_semaphore.enter(), services.shutdown.work():
            await dispatch.dispatch(services, Trigger.recorded(trigger), tries)

    @DBOS.workflow(name=queue.SIGNAL, max_recovery_attempts=RECOVERIES)
    async def _signal(signal: dict[str, Any], tries: int = 0) -> None:
        async with services.intake_semaphore.enter(), services.shutdown.work():
            await signals.handle_signal(services, Signal.recorded(signal), tries)

    @DBOS.workflow(name=queue.ATTEMPT, max_recovery_attempts=RECOVERIES)
    async def _attempt(run: dict[str, Any], number: int) -> None:
        given = RunInput.recorded(run)
        subject = f"{given.trigger.repository}#{given.trigger.number}"
        async with services.shutdown.work():
            with tracing.span("attempt", run=given.id, number=number, subject=subject):
                await attempt(services, given, number)


async def attempt(services: Services, run: RunInput, number: int) -> None:
    """One attempt, and whatever happens its report."""
    structlog.contextvars.bind_contextvars(run=run.id)
    log.info(log_events.ATTEMPT_STARTED, subject=f"{run.trigger.repository}#{run.trigger.number}")
    try:
        told = await _try(services, run, number)
    except UserError as problem:
        told = await _failed(services, run, problem.message, problem.next_step, problem.details)
    except InternalError as bug:
        told = await _failed(services, run, *messages.refusals.internal_error(bug.reference))
    except StoppedError:
        told = Report(outcome=Outcome.STOPPED, kept_at=await _salvage(services, run))
    await _last_step(
        services, run, "report", NoResult, lambda: report.report(services, run, number, told)
    )
    log.info(log_events.ATTEMPT_ENDED, outcome=told.outcome.value)
    await _hear_the_late(services, run, number)


async def _hear_the_late(services: Services, run: RunInput, number: int) -> None:
    """Words that came after the agent's last look are not lost: they start the next attempt."""

    async def look() -> UnreadResult:
        return UnreadResult(unheard=await work.has_unread_messages(services, run))

    late = await _last_step(services, run, "hear the late", UnreadResult, look)
    if late.unheard:

        async def again() -> NoResult:
            return await intake.reopen(services, run.trigger, run, number + 1)

        await _last_step(services, run, "reopen", NoResult, again)
        await queue.enqueue_attempt(run, number + 1)


async def _try(services: Services, run: RunInput, number: int) -> Report:
    preparation = await _step(
        services, run, "prepare", Preparation, lambda: prepare.prepare(services, run)
    )
    match run.mode:
        case "plan" | "ask":
            return await _answer(services, run, preparation, number)
        case "test":
            return await _test(services, run, preparation)
        case "rebase":
            return await _rebase(services, run, preparation, number)
        case "work":
            return await _change(services, run, preparation, number)


async def _change(
    services: Services, run: RunInput, preparation: Preparation, number: int
) -> Report:
    """The agent's work becomes a commit, the tests judge it, and what they say may send it back."""
    feedback = _opening_words(run, number, preparation)
    for correction in range(run.policy.corrections + 1):
        said = f"attempt {number}, correction {correction}"
        last = correction == run.policy.corrections
        done, packed = await _work(services, run, preparation, feedback, said)
        on_github = not (packed.empty or packed.secrets or packed.refused)
        if done.ending == "stopped" and on_github:
            return await _keep(services, run, preparation, packed, done)
        if packed.secrets and not last and done.ending == "done":
            feedback = messages.agent.secrets(packed.secrets)
            continue
        if packed.secrets:
            return _holds_a_secret(done, packed)
        if done.ending in ("question", "stopped", "refused") or packed.empty:
            return _without_a_change(run, done, packed)
        if preparation.target.fork:
            return await _show(services, run, preparation, packed, done)
        if packed.refused and not last and done.ending == "done":
            feedback = messages.agent.push_refused(packed.refused.paths, packed.refused.rule)
            continue
        if packed.refused:
            return _refused_by_github(done, packed.refused)
        caught = await _catch_up(services, run, preparation, packed)
        preparation, packed = caught.preparation, caught.packed
        if caught.same_as:
            return _overtaken(done, caught)
        if preparation.conflicts and not last and done.ending == "done":
            feedback = messages.agent.conflicts(preparation.conflicts)
            continue
        if preparation.conflicts:
            return _collided(run, done, preparation)
        sealed, verified = await _seal_and_verify(services, run, preparation, packed, done)
        if verified.stopped:
            return await _keep(services, run, preparation, packed, done)
        verified = await _review(services, run, preparation, sealed, verified)
        feedback = _what_to_mend(verified)
        if verified.refused and (last or done.ending != "done"):
            await _turn_back(services, run, sealed, verified)
            return _refused(run, done, verified)
        if feedback is None or last or done.ending != "done":
            return await _publish(services, run, preparation, sealed, done, verified)
        await _turn_back(services, run, sealed, verified)
    raise AssertionError("the loop ends in a report")


def _opening_words(run: RunInput, number: int, preparation: Preparation) -> str | None:
    """What the agent hears first: in a first attempt the assignment alone."""
    if preparation.conflicts:
        return messages.agent.conflicts(preparation.conflicts)
    if number == 1:
        return None
    return (
        messages.agent.carry_out_plan()
        if run.carries_out == number
        else messages.agent.continue_work()
    )


async def _answer(
    services: Services, run: RunInput, preparation: Preparation, number: int
) -> Report:
    """A plan or an answer: what the agent changed on the way is thrown away."""
    feedback = _opening_words(run, number, preparation)

    async def do() -> Work:
        said = f"attempt {number}"
        return await work.work(services, run, preparation, feedback, feedback_id=said)

    done = await _step(services, run, "work", Work, do)
    if done.ending == "refused":
        return _declined(run, done)
    outcomes = {**_WITHOUT_A_CHANGE, "done": Outcome.ANSWERED}
    return Report(outcome=outcomes.get(done.ending, Outcome.NOTHING), work=done, mode=run.mode)


async def _test(services: Services, run: RunInput, preparation: Preparation) -> Report:
    """The head as it stands: nothing is changed, and its check run tells."""
    sealed = await _step(
        services,
        run,
        "look at the head",
        CommitResult,
        lambda: verify_head.verify_head(services, run, preparation),
    )
    verified = await _verify(services, run, preparation, sealed)
    await _turn_back(services, run, sealed, verified)
    if verified.stopped:
        return Report(outcome=Outcome.STOPPED, mode=run.mode)
    good = verified.verdict.conclusion in ("success", "neutral")
    return Report(
        outcome=Outcome.DONE if good else Outcome.NOT_READY,
        verdict=verified.verdict,
        head_sha=sealed.sha,
        check_url=sealed.check_url,
        mode=run.mode,
    )


async def _rebase(
    services: Services, run: RunInput, preparation: Preparation, number: int
) -> Report:
    """A clean one needs no agent; where two sides collide it is the agent's work."""
    if number > 1:
        return await _change(services, run, preparation, number)
    rebased = await _step(
        services, run, "rebase", RebaseResult, lambda: rebase.rebase(services, run, preparation)
    )
    if rebased.up_to_date:
        return Report(outcome=Outcome.ANSWERED, work=messages.comments.up_to_date(), mode=run.mode)
    if rebased.preparation.conflicts:
        return await _change(services, run, rebased.preparation, number)
    preparation = rebased.preparation
    done = messages.comments.rebased(preparation.base, merged=preparation.merged is not None)
    sealed = rebased.sealed
    if sealed is None:
        packed = await _checkpoint(services, run, preparation)
        if packed.refused:
            return _refused_by_github(done, packed.refused)
        sealed = await _seal(services, run, preparation, packed, done)
    verified = await _verify(services, run, preparation, sealed)
    if verified.stopped:
        await _turn_back(services, run, sealed, verified)
        return Report(outcome=Outcome.STOPPED, mode=run.mode)
    verified = await _review(services, run, preparation, sealed, verified)
    return await _publish(services, run, preparation, sealed, done, verified)


async def _show(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    done: Work,
) -> Report:
    """The work on a fork is a patch to read: pushed, it would run the fork's code with secrets."""
    sealed = CommitResult(sha=packed.commit, tree=packed.tree, check_run=None)
    verified = await _verify(services, run, preparation, sealed)
    if verified.stopped:
        return Report(outcome=Outcome.STOPPED, work=done, kept_at=hidden_ref(run.id))
    patch = await _step(
        services,
        run,
        "show",
        PatchResult,
        lambda: publish_patch.create_patch(services, run, preparation, packed),
    )
    return Report(
        outcome=Outcome.SHOWN if done.ending == "done" else _WITHOUT_A_CHANGE[done.ending],
        work=done,
        verdict=verified.verdict,
        patch=patch.text,
        trust=preparation.target.at or "",
        kept_at=hidden_ref(run.id),
    )


async def _work(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    feedback: str | None,
    feedback_id: str,
) -> tuple[Work, CheckpointResult]:
    async def do() -> Work:
        return await work.work(services, run, preparation, feedback, feedback_id=feedback_id)

    done = await _step(services, run, "work", Work, do)
    packed = await _checkpoint(services, run, preparation)
    return done.model_copy(update={"left_out": packed.left_out}), packed


async def _checkpoint(
    services: Services, run: RunInput, preparation: Preparation
) -> CheckpointResult:
    return await _step(
        services,
        run,
        "checkpoint",
        CheckpointResult,
        lambda: checkpoint.checkpoint(services, run, preparation),
    )


async def _catch_up(
    services: Services, run: RunInput, preparation: Preparation, packed: CheckpointResult
) -> SyncResult:
    return await _step(
        services,
        run,
        "catch up",
        SyncResult,
        lambda: sync_upstream.sync_upstream(services, run, preparation, packed),
    )


async def _keep(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    done: Work,
) -> Report:
    """Stopped: what there is becomes a commit on the branch, whose check run is cancelled."""

    async def keep() -> KeepResult:
        if preparation.target.fork or preparation.conflicts:
            return KeepResult(branch=hidden_ref(run.id))
        sealed = await commit.create_commit(services, run, preparation, packed, done)
        return await publish.keep(services, run, preparation, sealed)

    kept = await _step(services, run, "keep", KeepResult, keep)
    return Report(outcome=Outcome.STOPPED, kept_at=kept.branch)


async def _seal_and_verify(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    done: Work,
) -> tuple[CommitResult, VerifyResult]:
    sealed = await _seal(services, run, preparation, packed, done)
    return sealed, await _verify(services, run, preparation, sealed)


async def _seal(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    packed: CheckpointResult,
    done: Work,
) -> CommitResult:
    return await _step(
        services,
        run,
        "seal",
        CommitResult,
        lambda: commit.create_commit(services, run, preparation, packed, done),
    )


async def _verify(
    services: Services, run: RunInput, preparation: Preparation, sealed: CommitResult
) -> VerifyResult:
    return await _step(
        services,
        run,
        "verify",
        VerifyResult,
        lambda: verify.verify(services, run, preparation, sealed),
    )


async def _review(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    verified: VerifyResult,
) -> VerifyResult:
    return await _step(
        services,
        run,
        "review",
        VerifyResult,
        lambda: review.review(services, run, preparation, sealed, verified),
    )


async def _turn_back(
    services: Services, run: RunInput, sealed: CommitResult, verified: VerifyResult
) -> None:
    """The commit is not published; its check run says what its tests said."""

    async def complete() -> NoResult:
        published = run.mode == "test"
        return await verify.complete_check(services, run, sealed, verified, published=published)

    await _step(services, run, "turn back", NoResult, complete)


async def _publish(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    done: Work,
    verified: VerifyResult,
) -> Report:
    published = await _step(
        services,
        run,
        "publish",
        PublishResult,
        lambda: publish.publish(services, run, preparation, sealed, done, verified),
    )
    if published.publication is None:
        return await _after_a_push(services, run, preparation, sealed, done, verified)
    if done.ending in ("budget", "stuck"):
        outcome = _WITHOUT_A_CHANGE[done.ending]
    else:
        outcome = Outcome.DONE if publish.is_ready(run, done, verified) else Outcome.NOT_READY
    return Report(
        outcome=outcome,
        work=done,
        verdict=verified.verdict,
        publication=published.publication,
        head_sha=sealed.sha,
        mode=run.mode,
    )


async def _after_a_push(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    sealed: CommitResult,
    done: Work,
    verified: VerifyResult,
) -> Report:
    """Somebody pushed while the commit was verified: it goes on top of theirs, and is judged anew.

    It is tried until nobody was faster, or the two sides collide.
    """
    await _turn_back(services, run, sealed, verified)
    if preparation.forced:
        problem, next_step = messages.refusals.branch_moved()
        raise UserError(problem, next_step=next_step)
    packed = CheckpointResult(tree=sealed.tree, commit=sealed.sha, empty=False)
    caught = await _catch_up(services, run, preparation, packed)
    if caught.same_as:
        return _overtaken(done, caught)
    if caught.preparation.conflicts:
        return _collided(run, done, caught.preparation)
    again, judged = await _seal_and_verify(services, run, caught.preparation, caught.packed, done)
    if judged.stopped:
        return await _keep(services, run, caught.preparation, caught.packed, done)
    judged = await _review(services, run, caught.preparation, again, judged)
    return await _publish(services, run, caught.preparation, again, done, judged)


def _what_to_mend(verified: VerifyResult) -> str | None:
    parts = [verify.feedback(verified), review.feedback(verified)]
    return "\n\n".join(part for part in parts if part) or None


def _refused(run: RunInput, done: Work, verified: VerifyResult) -> Report:
    """The tests may be good: what the policy forbids is not published for that."""
    problem, next_step = messages.refusals.forbidden_by_policy(verified.refused)
    return Report(
        outcome=Outcome.ERROR,
        work=done,
        verdict=verified.verdict,
        problem=problem,
        next_step=next_step,
        kept_at=hidden_ref(run.id),
    )


def _refused_by_github(done: Work, refused: PushRefusal) -> Report:
    problem, next_step = messages.refusals.push_refused(refused.paths, refused.rule)
    return Report(outcome=Outcome.ERROR, work=done, problem=problem, next_step=next_step)


def _holds_a_secret(done: Work, packed: CheckpointResult) -> Report:
    """It stays on this machine: a secret that was pushed is a secret no more."""
    problem, next_step = messages.refusals.holds_a_secret(packed.secrets)
    outcome = Outcome.STOPPED if done.ending == "stopped" else Outcome.ERROR
    return Report(outcome=outcome, work=done, problem=problem, next_step=next_step)


def _collided(run: RunInput, done: Work, preparation: Preparation) -> Report:
    """Others changed the same lines once more: the next attempt brings them together."""
    problem, next_step = messages.refusals.merge_conflict(preparation.conflicts)
    return Report(
        outcome=Outcome.ERROR,
        work=done,
        problem=problem,
        next_step=next_step,
        kept_at=hidden_ref(run.id),
    )


def _overtaken(done: Work, caught: SyncResult) -> Report:
    """Somebody made the same change: there is nothing to show in a pull request."""
    preparation = caught.preparation
    problem, next_step = messages.refusals.overtaken(
        caught.same_as, preparation.base, preparation.target
    )
    return Report(outcome=Outcome.NOTHING, work=done, problem=problem, next_step=next_step)


def _without_a_change(run: RunInput, done: Work, packed: CheckpointResult) -> Report:
    kept_at = "" if packed.empty or packed.refused else hidden_ref(run.id)
    if done.ending == "refused":
        return _declined(run, done, kept_at)
    return Report(
        outcome=_WITHOUT_A_CHANGE.get(done.ending, Outcome.NOTHING), work=done, kept_at=kept_at
    )


def _declined(run: RunInput, done: Work, kept_at: str = "") -> Report:
    """Not "nothing to do": the work is not done, and what there is of it is kept."""
    problem, next_step = messages.refusals.declined(done.text)
    return Report(
        outcome=Outcome.ERROR,
        work=done,
        problem=problem,
        next_step=next_step,
        kept_at=kept_at,
        mode=run.mode,
    )


async def _failed(
    services: Services, run: RunInput, problem: str, next_step: str, details: str = ""
) -> Report:
    """Bring what there is to a safe place, then say what went wrong."""
    return Report(
        outcome=Outcome.ERROR,
        problem=problem,
        next_step=next_step,
        details=details,
        kept_at=await _salvage(services, run),
    )


async def _salvage(services: Services, run: RunInput) -> str:
    """Where the work of an attempt is kept that ends before its time; empty when it is nowhere."""

    async def keep() -> SalvageResult:
        await verify.complete_open_check_runs(services, run)
        return SalvageResult(kept_at=await checkpoint.salvage(services, run))

    try:
        return (await _last_step(services, run, "salvage", SalvageResult, keep)).kept_at
    except (UserError, InternalError):
        return ""


async def _step(
    services: Services,
    run: RunInput,
    name: str,
    returns: type[V],
    function: Callable[[], Awaitable[V]],
) -> V:
    try:
        return await durable.step(name, returns, function, services.stops.of(run.id))
    finally:
        await services.save_counts(run.id)


async def _last_step(
    services: Services,
    run: RunInput,
    name: str,
    returns: type[V],
    function: Callable[[], Awaitable[V]],
) -> V:
    """As `_step`, of what makes an attempt's end, which nobody stops."""
    try:
        return await durable.step(name, returns, function)
    finally:
        await services.save_counts(run.id)
