"""`/honk setup`: propose a policy file with the commands that set up the repository."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import intake, starting
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that needs no model on an issue, unless another run is live there."""
    if trigger.is_pull_request:
        await starting.refuse(services, trigger, messages.refusals.only_on_issues("setup"))
        return
    state = await starting.recorded_state(services, trigger)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
        return
    run = intake.new_run(services, trigger, policy, request=messages.probe.SETUP_REQUEST)
    await starting.start(services, trigger, run.model_copy(update={"mode": "setup"}))
