"""`/honk doctor`: what works in this repository, what does not, and what to do about it."""

from __future__ import annotations

from app.domain import checkup
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.runs import durable, examination, intake
from app.runs.durable import Nothing
from app.runs.services import Services


class Told(Value):
    """What is answered."""

    text: str


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Look at everything, then answer with one comment."""
    await durable.step("show that it was heard", Nothing, lambda: intake.seen(services, trigger))
    told = await durable.step("examine", Told, lambda: _examine(services, trigger, policy))
    await durable.step("answer", Nothing, lambda: intake.answer(services, trigger, told.text))


async def _examine(services: Services, trigger: Trigger, policy: Policy) -> Told:
    findings = await examination.examine(services, trigger, policy)
    return Told(text=checkup.report(findings))
