"""`/honk plan [task]`: make a plan; nothing changes until `/honk go`."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs.commands import ask
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that ends with a plan."""
    await ask.start(services, trigger, policy, "plan")
