"""`/honk retry`: a new run of what was asked last, whatever became of it."""

from __future__ import annotations

from app.domain import words
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import durable, intake, starting
from app.runs.intake import Standing
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start again from the base branch, unless a run is at work."""
    standing = await durable.step("look", Standing, lambda: intake.look(services, trigger))
    if standing.live:
        await starting.refuse(services, trigger, words.stop_it_first(trigger.number))
        return
    run = intake.new_run(services, trigger, policy, request=standing.request)
    await starting.start(services, trigger, run.model_copy(update={"mode": standing.mode}))
