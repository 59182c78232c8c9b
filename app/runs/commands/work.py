"""`/honk [task]`, or the label: start a run, or send a message to the live one."""

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
    """Start a run, message a live run, answer its question, or refuse."""
    state = await starting.recorded_state(services, trigger)
    said = trigger.command.task if trigger.command else ""
    if state.live and said:
        await _send_message(services, trigger, policy, state, said)
    elif state.live:
        await starting.refuse(services, trigger, messages.refusals.already_working(trigger.number))
    elif state.outcome is Outcome.QUESTION and said:
        await starting.resume(services, trigger, policy, state, said=said)
    elif state.open_pull is not None and state.open_pull_is_ours and said:
        await _move_to_pull(services, trigger, policy, state.open_pull)
    elif state.open_pull is not None:
        ours = state.open_pull_is_ours
        refusal = messages.refusals.already_open if ours else messages.refusals.open_elsewhere
        await starting.refuse(services, trigger, refusal(state.open_pull))
    else:
        await starting.start(services, trigger, intake.new_run(services, trigger, policy))


async def _move_to_pull(services: Services, trigger: Trigger, policy: Policy, number: int) -> None:
    """Move a task on an issue to our open pull request for it."""
    moved = await durable.step(
        "load pull request", Trigger, lambda: intake.on_pull(services, trigger, number)
    )
    answer = messages.refusals.on_the_pull(number)
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, answer))
    await handle(services, moved, policy)


async def _send_message(
    services: Services, trigger: Trigger, policy: Policy, state: SubjectState, said: str
) -> None:
    """Send a message to a live run; if it has ended, start its next attempt with it."""
    run = state.run
    assert run is not None
    delivered = await durable.step(
        "deliver message",
        DeliveredMessage,
        lambda: intake.deliver_message(services, trigger, run, said),
    )
    if delivered.ended is not None:
        ended = state.model_copy(update={"attempt": delivered.ended})
        await starting.resume(services, trigger, policy, ended)
