"""Answers of the intake to requests from Slack, as a `ChatChannel`."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.trigger import Trigger
from app.store.slack import SlackStore

PREFIX = "slack:"


@dataclass(frozen=True)
class SlackAnswers:
    """Stores what is said; `app/chat/following.py` shows it."""

    store: SlackStore

    def takes(self, trigger: Trigger) -> bool:
        return trigger.id.startswith(PREFIX)

    async def say(self, trigger: Trigger, text: str) -> None:
        await self.store.answer(trigger.id, text)


def thread_prefix(team: str, channel: str, thread: str) -> str:
    """How the ids of the triggers begin that were asked for in a thread."""
    return f"{PREFIX}{team}:{channel}:{thread}:"
