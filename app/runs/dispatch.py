"""The walk of one trigger: permission and policy, then what the command asks for."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain.trigger import Trigger
from app.errors import UserError
from app.runs import commands, durable, intake, pending
from app.runs.durable import InternalError, NoResult
from app.runs.intake import Authorization, Refreshed
from app.runs.services import Services

log = structlog.get_logger()


async def dispatch(services: Services, trigger: Trigger, tries: int = 0) -> None:
    """Hear one trigger. Whoever may not speak is met with silence, and a line in the log.

    What cannot be heard now is put off; `tries` is how often it was tried before, in vain.
    """
    structlog.contextvars.bind_contextvars(trigger=trigger.id)
    admission = Authorization()
    try:
        if tries:
            trigger = (
                await durable.step(
                    "refresh", Refreshed, lambda: intake.refreshed(services, trigger)
                )
            ).trigger
        admission = await durable.step(
            "admit", Authorization, lambda: intake.authorize(services, trigger)
        )
        await _carry_out(services, trigger, admission)
    except (UserError, InternalError) as problem:
        may_speak = admission.policy is not None
        await pending.put_off(services, trigger, problem, may_speak=may_speak)
    else:
        if tries:
            await pending.taken_in(services, trigger)


async def _carry_out(services: Services, trigger: Trigger, admission: Authorization) -> None:
    wrong = intake.validation_error(services, trigger)
    if admission.policy is not None and wrong is None:
        await commands.handler(trigger)(services, trigger, admission.policy)
    elif admission.policy is not None and wrong is not None:
        await durable.step("refuse", NoResult, lambda: intake.refuse(services, trigger, *wrong))
    elif intake.should_reply(trigger, admission):
        told = admission.problem, admission.next_step
        await durable.step("refuse", NoResult, lambda: intake.refuse(services, trigger, *told))
    else:
        log.info(log_events.TRIGGER_IGNORED, why=admission.silent or admission.problem)
