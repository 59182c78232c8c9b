"""`/honk ask QUESTION`: answer a question about the project without changing anything."""

from __future__ import annotations

from typing import Literal

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import intake, starting
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that ends with an answer."""
    await start(services, trigger, policy, "ask")


async def start(
    services: Services, trigger: Trigger, policy: Policy, mode: Literal["plan", "ask"]
) -> None:
    """Start a run that changes nothing, unless another run is live on the subject."""
    state = await starting.recorded_state(services, trigger)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
        return
    run = intake.new_run(services, trigger, policy).model_copy(update={"mode": mode})
    await starting.start(services, trigger, run)
