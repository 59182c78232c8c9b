"""The requester's next comment after a question is its answer; no command is needed for that."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain.policy import Policy
from app.domain.run import Outcome
from app.domain.trigger import Trigger
from app.runs import durable, intake, starting
from app.runs.intake import SubjectState
from app.runs.services import Services

log = structlog.get_logger()


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Go on with the answer; other people's talk is only talk."""
    standing = await durable.step(
        "look", SubjectState, lambda: intake.subject_state(services, trigger)
    )
    waits = standing.outcome is Outcome.QUESTION and not standing.live
    if not waits or standing.asked_by != trigger.actor.id or trigger.comment is None:
        log.info(log_events.COMMENT_IS_NO_ANSWER, by=trigger.actor.login)
        return
    await starting.resume(services, trigger, policy, standing, said=trigger.comment.body)
