"""`/honk help`: what can be asked for, each with an example."""

from __future__ import annotations

from app.domain import words
from app.domain.command import COMMANDS
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import durable, intake
from app.runs.durable import Nothing
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Answer with the list."""
    text = words.help_text(COMMANDS.values())
    await durable.step("answer", Nothing, lambda: intake.answer(services, trigger, text))
