"""Serves an application on the loopback interface in the running event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_GRACE_SECONDS = 3
"""The time that a request in progress has when its server stops."""


@asynccontextmanager
async def serve_app(app: Any, port: int = 0, *, websockets: bool = False) -> AsyncIterator[str]:
    """Serve on 127.0.0.1; returns the URL, without a trailing slash.

    Port 0 takes a free one. Raises OSError when the port is taken.
    """
    # Without the protocol named, asyncio leaves Nagle's algorithm on: 40 ms a request.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="wsproto" if websockets else "none",
        )
        server = _Guest(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.ready(running)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.leave()
            await running


class _Guest(uvicorn.Server):
    """A server in an event loop that it does not own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ready = asyncio.Event()
        self._leaving = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the process, not to this server."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    def leave(self) -> None:
        """Stop serving, without the tick and the pause of a standalone server."""
        self._leaving.set()

    async def main_loop(self) -> None:
        leaving = asyncio.create_task(self._leaving.wait())
        while not leaving.done():
            # The first tick of a count brings the Date header up to the second.
            await self.on_tick(0)
            await asyncio.wait({leaving}, timeout=1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if tasks := self.server_state.tasks:
            _, late = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
            for task in late:
                task.cancel()
        # Closed connections are let go of in the loop's next turn.
        await asyncio.sleep(0)

    async def ready(self, running: asyncio.Task[None]) -> None:
        """Wait until it serves. Raises the error that prevented it."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            waiting.cancel()
            await running


class CutResponse(Response):
    """Announces a complete response, sends half of it and disconnects."""

    def __init__(self, whole: Response) -> None:
        super().__init__(bytes(whole.body), whole.status_code, dict(whole.headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send(start | {"headers": self.raw_headers})
        half = self.body[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
