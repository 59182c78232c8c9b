"""The walk of one trigger: permission and policy, then what the command asks for."""

from __future__ import annotations

import structlog

from app.domain.trigger import Trigger
from app.errors import UserError
from app.runs import commands, durable, intake
from app.runs.durable import Nothing, OurBugError
from app.runs.intake import Admission
from app.runs.services import Services

log = structlog.get_logger()


async def take_in(services: Services, trigger: Trigger) -> None:
    """Hear one trigger. Whoever may not speak is met with silence, and a line in the log."""
    structlog.contextvars.bind_contextvars(trigger=trigger.id)
    try:
        admission = await durable.step("admit", Admission, lambda: intake.admit(services, trigger))
        wrong = intake.misunderstood(services, trigger)
        if admission.policy is not None and wrong is None:
            await commands.handler(trigger)(services, trigger, admission.policy)
        elif admission.policy is not None and wrong is not None:
            await durable.step("refuse", Nothing, lambda: intake.refuse(services, trigger, *wrong))
        elif intake.aloud(trigger, admission):
            told = admission.problem, admission.next_step
            await durable.step("refuse", Nothing, lambda: intake.refuse(services, trigger, *told))
        else:
            log.info("a trigger was ignored", why=admission.silent or admission.problem)
    except (UserError, OurBugError) as problem:
        # Nobody can be told: what failed here is talking to GitHub, or knowing who may be answered.
        log.warning("a trigger was not taken in", why=str(problem))
