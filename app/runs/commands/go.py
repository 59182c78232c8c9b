"""`/honk go`: carry out the plan that the last run made."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import starting
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Resume the run that made the plan, this time publishing its changes."""
    state = await starting.recorded_state(services, trigger, skip_answered=True)
    if state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif state.mode != "plan" or state.outcome is not Outcome.ANSWERED:
        await starting.refuse(services, trigger, messages.refusals.no_plan(trigger.number))
    else:
        await starting.resume(services, trigger, policy, state, carry_out=True)
