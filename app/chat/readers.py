"""Who reads a conversation in Slack: closed by default for anything private."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from app.chat.api import SlackApi
from app.messages import slack as texts
from app.messages.slack import ChatMessage

MOST_MEMBERS = 200
"""Members of a channel that are looked at; Slack is asked about each, a hundred a minute."""

_AT_ONCE = 4


@dataclass(frozen=True)
class Readers:
    """Asks Slack each time: a channel may get other members, or be shared, while a run works."""

    api: SlackApi

    async def problem(self, channel: str, *, private: bool) -> ChatMessage | None:
        """Why Honk must not work in this conversation; None if it may.

        `private`: the repository is.
        """
        if is_direct(channel):
            return None
        found = await self.api.channel(channel)
        if found.shared:
            return texts.shared_channel()
        if not private or found.direct:
            return None
        members = await self.api.members(channel, MOST_MEMBERS)
        if members is None:
            return texts.too_many_here(MOST_MEMBERS)
        return texts.outsiders_here() if await self._has_outsiders(members) else None

    async def _has_outsiders(self, members: list[str]) -> bool:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def is_outsider(user: str) -> bool:
            async with gate:
                # Apps and deactivated accounts read nothing as people.
                return (await self.api.person(user)).refused not in ("", "bot", "deleted")

        return any(await asyncio.gather(*map(is_outsider, members)))


def is_direct(channel: str) -> bool:
    """Whether it is a direct message between Honk and one person, by its id."""
    return channel.startswith("D")
