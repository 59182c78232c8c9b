"""`/honk status`: how the run stands, in one comment."""

from __future__ import annotations

from app.domain import words
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import durable, intake
from app.runs.durable import Nothing
from app.runs.services import Services
from app.runs.steps.announce import told_of


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Tell of the subject's last run."""
    await durable.step("answer", Nothing, lambda: _answer(services, trigger))


async def _answer(services: Services, trigger: Trigger) -> Nothing:
    row = await intake.last_run(services, trigger)
    if row is None:
        return await intake.answer(services, trigger, words.no_run_yet())
    waiting = await services.runs.waiting(row)
    text = words.how_it_stands(told_of(services, row), row.phase, row.outcome, waiting)
    return await intake.answer(services, trigger, text)
