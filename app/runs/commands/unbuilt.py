"""The commands that are named and not built yet: said so, and nothing starts."""

from __future__ import annotations

from app.domain import words
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import starting
from app.runs.commands import work
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Refuse in words; "fix the rounding" is work all the same."""
    assert trigger.command is not None
    if trigger.command.name == "fix" and trigger.command.task:
        await work.handle(services, trigger, policy)
        return
    await starting.refuse(services, trigger, words.not_built_yet(trigger.command.name))
