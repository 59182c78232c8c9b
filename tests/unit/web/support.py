"""The receiver on a real port of 127.0.0.1, an intake in memory, a client that may misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from app.domain.trigger import AppIdentity, Signal, Trigger
from app.errors import RetryableError
from app.web.app import create_app
from app.web.health import HealthChecks
from app.web.server import serve
from tests.support.deliveries import signature

SECRET = "the secret of today, ü".encode()
_SLICE = 128 * 1024  # so that the client's own buffers stay small
SECRET_BEFORE = b"the secret of yesterday"


@dataclass
class MemoryIntake:
    """Remembers ids as the database would; `away` and `slow` are its faults."""

    taken: dict[str, Any] = field(default_factory=dict)
    away: bool = False
    broken: bool = False
    slow: float = 0.0

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        await asyncio.sleep(self.slow)
        if self.away:
            raise RetryableError("The database is unavailable.")
        if self.broken:
            raise KeyError("a bug with secret-looking words")
        if trigger.id in self.taken:
            return "known"
        self.taken[trigger.id] = trigger
        return "accepted"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """A running receiver."""

    intake: MemoryIntake
    port: int = 0
    ready: bool = True

    async def check_ready(self) -> None:
        if not self.ready:
            raise RetryableError("The database is unavailable.")

    async def deliver(self, event: str, body: bytes, **more: Any) -> Answer:
        """POST a delivery. `headers` override those of GitHub; None takes one away."""
        return await self.send(delivery(event, body, **more))

    async def get(self, path: str, method: str = "GET") -> Answer:
        return await self.send(f"{method} {path} HTTP/1.1\r\nhost: honk\r\n\r\n".encode())

    async def send(self, *parts: bytes, pause: float = 0.0) -> Answer:
        """Send bytes on a new connection, with a pause between the parts."""
        async with self.connected() as (reader, writer):
            sending = asyncio.create_task(_send(writer, parts, pause))
            try:
                return await read_answer(reader)
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection, closed at the end of the block."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def delivery(
    event: str | None,
    body: bytes,
    *,
    secret: bytes = SECRET,
    content_type: str | None = "application/json",
    headers: dict[str, str | None] | None = None,
    extra: bytes = b"",
) -> bytes:
    """A whole signed request."""
    return head(event, body, secret, content_type, headers, extra) + body


def head(
    event: str | None,
    body: bytes,
    secret: bytes = SECRET,
    content_type: str | None = "application/json",
    headers: dict[str, str | None] | None = None,
    extra: bytes = b"",
) -> bytes:
    """The request line and the headers that belong to a body."""
    sent: dict[str, str | None] = {
        "Host": "honk.example",
        "User-Agent": "GitHub-Hookshot/1234567",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "X-Hub-Signature-256": signature(body, secret),
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{name}: {value}\r\n" for name, value in sent.items() if value is not None]
    text = "POST /webhooks/github HTTP/1.1\r\n" + "".join(lines)
    return text.encode("latin-1") + extra + b"\r\n"


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(":")
        assert name.lower() not in headers, f"{name} came twice"
        headers[name.lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    return Answer(int(lines[0].split()[1]), headers, await reader.readexactly(length))


async def _send(writer: asyncio.StreamWriter, parts: tuple[bytes, ...], pause: float) -> None:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _SLICE):
            writer.write(view[start : start + _SLICE])
            await writer.drain()
        await asyncio.sleep(pause)


async def no_figures() -> bytes:
    return b""


@contextlib.asynccontextmanager
async def running_site(
    *,
    body_seconds: float = 8.0,
    intake_seconds: float = 8.0,
    header_seconds: float = 5.0,
    drain_seconds: float = 5.0,
) -> AsyncIterator[Site]:
    """Serve until the block ends; the deadlines are those of the receiver and of the server."""
    site = Site(MemoryIntake())
    app = create_app(
        secrets=[SECRET, SECRET_BEFORE],
        app=AppIdentity(app_id=4711, slug="honk"),
        intake=site.intake,
        watched=HealthChecks(site.check_ready, no_figures, "text/plain"),
        body_seconds=body_seconds,
        intake_seconds=intake_seconds,
    )
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(
            app,
            host="127.0.0.1",
            port=0,
            stop=stop,
            listening=port.set_result,
            header_seconds=header_seconds,
            drain_seconds=drain_seconds,
        )
    )
    server.add_done_callback(lambda _: port.done() or port.cancel())
    site.port = await port
    try:
        yield site
    finally:
        stop.set()
        await server
