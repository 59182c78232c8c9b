"""`/honk status`: how the run stands, in one comment."""

from __future__ import annotations

from app.domain import words
from app.domain.policy import Policy
from app.domain.run import subject_key
from app.domain.trigger import Trigger
from app.runs import durable, intake
from app.runs.durable import Nothing
from app.runs.services import Services
from app.runs.steps.announce import plan_of, usage_of


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Tell of the subject's last run."""
    await durable.step("answer", Nothing, lambda: _answer(services, trigger))


async def _answer(services: Services, trigger: Trigger) -> Nothing:
    rows = await services.runs.of_subject(subject_key(trigger.repository, trigger.number))
    if not rows:
        return await intake.answer(services, trigger, words.no_run_yet())
    row = rows[0]
    waiting = await services.runs.waiting(row)
    text = words.how_it_stands(
        row.id, row.phase, row.outcome, plan_of(row), usage_of(row), waiting=waiting
    )
    return await intake.answer(services, trigger, text)
