"""Link previews: Slack reads every link that is posted, before any person clicks on it.

Outside contract: https://docs.slack.dev/messaging/unfurling-links-in-messages
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from .mrkdwn import unescaped

_LINK = re.compile(r"https?://[^\s<>|)\]\"']+")
_HERE = ("127.0.0.1", "localhost", "::1")
_SECONDS = 5.0


@dataclass
class LinkPreviews:
    """Reads the links of messages that lead to this machine, and keeps what was answered."""

    is_on: bool = True
    read: list[tuple[str, int]] = field(default_factory=list)
    """Each address that was read, with the status; 0 where nothing answered."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def look(self, *texts: str, values: Any = None) -> None:
        """Read all links in texts, and in every string of JSON values."""
        if not self.is_on:
            return
        found = [link for text in (*texts, *_strings(values)) for link in _LINK.findall(text)]
        for link in dict.fromkeys(map(unescaped, found)):
            if urlsplit(link).hostname in _HERE:
                task = asyncio.create_task(self._read(link))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop reading."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, link: str) -> None:
        agent = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"
        status = 0
        async with httpx.AsyncClient(
            trust_env=False, timeout=_SECONDS, follow_redirects=True, headers={"User-Agent": agent}
        ) as client:
            try:
                status = (await client.get(link)).status_code
            except (httpx.HTTPError, httpx.InvalidURL):
                """Nothing to show."""
        self.read.append((link, status))


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [each for one in value for each in _strings(one)] if isinstance(value, list) else []
