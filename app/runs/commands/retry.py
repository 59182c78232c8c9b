"""`/honk retry`: a new run of what was asked last, whatever became of it."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Mode
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.runs import durable, intake, starting
from app.runs.intake import SubjectState
from app.runs.services import Services


class Again(Value):
    """What is tried again; without an earlier run what the issue says."""

    request: str = ""
    mode: Mode = "work"


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start again from the base branch, unless a run is at work."""
    standing = await durable.step(
        "look", SubjectState, lambda: intake.subject_state(services, trigger)
    )
    if standing.live:
        await starting.refuse(services, trigger, messages.refusals.stop_first(trigger.number))
        return
    again = await durable.step("look back", Again, lambda: _look_back(services, trigger))
    run = intake.new_run(services, trigger, policy, request=again.request)
    await starting.start(services, trigger, run.model_copy(update={"mode": again.mode}))


async def _look_back(services: Services, trigger: Trigger) -> Again:
    """The last run that was no question: an answer is nothing to try again."""
    rows = await intake.runs_asked_for(services, trigger)
    row = next((row for row in rows if row.input.mode != "ask"), None)
    return Again(request=row.input.request, mode=row.input.mode) if row else Again()
