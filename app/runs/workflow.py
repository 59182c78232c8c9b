"""The durable story, as a table of contents: an intake for each trigger, attempts for each run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from dbos import DBOS

from app.domain import words
from app.domain.run import Outcome, Preparation, RunInput, hidden_ref
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.domain.words import Publication, Report, Work
from app.errors import UserError
from app.runs import commands, durable, intake, queue
from app.runs.durable import Nothing, OurBugError
from app.runs.intake import Admission
from app.runs.services import Services
from app.runs.steps import checkpoint, prepare, publish, report, seal, verify, work
from app.runs.steps.checkpoint import Packed
from app.runs.steps.publish import Kept
from app.runs.steps.seal import Sealed
from app.runs.steps.verify import Verified

log = structlog.get_logger()
V = TypeVar("V", bound=Value)

_WITHOUT_A_CHANGE = {
    "question": Outcome.QUESTION,
    "stopped": Outcome.STOPPED,
    "budget": Outcome.BUDGET,
}

# An attempt that has killed its worker three times is not tried again.
RECOVERIES = 2


class Late(Value):
    """Whether people said something that no turn of the agent has heard."""

    unheard: bool


class Salvaged(Value):
    """Where the work of a failed attempt is kept; empty when there is none."""

    kept_at: str


def register(services: Services) -> None:
    """Make both workflows known to the engine, before it is launched."""

    @DBOS.workflow(name=queue.INTAKE, max_recovery_attempts=RECOVERIES)
    async def _intake(trigger: dict[str, Any]) -> None:
        async with services.shift.work():
            await take_in(services, Trigger.model_validate(trigger))

    @DBOS.workflow(name=queue.ATTEMPT, max_recovery_attempts=RECOVERIES)
    async def _attempt(run: dict[str, Any], number: int) -> None:
        async with services.shift.work():
            await attempt(services, RunInput.model_validate(run), number)


async def take_in(services: Services, trigger: Trigger) -> None:
    """Permission and policy, then what the command asks for."""
    structlog.contextvars.bind_contextvars(trigger=trigger.id)
    try:
        admission = await durable.step("admit", Admission, lambda: intake.admit(services, trigger))
        if admission.policy is not None:
            await commands.handler(trigger)(services, trigger, admission.policy)
        elif intake.aloud(trigger, admission):
            told = admission.problem, admission.next_step
            await durable.step("refuse", Nothing, lambda: intake.refuse(services, trigger, *told))
        else:
            log.info("a trigger was ignored", why=admission.silent or admission.problem)
    except (UserError, OurBugError) as problem:
        # Nobody can be told: what failed here is talking to GitHub, or knowing who may be answered.
        log.warning("a trigger was not taken in", why=str(problem))


async def attempt(services: Services, run: RunInput, number: int) -> None:
    """One attempt, and whatever happens its report."""
    structlog.contextvars.bind_contextvars(run=run.id)
    log.info("an attempt starts", subject=f"{run.trigger.repository}#{run.trigger.number}")
    try:
        told = await _try(services, run, number)
    except UserError as problem:
        told = await _failed(services, run, problem.message, problem.next_step)
    except OurBugError as bug:
        told = await _failed(services, run, *words.our_bug(bug.reference))
    await _step(
        services, run, "report", Nothing, lambda: report.report(services, run, number, told)
    )
    log.info("an attempt ended", outcome=told.outcome.value)
    await _hear_the_late(services, run, number)


async def _hear_the_late(services: Services, run: RunInput, number: int) -> None:
    """Words that came after the agent's last look are not lost: they start the next attempt."""

    async def look() -> Late:
        return Late(unheard=await work.has_unheard(services, run))

    late = await _step(services, run, "hear the late", Late, look)
    if late.unheard:

        async def again() -> Nothing:
            return await intake.reopen(services, run.trigger, run, number + 1)

        await _step(services, run, "reopen", Nothing, again)
        await queue.enqueue_attempt(run, number + 1)


async def _try(services: Services, run: RunInput, number: int) -> Report:
    preparation = await _step(
        services, run, "prepare", Preparation, lambda: prepare.prepare(services, run)
    )
    feedback = _opening_words(run, number)
    if run.mode != "work":
        return await _answer(services, run, preparation, number)
    for correction in range(run.policy.corrections + 1):
        said = f"attempt {number}, correction {correction}"
        done, packed = await _work(services, run, preparation, feedback, said)
        if done.ending == "stopped" and not packed.empty:
            return await _keep(services, run, preparation, packed, done)
        if done.ending in ("question", "stopped", "refused") or packed.empty:
            return _without_a_change(run, done, packed)
        sealed, verified = await _seal_and_verify(services, run, preparation, packed, done)
        if verified.stopped:
            return await _keep(services, run, preparation, packed, done)
        feedback = verify.feedback(verified)
        last = correction == run.policy.corrections
        if feedback is None or last or done.ending != "done":
            return await _publish(services, run, sealed, done, verified)
        await _turn_back(services, run, sealed, verified)
    raise AssertionError("the loop ends in a report")


def _opening_words(run: RunInput, number: int) -> str | None:
    """What the agent hears first: in a first attempt the assignment alone."""
    if number == 1:
        return None
    return words.carry_it_out() if run.carries_out == number else words.go_on()


async def _answer(
    services: Services, run: RunInput, preparation: Preparation, number: int
) -> Report:
    """A plan or an answer: what the agent changed on the way is thrown away."""
    feedback = _opening_words(run, number)

    async def do() -> Work:
        said = f"attempt {number}"
        return await work.work(services, run, preparation, feedback, feedback_id=said)

    done = await _step(services, run, "work", Work, do)
    outcomes = {**_WITHOUT_A_CHANGE, "done": Outcome.ANSWERED}
    return Report(outcome=outcomes.get(done.ending, Outcome.NOTHING), work=done, mode=run.mode)


async def _work(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    feedback: str | None,
    feedback_id: str,
) -> tuple[Work, Packed]:
    async def do() -> Work:
        return await work.work(services, run, preparation, feedback, feedback_id=feedback_id)

    done = await _step(services, run, "work", Work, do)
    packed = await _step(
        services,
        run,
        "checkpoint",
        Packed,
        lambda: checkpoint.checkpoint(services, run, preparation),
    )
    return done, packed


async def _keep(
    services: Services, run: RunInput, preparation: Preparation, packed: Packed, done: Work
) -> Report:
    """Stopped: what there is becomes a commit on the branch, whose check run is cancelled."""

    async def keep() -> Kept:
        sealed = await seal.seal(services, run, preparation, packed, done)
        return await publish.keep(services, run, sealed)

    kept = await _step(services, run, "keep", Kept, keep)
    row = await services.runs.get(run.id)
    return Report(outcome=Outcome.STOPPED, stopped_by=row.stop_asked_by or "", kept_at=kept.branch)


async def _seal_and_verify(
    services: Services, run: RunInput, preparation: Preparation, packed: Packed, done: Work
) -> tuple[Sealed, Verified]:
    sealed = await _step(
        services,
        run,
        "seal",
        Sealed,
        lambda: seal.seal(services, run, preparation, packed, done),
    )
    verified = await _step(
        services, run, "verify", Verified, lambda: verify.verify(services, run, preparation, sealed)
    )
    return sealed, verified


async def _turn_back(services: Services, run: RunInput, sealed: Sealed, verified: Verified) -> None:
    """The commit is not published; its check run says what its tests said."""

    async def complete() -> Nothing:
        await verify.complete_check(services, run, sealed, verified)
        return Nothing()

    await _step(services, run, "turn back", Nothing, complete)


async def _publish(
    services: Services, run: RunInput, sealed: Sealed, done: Work, verified: Verified
) -> Report:
    publication = await _step(
        services,
        run,
        "publish",
        Publication,
        lambda: publish.publish(services, run, sealed, done, verified),
    )
    if done.ending == "budget":
        outcome = Outcome.BUDGET
    else:
        outcome = Outcome.DONE if publish.is_ready(done, verified) else Outcome.NOT_READY
    return Report(
        outcome=outcome,
        work=done,
        verdict=verified.verdict,
        publication=publication,
        head_sha=sealed.sha,
    )


def _without_a_change(run: RunInput, done: Work, packed: Packed) -> Report:
    return Report(
        outcome=_WITHOUT_A_CHANGE.get(done.ending, Outcome.NOTHING),
        work=done,
        kept_at="" if packed.empty else hidden_ref(run.id),
    )


async def _failed(services: Services, run: RunInput, problem: str, next_step: str) -> Report:
    """Bring what there is to a safe place, then say what went wrong."""

    async def keep() -> Salvaged:
        await verify.complete_what_is_open(services, run)
        return Salvaged(kept_at=await checkpoint.salvage(services, run))

    try:
        kept_at = (await _step(services, run, "salvage", Salvaged, keep)).kept_at
    except (UserError, OurBugError):
        kept_at = ""
    return Report(outcome=Outcome.ERROR, problem=problem, next_step=next_step, kept_at=kept_at)


async def _step(
    services: Services,
    run: RunInput,
    name: str,
    returns: type[V],
    function: Callable[[], Awaitable[V]],
) -> V:
    try:
        return await durable.step(name, returns, function)
    finally:
        await services.save_counts(run.id)
