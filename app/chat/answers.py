"""Answers of the intake to requests from Slack, as a `ChatChannel`."""

from __future__ import annotations

from dataclasses import dataclass

from app.store.slack import SlackStore

PREFIX = "slack:"

LIVE_SECONDS = 120.0
"""How long a thread is looked at after a request or an answer."""


@dataclass(frozen=True)
class SlackAnswers:
    """Stores what is said; `app/chat/following.py` shows it."""

    store: SlackStore

    def takes(self, request: str) -> bool:
        return request.startswith(PREFIX)

    async def say(self, request: str, text: str) -> None:
        team, channel, thread = request.removeprefix(PREFIX).split(":")[:3]
        await self.store.answer(request, text)
        await self.store.look_at(team, channel, thread, LIVE_SECONDS)


def thread_prefix(team: str, channel: str, thread: str) -> str:
    """How the ids of the triggers begin that were asked for in a thread."""
    return f"{PREFIX}{team}:{channel}:{thread}:"
