"""An HTTP server with scripted answers, for what the real GitHub does only on bad days."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = Any


@dataclass(frozen=True)
class Seen:
    """A request as it came over the wire. `path` is still encoded."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: Json
    port: int


@dataclass(frozen=True)
class Reply:
    """An answer; `never` lets the client wait until it times out, `raw` is not JSON."""

    status: int = 200
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    never: bool = False
    raw: bytes = b""


class ScriptedGitHub:
    """Issues tokens itself; other requests are answered from `replies`, or with 200."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.replies: dict[tuple[str, str], deque[Reply]] = defaultdict(deque)
        self.token_life = 3600.0
        self.now = 0.0
        self.tokens = 0
        self.mint_delay = 0.0
        self.url = ""
        self._end = asyncio.Event()
        self._connections: set[asyncio.Task[object]] = set()

    def reply(self, method: str, path: str, *replies: Reply) -> None:
        """Queue answers for requests to this path below `/api/v3`."""
        self.replies[method, path].extend(replies)

    def requests(self, method: str, path: str) -> list[Seen]:
        """The requests that came for this path."""
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]

    @property
    def mints(self) -> list[Seen]:
        """The requests for tokens."""
        return [seen for seen in self.seen if seen.path.endswith("/access_tokens")]

    async def answer(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        queued = self.replies[seen.method, seen.path]
        if queued:
            reply = queued.popleft()
        elif seen.path.endswith("/access_tokens"):
            reply = await self._token()
        else:
            reply = Reply(200, {})
        if reply.never:
            await self._end.wait()
        return reply

    async def _token(self) -> Reply:
        await asyncio.sleep(self.mint_delay)
        self.tokens += 1
        ends = datetime.fromtimestamp(self.now + self.token_life, UTC)
        token = f"ghs_{self.tokens}secret{self.tokens}"
        return Reply(201, {"token": token, "expires_at": ends.strftime("%Y-%m-%dT%H:%M:%SZ")})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[ScriptedGitHub]:
        """Listen on a free port of this machine."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/api/v3"
        try:
            yield self
        finally:
            self._end.set()
            server.close()
            await server.wait_closed()
            await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (seen := await _read(reader, writer)) is not None:
                _write(writer, await self.answer(seen))
                await writer.drain()
        except ConnectionError:
            pass  # the client timed out, as it should
        finally:
            writer.close()
            self._connections.discard(task)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(
        method=method,
        path=path.removeprefix("/api/v3"),
        query=query,
        headers=headers,
        body=json.loads(raw) if raw else None,
        port=writer.get_extra_info("peername")[1],
    )


def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    content = reply.raw if reply.body is None else json.dumps(reply.body).encode()
    headers = {**reply.headers, "content-length": str(len(content))}
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{n}: {v}" for n, v in headers.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + content)
