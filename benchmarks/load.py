"""Load generators on raw sockets: as fast as answers come, or at a fixed pace."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

_PATIENCE_SECONDS = 5.0
_OPEN_LOOP_SECONDS = 10.0
"""How long GitHub waits for an answer."""


@dataclass
class Load:
    """The answers: seconds for each, and the count of each status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, percent: float) -> float:
        """A latency in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000


class _Connection(asyncio.Protocol):
    def __init__(self, request: bytes, load: Load, until: float) -> None:
        self._request = request
        self._load = load
        self._until = until
        self._received = b""
        self._sent_at = 0.0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or len(self._received) < end + 4 + _content_length(self._received[:end]):
            return
        self._count()
        if time.perf_counter() < self._until:
            self._send()
        else:
            self.done.set_result(None)
            self._transport.close()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _count(self) -> None:
        self._load.latencies.append(time.perf_counter() - self._sent_at)
        status = int(self._received[9:12])
        self._load.statuses[status] = self._load.statuses.get(status, 0) + 1
        self._received = b""


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def generate(port: int, request: bytes, *, connections: int, seconds: float) -> Load:
    """Send `request` over and over to a port of 127.0.0.1.

    Raises ConnectionError when a connection is lost, TimeoutError when answers stay away.
    """
    load = Load()
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    opened = [
        await loop.create_connection(
            lambda: _Connection(request, load, start + seconds), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + _PATIENCE_SECONDS):
        await asyncio.gather(*[protocol.done for _, protocol in opened])
    load.seconds = time.perf_counter() - start
    return load


async def paced(port: int, requests: Iterable[bytes], *, per_second: float) -> Load:
    """Send each request when it is due, whether or not those before it were answered.

    A latency begins when its request was due, so that what waits for a slow server is counted with
    it. A request takes a connection that is free, or opens one. What was lost has the status 0;
    nothing is raised.
    """
    load = Load()
    free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
    start = time.perf_counter()
    sent = []
    for number, request in enumerate(requests):
        due = start + number / per_second
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        sent.append(asyncio.create_task(_send(port, request, due, free, load)))
    await asyncio.gather(*sent)
    load.seconds = time.perf_counter() - start
    for _, writer in free:
        writer.close()
    return load


async def _send(
    port: int,
    request: bytes,
    due: float,
    free: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    load: Load,
) -> None:
    status = 0
    try:
        async with asyncio.timeout(_OPEN_LOOP_SECONDS):
            opened = free.popleft() if free else await asyncio.open_connection("127.0.0.1", port)
            reader, writer = opened
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_content_length(head))
            status = int(head[9:12])
            free.append(opened)
    except (OSError, asyncio.IncompleteReadError):
        pass
    load.latencies.append(time.perf_counter() - due)
    load.statuses[status] = load.statuses.get(status, 0) + 1
