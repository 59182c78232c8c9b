"""Automatic work on one of Honk's pull requests, after a push or when checks fail."""

from __future__ import annotations

import structlog

from app import log_events, messages
from app.domain.policy import Policy
from app.domain.run import subject_key
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.runs import durable, intake, starting
from app.runs.commands import check, fix
from app.runs.commands.fix import FailingChecks
from app.runs.durable import NoResult
from app.runs.services import Services

log = structlog.get_logger()


class EarlierAttempts(Value):
    """How many automatic fixes the pull request has had."""

    times: int


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Verify a head that somebody pushed, or fix failing checks of other Apps."""
    state = await starting.recorded_state(services, trigger)
    if state.live or trigger.closed:
        log.info(log_events.AUTOMATIC_FIX_NOT_STARTED, live=state.live, closed=trigger.closed)
    elif trigger.command is not None and trigger.command.name == "test":
        await durable.step("supersede", NoResult, lambda: _supersede(services, trigger))
        run = intake.new_run(services, trigger, policy, request="Run the tests")
        quiet = run.model_copy(update={"mode": "test", "quiet": True, "background": True})
        await starting.start(services, trigger, quiet)
    else:
        await _fix(services, trigger, policy)


async def _supersede(services: Services, trigger: Trigger) -> NoResult:
    """Stop what verifies an earlier push. Every run verifies the head that it finds when it starts,
    so it does not matter which push is handled last."""
    why = messages.check_run.superseded_by_newer()
    for row in await services.runs.alive_on(subject_key(trigger.repository, trigger.number)):
        is_test = row.input.trigger.kind == "unasked" and row.input.mode == "test"
        if is_test and row.trigger_id != trigger.id:
            await check.stop(services, row, trigger.actor.login, why)
    return NoResult()


async def _fix(services: Services, trigger: Trigger, policy: Policy) -> None:
    before = await durable.step(
        "count earlier attempts", EarlierAttempts, lambda: _count(services, trigger)
    )
    if before.times >= policy.auto_fix_ci:
        log.info(log_events.AUTOMATIC_FIXES_EXHAUSTED, times=before.times)
        return
    failing = await durable.step(
        "count failing checks", FailingChecks, lambda: fix.count_failing(services, trigger)
    )
    if failing.count:
        run = intake.new_run(services, trigger, policy, request="")
        await starting.start(services, trigger, run, fixing=True)


async def _count(services: Services, trigger: Trigger) -> EarlierAttempts:
    rows = await services.runs.of_subject(subject_key(trigger.repository, trigger.number))
    unasked = [row for row in rows if row.input.trigger.kind == "unasked" and not row.input.quiet]
    return EarlierAttempts(times=len(unasked))
