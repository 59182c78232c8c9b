"""`/honk doctor`: what works in this repository, what does not, and what to do about it."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.messages import doctor_findings
from app.runs import durable, intake, repository_checks
from app.runs.durable import NoResult
from app.runs.services import Services


class DoctorResult(Value):
    """What is answered."""

    text: str


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Look at everything, then answer with one comment."""
    await durable.step(
        "show that it was heard", NoResult, lambda: intake.react_with_eyes(services, trigger)
    )
    told = await durable.step("examine", DoctorResult, lambda: _examine(services, trigger, policy))
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, told.text))


async def _examine(services: Services, trigger: Trigger, policy: Policy) -> DoctorResult:
    findings = await repository_checks.examine(services, trigger, policy)
    return DoctorResult(text=doctor_findings.report(findings))
