"""`/honk test`: run the tests on a pull request's head without changing anything."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs.commands import rebase
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Start a run that only verifies."""
    await rebase.start(services, trigger, policy, "test")
