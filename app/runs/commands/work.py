"""`/honk [task]`, or the label: start a run, or say something to the one that is there."""

from __future__ import annotations

from app.domain import words
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import durable, intake, starting
from app.runs.intake import Heard, Standing
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """A new run; words to a live run; an answer to its question; or why nothing starts."""
    standing = await durable.step("look", Standing, lambda: intake.look(services, trigger))
    said = trigger.command.task if trigger.command else ""
    if standing.live and said:
        await _say(services, trigger, policy, standing, said)
    elif standing.live:
        await starting.refuse(services, trigger, words.already_working(trigger.number))
    elif standing.outcome is Outcome.QUESTION and said:
        await starting.resume(services, trigger, policy, standing, said=said)
    elif standing.open_pull is not None:
        await starting.refuse(services, trigger, words.already_open(standing.open_pull))
    else:
        await starting.start(services, trigger, intake.new_run(services, trigger, policy))


async def _say(
    services: Services, trigger: Trigger, policy: Policy, standing: Standing, said: str
) -> None:
    """Words to a live run; where it ended meanwhile they start its next attempt."""
    run = standing.run
    assert run is not None
    heard = await durable.step("hear", Heard, lambda: intake.hear(services, trigger, run, said))
    if heard.ended is not None:
        over = standing.model_copy(update={"attempt": heard.ended})
        await starting.resume(services, trigger, policy, over)
