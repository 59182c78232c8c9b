"""`/honk continue [budget=]`: resume the last run where it ended."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import RESUMABLE
from app.domain.trigger import Trigger
from app.runs import starting
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start the last run's next attempt, unless the run is live or done."""
    state = await starting.recorded_state(services, trigger, skip_answered=True)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif state.outcome not in RESUMABLE:
        await starting.refuse(
            services, trigger, messages.refusals.nothing_to_continue(trigger.number)
        )
    else:
        await starting.resume(services, trigger, policy, state)
