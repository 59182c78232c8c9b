"""`/honk stop`, or removing the label `honk:running`: end the run and keep its work."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.report import (
    Report,
)
from app.domain.run import Outcome, attempt_id
from app.domain.trigger import Trigger
from app.domain.values import RunId, Value
from app.runs import durable, intake, starting
from app.runs.attempt import Attempt
from app.runs.durable import NoResult
from app.runs.queue import cancel_attempt
from app.runs.services import Services
from app.runs.steps import report


class StopResult(Value):
    """Whether the attempt was still queued and is now canceled."""

    canceled: bool


def is_included(trigger: Trigger) -> bool:
    """Whether `stop` is one of several commands: it must not wait until the person corrects the
    others."""
    return trigger.command is not None and "stop" in trigger.command.several


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Ask a live run to stop; end a queued one at once."""
    state = await starting.recorded_state(services, trigger)
    several = trigger.command.several if trigger.command else ()
    if not state.live or state.run is None:
        none = messages.refusals.nothing_to_stop(trigger.number)
        await starting.refuse(
            services, trigger, messages.refusals.one_at_a_time(several) if several else none
        )
        return
    run = state.run
    await durable.step("request stop", NoResult, lambda: _request_stop(services, trigger, run))
    if several:
        await starting.refuse(services, trigger, messages.refusals.only_stopped(several))
    if not state.queued:
        return
    attempt = attempt_id(run, state.attempt)
    taken = await durable.step("cancel queued attempt", StopResult, lambda: _take_out(attempt))
    if taken.canceled:
        await durable.step("report", NoResult, lambda: _end(services, run, state.attempt))


async def _request_stop(services: Services, trigger: Trigger, run: RunId) -> NoResult:
    await services.runs.ask_to_stop(run, trigger.actor.login)
    return await intake.react_with_eyes(services, trigger)


async def _take_out(attempt: str) -> StopResult:
    return StopResult(canceled=await cancel_attempt(attempt))


async def _end(services: Services, run: RunId, attempt: int) -> NoResult:
    """Report the end of a run that had not started, so there is no work to keep."""
    row = await services.runs.get(run)
    return await report.report(
        Attempt(services, row.input, attempt), Report(outcome=Outcome.STOPPED)
    )
