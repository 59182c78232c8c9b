"""`/honk [task]`, or the label: start a run, or say something to the one that is there."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import durable, intake, starting
from app.runs.durable import NoResult
from app.runs.intake import DeliveredMessage, SubjectState
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """A new run; words to a live run; an answer to its question; or why nothing starts."""
    standing = await durable.step(
        "look", SubjectState, lambda: intake.subject_state(services, trigger)
    )
    said = trigger.command.task if trigger.command else ""
    if standing.live and said:
        await _say(services, trigger, policy, standing, said)
    elif standing.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif standing.outcome is Outcome.QUESTION and said:
        await starting.resume(services, trigger, policy, standing, said=said)
    elif standing.open_pull is not None and standing.open_pull_is_ours and said:
        await _on_the_pull(services, trigger, policy, standing.open_pull)
    elif standing.open_pull is not None:
        ours = standing.open_pull_is_ours
        told = messages.refusals.already_open if ours else messages.refusals.open_elsewhere
        await starting.refuse(services, trigger, told(standing.open_pull))
    else:
        await starting.start(services, trigger, intake.new_run(services, trigger, policy))


async def _on_the_pull(services: Services, trigger: Trigger, policy: Policy, number: int) -> None:
    """A task for an issue whose pull request of ours is open belongs there."""
    there = await durable.step(
        "look at the pull request", Trigger, lambda: intake.on_pull(services, trigger, number)
    )
    answer = messages.refusals.on_the_pull(number)
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, answer))
    await handle(services, there, policy)


async def _say(
    services: Services, trigger: Trigger, policy: Policy, standing: SubjectState, said: str
) -> None:
    """Words to a live run; where it ended meanwhile they start its next attempt."""
    run = standing.run
    assert run is not None
    heard = await durable.step(
        "hear", DeliveredMessage, lambda: intake.deliver_message(services, trigger, run, said)
    )
    if heard.ended is not None:
        over = standing.model_copy(update={"attempt": heard.ended})
        await starting.resume(services, trigger, policy, over)
