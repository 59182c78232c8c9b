"""`/honk rebase`: bring a pull request's branch up to date with its base."""

from __future__ import annotations

from typing import Literal

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import intake, starting
from app.runs.services import Services

_REQUESTS = {
    "rebase": "Bring the branch up to date with its base",
    "test": "Run the tests",
}


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that rebases the branch; the agent resolves merge conflicts."""
    await start(services, trigger, policy, "rebase")


async def start(
    services: Services, trigger: Trigger, policy: Policy, mode: Literal["rebase", "test"]
) -> None:
    """Start a run that needs no task on a pull request, unless another run is live there."""
    if not trigger.is_pull_request:
        await starting.refuse(services, trigger, messages.refusals.only_on_pulls(mode))
        return
    state = await starting.recorded_state(services, trigger)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
        return
    run = intake.new_run(services, trigger, policy, request=_REQUESTS[mode])
    await starting.start(services, trigger, run.model_copy(update={"mode": mode}))
