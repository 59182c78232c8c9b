"""A requester's comment after a question counts as the answer, without a command."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import starting
from app.runs.services import Services

log = structlog.get_logger()


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Resume the run with the requester's answer; ignore everybody else's comments."""
    state = await starting.recorded_state(services, trigger)
    waits = state.outcome is Outcome.QUESTION and not state.live
    if not waits or state.asked_by != trigger.actor.id or trigger.comment is None:
        log.info(log_events.COMMENT_IS_NO_ANSWER, by=trigger.actor.login)
        return
    await starting.resume(services, trigger, policy, state, said=trigger.comment.body)
