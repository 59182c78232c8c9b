"""`/honk doctor`: report what works in this repository, what does not, and how to fix it."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.domain.values import Value
from app.messages import doctor_findings
from app.runs import durable, intake, repository_checks
from app.runs.durable import NoResult
from app.runs.services import Services


class DoctorResult(Value):
    """The text of the answer."""

    text: str


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Run all checks and answer with one comment."""
    await durable.step("acknowledge", NoResult, lambda: intake.react_with_eyes(services, trigger))
    report = await durable.step(
        "check repository", DoctorResult, lambda: _check(services, trigger, policy)
    )
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, report.text))


async def _check(services: Services, trigger: Trigger, policy: Policy) -> DoctorResult:
    findings = await repository_checks.check_repository(services, trigger, policy)
    return DoctorResult(text=doctor_findings.report(findings))
