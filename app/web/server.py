"""uvicorn with the limits that it leaves to a reverse proxy, on an event loop it shares.

It adds a deadline for request headers, a deadline for what a client still sends after the response,
and bounds on the headers' size and number.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import UserError

HEADER_SECONDS = 5.0
"""For a connection to send complete request headers, from their first byte or from connecting."""

DRAIN_SECONDS = 8.0
"""For a client to finish sending a body that we no longer read."""

KEEP_ALIVE_SECONDS = 30
SHUTDOWN_SECONDS = 10
MAX_CONNECTIONS = 1000
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024

_BACKLOG = 1024
_TICK_SECONDS = 1.0
"""How often the `Date` of responses is computed."""


async def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    stop: asyncio.Event,
    listening: Callable[[int], None] | None = None,
    header_seconds: float = HEADER_SECONDS,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve until `stop` is set, then finish running requests (at most SHUTDOWN_SECONDS).

    Port 0 picks a free one; `listening` is called with the port once connections are accepted.
    Signal handlers stay as they are. Raises UserError when the address cannot be bound.
    """
    with _bound_socket(host, port) as listener:
        server = _Server(_config(app, header_seconds, drain_seconds), listening)
        watch = asyncio.create_task(server.exit_when(stop))
        try:
            await server.serve(sockets=[listener])
        finally:
            watch.cancel()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, listening: Callable[[int], None] | None) -> None:
        super().__init__(config)
        self._listening = listening
        self._exit = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's signal handlers as they are."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self._listening is not None and sockets:
            self._listening(sockets[0].getsockname()[1])

    async def main_loop(self) -> None:
        """As uvicorn's, which looks ten times a second whether it should exit."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._exit.wait(), _TICK_SECONDS)

    async def exit_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.should_exit = True
        self._exit.set()


def _config(app: ASGIApp, header_seconds: float, drain_seconds: float) -> uvicorn.Config:
    class Protocol(_BoundedProtocol):
        _header_seconds = header_seconds
        _drain_seconds = drain_seconds

    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def _bound_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as problem:
        raise UserError(
            f"Cannot listen on {host} port {port}: {problem.strerror}.",
            next_step="Set HOST and PORT to another address, or stop the process using it.",
        ) from None


class _HeadersTooLargeError(Exception):
    """Ends the parsing of a request."""


class _BoundedProtocol(HttpToolsProtocol):
    """One connection. While it waits for its client, a timer always runs."""

    _header_seconds: float
    _drain_seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.url = b""
        self.headers = []
        self._deadline: asyncio.TimerHandle | None = None
        self._awaits_headers = True
        self._unparsed = 0  # bytes since the headers began, while they are not whole
        self._received = 0  # bytes in the last read
        self._answering = False
        self._lingers = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_after(self._header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        self._received = len(data)
        if self._awaits_headers:
            self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed and self._deadline is None:
            self._close_after(self._header_seconds)
        if self._unparsed > MAX_HEADER_BYTES or self._has_many_headers():
            self._refuse_headers()

    def on_headers_complete(self) -> None:
        if self._has_many_headers() or self._has_long_headers():
            raise _HeadersTooLargeError
        self._cancel_deadline()
        self._awaits_headers = False
        self._answering = True
        self._unparsed = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaits_headers = True
        if self._deadline is not None:
            # The body was drained. uvicorn's keep-alive timer is gone, so set a deadline for the
            # next request.
            self._close_after(self._header_seconds)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._answering = False
        super().on_response_complete()
        if not self._awaits_headers:
            self._close_after(self._drain_seconds)

    def send_400_response(self, msg: str) -> None:
        if self._has_many_headers() or self._has_long_headers():
            self._refuse_headers()
        else:
            self._refuse(b"400 Bad Request")

    def _has_many_headers(self) -> bool:
        """Counts trailers of a chunked body too, which uvicorn adds to the same list."""
        return len(self.headers) > MAX_HEADERS

    def _has_long_headers(self) -> bool:
        """Whether complete headers are too long. Only one large read can deliver those; headers
        that come in pieces are counted by `_unparsed`."""
        if self._received <= MAX_HEADER_BYTES:
            return False
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > MAX_HEADER_BYTES

    def _refuse_headers(self) -> None:
        self._refuse(b"431 Request Header Fields Too Large")

    def _refuse(self, status: bytes) -> None:
        """Answer an invalid request and keep reading: closing at once would reset the connection
        before the client has read the response."""
        if self._lingers or self.transport.is_closing():
            return
        self._lingers = True
        if self._answering:
            self.transport.close()
            return
        self.transport.write(
            b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        self.transport.write_eof()
        self._close_after(self._drain_seconds)

    def _close_after(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self._deadline = None
        self.transport.abort()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
