"""The durable story, as a table of contents: an intake for each trigger, attempts for each run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from dbos import DBOS

from app.domain import words
from app.domain.run import Outcome, Preparation, RunInput, attempt_id, hidden_ref
from app.domain.trigger import Trigger
from app.domain.values import RunId, Value
from app.domain.words import Publication, Report, Work
from app.errors import UserError
from app.runs import durable, intake, queue
from app.runs.durable import Nothing, OurBugError
from app.runs.intake import Admission
from app.runs.services import Services
from app.runs.steps import checkpoint, prepare, publish, report, seal, verify, work
from app.runs.steps.checkpoint import Packed
from app.runs.steps.seal import Sealed
from app.runs.steps.verify import Verified

log = structlog.get_logger()
V = TypeVar("V", bound=Value)

# An attempt that has killed its worker three times is not tried again.
RECOVERIES = 2


class Salvaged(Value):
    """Where the work of a failed attempt is kept; empty when there is none."""

    kept_at: str


def register(services: Services) -> None:
    """Make both workflows known to the engine, before it is launched."""

    @DBOS.workflow(name=queue.INTAKE, max_recovery_attempts=RECOVERIES)
    async def _intake(trigger: dict[str, Any]) -> None:
        await take_in(services, Trigger.model_validate(trigger))

    @DBOS.workflow(name=queue.ATTEMPT, max_recovery_attempts=RECOVERIES)
    async def _attempt(run: dict[str, Any], number: int) -> None:
        await attempt(services, RunInput.model_validate(run), number)


async def take_in(services: Services, trigger: Trigger) -> None:
    """Permission, policy, eyes, status comment, and the first attempt in the queue."""
    structlog.contextvars.bind_contextvars(trigger=trigger.id)
    try:
        admission = await durable.step("admit", Admission, lambda: intake.admit(services, trigger))
        if admission.run is not None:
            run = admission.run
            await durable.step("acknowledge", Nothing, lambda: intake.acknowledge(services, run))
            await _enqueue_attempt(run, 1)
        elif admission.problem:
            await durable.step(
                "refuse", Nothing, lambda: intake.refuse(services, trigger, admission)
            )
        else:
            log.info("a trigger was ignored", why=admission.silent)
    except (UserError, OurBugError) as problem:
        # Nobody can be told: what failed here is talking to GitHub, or knowing who may be answered.
        log.warning("a trigger was not taken in", why=str(problem))


async def attempt(services: Services, run: RunInput, number: int) -> None:
    """One attempt, and whatever happens its report."""
    structlog.contextvars.bind_contextvars(run=run.id)
    log.info("an attempt starts", subject=f"{run.trigger.repository}#{run.trigger.number}")
    try:
        told = await _try(services, run)
    except UserError as problem:
        told = await _failed(services, run, problem.message, problem.next_step)
    except OurBugError as bug:
        told = await _failed(services, run, *words.our_bug(bug.reference))
    await _step(
        services, run, "report", Nothing, lambda: report.report(services, run, number, told)
    )
    log.info("an attempt ended", outcome=told.outcome.value)


async def _try(services: Services, run: RunInput) -> Report:
    preparation = await _step(
        services, run, "prepare", Preparation, lambda: prepare.prepare(services, run)
    )
    feedback: str | None = None
    for correction in range(run.policy.corrections + 1):
        done, packed = await _work(services, run, preparation, feedback, correction)
        if done.ending in ("question", "stopped", "refused") or packed.empty:
            return _without_a_change(run, done, packed)
        sealed, verified = await _seal_and_verify(services, run, preparation, packed, done)
        feedback = verify.feedback(verified)
        last = correction == run.policy.corrections
        if feedback is None or last or done.ending != "done":
            return await _publish(services, run, sealed, done, verified)
        await _turn_back(services, run, sealed, verified)
    raise AssertionError("the loop ends in a report")


async def _work(
    services: Services,
    run: RunInput,
    preparation: Preparation,
    feedback: str | None,
    correction: int,
) -> tuple[Work, Packed]:
    async def do() -> Work:
        return await work.work(services, run, preparation, feedback, correction=correction)

    done = await _step(services, run, "work", Work, do)
    packed = await _step(
        services,
        run,
        "checkpoint",
        Packed,
        lambda: checkpoint.checkpoint(services, run, preparation),
    )
    return done, packed


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
    outcomes = {
        "question": Outcome.QUESTION,
        "stopped": Outcome.STOPPED,
        "budget": Outcome.BUDGET,
    }
    return Report(
        outcome=outcomes.get(done.ending, Outcome.NOTHING),
        work=done,
        kept_at="" if packed.empty else hidden_ref(run.id),
    )


async def _failed(services: Services, run: RunInput, problem: str, next_step: str) -> Report:
    """Bring what there is to a safe place, then say what went wrong."""

    async def keep() -> Salvaged:
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


async def _enqueue_attempt(run: RunInput, number: int) -> None:
    await DBOS.enqueue_workflow_with_options_async(
        {
            "workflow_name": queue.ATTEMPT,
            "queue_name": queue.RUNS_QUEUE,
            "workflow_id": attempt_id(run.id, number),
            "queue_partition_key": queue.partition(run),
            "app_version": queue.APPLICATION_VERSION,
        },
        run.model_dump(mode="json"),
        number,
    )


async def settle(services: Services) -> None:
    """End in words every run whose attempt is dead: its worker died too often, its report failed.

    Raises RetryableError when GitHub or the database is away; it is called again later.
    """
    for row in await services.runs.alive():
        status = await DBOS.get_workflow_status_async(attempt_id(row.id, row.attempt))
        if status is None or status.status in ("ENQUEUED", "PENDING", "DELAYED"):
            continue
        problem, next_step = words.attempt_died()
        kept_at = await checkpoint.salvage(services, row.input)
        told = Report(outcome=Outcome.ERROR, problem=problem, next_step=next_step, kept_at=kept_at)
        await report.report(services, row.input, row.attempt, told)
        await services.save_counts(RunId(row.id))
        log.warning("a dead run was settled", run=row.id, engine=status.status)
