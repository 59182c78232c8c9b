"""`/honk help`: list the commands, each with an example."""

from __future__ import annotations

from app import messages
from app.domain.command import COMMANDS
from app.domain.policy import Policy
from app.domain.trigger import Trigger
from app.runs import durable, intake
from app.runs.durable import NoResult
from app.runs.services import Services


async def handle(services: Services, trigger: Trigger, policy: Policy) -> None:
    """Answer with the list."""
    text = messages.comments.help_text(COMMANDS.values())
    await durable.step("answer", NoResult, lambda: intake.answer(services, trigger, text))
