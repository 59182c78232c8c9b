"""Socket Mode: the WebSocket connections of the App, and the envelopes that go through them.

Outside contract: https://docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

MOST_CONNECTIONS = 10
_LIFE_SECONDS = 18060
"""About how long a connection lives, which Slack tells the App when it connects."""


@dataclass(eq=False)
class Connection:
    """One open WebSocket, and the envelopes that wait for their acknowledgment."""

    socket: WebSocket
    waiting: dict[str, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)


class Sockets:
    """All connections; each envelope goes through one of them, in turn."""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.acknowledged: list[str] = []
        """The ids of all envelopes that were acknowledged, in order."""
        self._tickets: set[str] = set()
        self._turn = 0
        self._changed = asyncio.Event()

    def new_ticket(self) -> str:
        """Allows one connection."""
        ticket = secrets.token_hex(16)
        self._tickets.add(ticket)
        return ticket

    async def serve(self, socket: WebSocket, app_id: str, is_away: Callable[[], bool]) -> None:
        """Take a connection and read it to its end."""
        ticket = socket.query_params.get("ticket", "")
        full = len(self.connections) >= MOST_CONNECTIONS
        if ticket not in self._tickets or full or is_away():
            await socket.close()
            return
        self._tickets.discard(ticket)
        await socket.accept()
        connection = Connection(socket)
        self.connections.append(connection)
        try:
            await socket.send_json(self._hello(app_id))
            self._note_change()
            while True:
                self._take(connection, await socket.receive_text())
        except (WebSocketDisconnect, RuntimeError):
            """It is closed, by either side."""
        finally:
            self._forget(connection)

    async def ask(self, envelope: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        """Send an envelope and wait for its acknowledgment; None when there is none in time."""
        connection = self._next()
        if connection is None:
            return None
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope["envelope_id"]] = answer
        try:
            await connection.socket.send_json(envelope)
            return await asyncio.wait_for(answer, seconds)
        except (TimeoutError, RuntimeError, WebSocketDisconnect):
            return None
        finally:
            connection.waiting.pop(envelope["envelope_id"], None)

    async def refresh(self) -> None:
        """Ask every connection to reconnect, and close it, as Slack does every few hours."""
        for connection in list(self.connections):
            await self._say(connection, {"type": "disconnect", "reason": "refresh_requested"})
            await self._close(connection)

    async def disable(self) -> None:
        """Close every connection for good, as when Socket Mode is switched off."""
        for connection in list(self.connections):
            await self._say(connection, {"type": "disconnect", "reason": "link_disabled"})
            await self._close(connection)

    async def cut(self) -> None:
        """Close every connection without a word."""
        for connection in list(self.connections):
            await self._close(connection)

    async def connected(self, number: int = 1) -> None:
        """Wait until that many connections are open."""
        while len(self.connections) < number:
            self._changed.clear()
            await self._changed.wait()

    async def close(self) -> None:
        """End everything."""
        await self.cut()

    def _next(self) -> Connection | None:
        if not self.connections:
            return None
        self._turn += 1
        return self.connections[self._turn % len(self.connections)]

    def _take(self, connection: Connection, text: str) -> None:
        """Note an acknowledgment; anything else is ignored, as Slack does."""
        with contextlib.suppress(ValueError):
            found = json.loads(text)
            envelope_id = found.get("envelope_id") if isinstance(found, dict) else None
            answer = connection.waiting.get(str(envelope_id))
            if answer is not None and not answer.done():
                self.acknowledged.append(str(envelope_id))
                answer.set_result(found)

    def _hello(self, app_id: str) -> dict[str, Any]:
        return {
            "type": "hello",
            "num_connections": len(self.connections),
            "debug_info": {
                "host": "applink-playground",
                "build_number": 1,
                "approximate_connection_time": _LIFE_SECONDS,
            },
            "connection_info": {"app_id": app_id},
        }

    async def _say(self, connection: Connection, message: dict[str, Any]) -> None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            debug = {"debug_info": {"host": "applink-playground"}}
            await connection.socket.send_json(message | debug)

    async def _close(self, connection: Connection) -> None:
        self._forget(connection)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await connection.socket.close()

    def _forget(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
        for answer in connection.waiting.values():
            answer.cancel()
        self._note_change()

    def _note_change(self) -> None:
        self._changed.set()
