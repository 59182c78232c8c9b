"""Socket Mode: Slack's deliveries through a connection that Honk opens, without a public address.

An envelope is acknowledged after one durable insert; Slack sends again what was not. Before Slack
closes a connection it says so: the next one is opened first, and the old one read to its end.

slack-sdk's own client acknowledges on whichever connection is open and logs the connection's URL,
which holds a secret.
https://docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from app import log_events
from app.chat.api import socket_url
from app.chat.receiving import take
from app.domain.slack import Kind, SlackError
from app.errors import HonkError, RetryableError
from app.outgoing import Outgoing
from app.store.slack import SlackStore

log = structlog.get_logger()

_KINDS: Mapping[str, Kind] = {
    "events_api": "events",
    "slash_commands": "command",
    "interactive": "interactive",
}
_PING_SECONDS = 10.0
_MOST_BYTES = 4 * 1024 * 1024
_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass
class SocketMode:
    """Keeps one connection to Slack. `client` has the app-level token; `received` is called after
    something new was stored."""

    client: AsyncWebClient
    session: aiohttp.ClientSession
    outgoing: Outgoing
    store: SlackStore
    received: Callable[[], None]
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def keep_connected(self) -> None:
        """Stay connected until cancelled."""
        failures = 0
        try:
            while True:
                leaving = asyncio.Event()
                connection = asyncio.create_task(self._connection(leaving))
                self._connections.add(connection)
                connection.add_done_callback(self._connections.discard)
                told = asyncio.create_task(leaving.wait())
                await asyncio.wait({connection, told}, return_when=asyncio.FIRST_COMPLETED)
                told.cancel()
                if leaving.is_set():
                    failures = 0
                    continue
                # It ended without a warning, or could not be opened.
                pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
                failures += 1
                try:
                    connection.result()
                    failures = 0
                except (HonkError, aiohttp.ClientError, OSError, TimeoutError) as problem:
                    why = str(problem) if isinstance(problem, HonkError) else type(problem).__name__
                    log.warning(log_events.SLACK_CONNECTION_LOST, why=why, seconds=pause)
                await asyncio.sleep(pause)
        finally:
            for each in list(self._connections):
                each.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, leaving: asyncio.Event) -> None:
        """One connection to its end; `leaving` is set when Slack announces the end."""
        url = await socket_url(self.client)
        async with self.session.ws_connect(
            url,
            heartbeat=_PING_SECONDS,
            max_msg_size=_MOST_BYTES,
            proxy=self.outgoing.proxy_for(url.replace("ws", "http", 1)),
            ssl=self.outgoing.trust,
            timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
        ) as socket:
            log.info(log_events.SLACK_CONNECTED)
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                envelope = _envelope(message.data)
                if envelope.get("type") == "disconnect":
                    leaving.set()
                    if envelope.get("reason") != "warning":
                        return
                elif "envelope_id" in envelope and await self._take(envelope):
                    await socket.send_json({"envelope_id": str(envelope["envelope_id"])})

    async def _take(self, envelope: Mapping[str, Any]) -> bool:
        """Store a delivery; whether to acknowledge it."""
        kind = _KINDS.get(str(envelope.get("type")))
        if kind is None:
            return True
        try:
            if await take(self.store, kind, envelope.get("payload")) == "accepted":
                self.received()
        except SlackError as problem:
            log.warning(log_events.SLACK_DELIVERY_REFUSED, why=str(problem))
        except RetryableError as problem:
            log.warning(log_events.SLACK_DELIVERY_NOT_STORED, why=str(problem))
            return False
        return True


def _envelope(data: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
