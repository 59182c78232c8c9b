"""`/honk status`: the state of the last run, in one comment."""

from __future__ import annotations

from app import messages
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import durable, intake
from app.runs.durable import NoResult
from app.runs.services import Services
from app.runs.steps.progress import status_context


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Answer with the state of the subject's last run."""
    await durable.step("answer", NoResult, lambda: _answer(services, trigger))


async def _answer(services: Services, trigger: Trigger) -> NoResult:
    row = await intake.last_run(services, trigger)
    if row is None:
        return await intake.answer(services, trigger, messages.status_comment.no_run_yet())
    waiting = await services.runs.waiting(row)
    text = messages.status_comment.status_answer(
        status_context(services, row), row.phase, row.outcome, waiting
    )
    return await intake.answer(services, trigger, text)
