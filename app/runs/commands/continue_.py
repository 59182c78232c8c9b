"""`/honk continue [budget=]`: the run goes on from where it ended."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import durable, intake, starting
from app.runs.intake import SubjectState
from app.runs.services import Services

CAN_GO_ON = frozenset(Outcome) - {Outcome.DONE, Outcome.ANSWERED}


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start the next attempt of the last run, unless that is at work or has done its work."""
    standing = await durable.step(
        "look", SubjectState, lambda: intake.subject_state(services, trigger)
    )
    if standing.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif standing.outcome not in CAN_GO_ON:
        await starting.refuse(
            services, trigger, messages.refusals.nothing_to_continue(trigger.number)
        )
    else:
        await starting.resume(services, trigger, policy, standing)
