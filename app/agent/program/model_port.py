"""The Messages API as one sandbox sees it: one path, no key, and the worker behind it.

Any process in the sandbox can send requests, not only the agent's. They are passed one by one to
the run, which decides, pays and records; nothing is forwarded from here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import h11

from app.domain.safe_json import repaired_json_value

Json = dict[str, Any]

PATH = "/v1/messages"
TOOLS_PATH = "/honk/tools"
"""The path to which an agent's MCP process (`tools_relay.py`) sends messages."""

Tools = Callable[[Json], Awaitable[Json | None]]
"""Answers one MCP message; None if it wants no answer."""

PORT = 8118
"""The port inside the sandbox for the model, and for Honk's tools if the agent reaches them
there.
"""

PLACEHOLDER_KEY = "sk-ant-placeholder"
VARIABLES = {
    "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{PORT}",
    "ANTHROPIC_API_KEY": PLACEHOLDER_KEY,
}
"""The variables that direct a program to the port. The key in them is a placeholder: the worker
adds the real one.
"""

MAX_BODY_BYTES = 40 << 20
CONNECTIONS = 16
PING_SECONDS = 5.0
"""Seconds between keep-alive messages to a waiting client, once the model has begun to answer."""

_HEAD_BYTES = 64 << 10
_HEAD_SECONDS = 30.0
_BODY_SECONDS = 60.0
_ERRORS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}


class ModelCall:
    """One request to the model, and its answer when there is one."""

    def __init__(self, body: Json, betas: str) -> None:
        self.body = body
        self.betas = betas
        self.begun = asyncio.Event()
        """Set once the model has begun to answer, so that a stream to the client begins too."""
        self._answer: asyncio.Future[tuple[int, list[Json]]] = (
            asyncio.get_running_loop().create_future()
        )

    @property
    def streamed(self) -> bool:
        """Whether the client wants events rather than one message."""
        return bool(self.body.get("stream"))

    def answer(self, events: Sequence[Json]) -> None:
        """Give the whole answer, as the API's events, or as one message if not `streamed`."""
        self._finish(200, list(events))

    def refuse(self, status: int, words: str) -> None:
        """Give an error of the API."""
        self._finish(status, [_error(status, words)])

    def _finish(self, status: int, events: list[Json]) -> None:
        if not self._answer.done():
            self._answer.set_result((status, events))

    async def wait(self, seconds: float) -> tuple[int, list[Json]] | None:
        """The status and the answer, or None if there is none within that many seconds."""
        await asyncio.wait({self._answer}, timeout=seconds)
        return self._answer.result() if self._answer.done() else None

    async def until_begun(self) -> None:
        """Wait until there is a status to send."""
        begun = asyncio.ensure_future(self.begun.wait())
        waiting: set[asyncio.Future[Any]] = {begun, self._answer}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()


class ModelPort:
    """Accepts on a sandbox's listener while its context is open, and puts requests into `calls`."""

    def __init__(
        self, listener: socket.socket, calls: asyncio.Queue[Any], tools: Tools | None = None
    ) -> None:
        """Without `tools` its path is refused like every other."""
        self._listener = listener
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._calls = calls
        self._tools = tools

    async def __aenter__(self) -> ModelPort:
        self._server = await asyncio.start_server(
            self._accept, sock=self._listener.dup(), limit=_HEAD_BYTES
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with self._free:
                connection = _PortClient(reader, writer, self._tools)
                while await connection.answer_one(self._calls):
                    pass
        except (OSError, TimeoutError, EOFError, h11.ProtocolError):
            pass  # the client left, was too slow, or does not speak HTTP
        finally:
            writer.transport.abort()


class _PortClient:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tools: Tools | None
    ) -> None:
        self._tools = tools
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)

    async def answer_one(self, calls: asyncio.Queue[Any]) -> bool:
        """Answer one request; False when the connection cannot be reused."""
        head = await self._next(None)
        if not isinstance(head, h11.Request):
            return False
        async with asyncio.timeout(_BODY_SECONDS):
            body = await self._body()
        target = head.target.decode("ascii", "replace").partition("?")[0]
        paths = (PATH,) if self._tools is None else (PATH, TOOLS_PATH)
        if head.method != b"POST" or target not in paths:
            await self._refuse(404, "Only POST /v1/messages is supported here.")
        elif body is None:
            await self._refuse(413, "The request is too large.")
            return False
        elif (parsed := _parsed(body)) is None:
            await self._refuse(400, "The request's body is not a JSON object.")
        elif target == TOOLS_PATH:
            assert self._tools is not None
            await self._respond(200, await self._tools(parsed) or {})
        else:
            call = ModelCall(parsed, _header(head, b"anthropic-beta"))
            calls.put_nowait(call)
            await self._relay(call)
        await self._writer.drain()
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def _relay(self, call: ModelCall) -> None:
        """Send the answer as soon as it exists, with keep-alive messages until then."""
        await call.until_begun()
        found = await call.wait(0)
        if not call.streamed or (found is not None and found[0] != 200):
            while found is None:
                found = await call.wait(PING_SECONDS)
            status, (message, *_) = found
            await self._respond(status, message)
            return
        await self._send(h11.Response(status_code=200, headers=[_kind("text/event-stream")]))
        while found is None:
            await self._event({"type": "ping"})
            found = await call.wait(PING_SECONDS)
        for event in found[1]:
            await self._event(event)
        await self._send(h11.EndOfMessage())

    async def _event(self, event: Json) -> None:
        data = f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode()
        await self._send(h11.Data(data=data))

    async def _refuse(self, status: int, words: str) -> None:
        await self._respond(status, _error(status, words))

    async def _respond(self, status: int, message: Json) -> None:
        await self._send(h11.Response(status_code=status, headers=[_kind("application/json")]))
        await self._send(h11.Data(data=json.dumps(message).encode()))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        await self._writer.drain()

    async def _body(self) -> bytes | None:
        """The whole body; None when it is too large."""
        body = bytearray()
        while isinstance(event := await self._next(_BODY_SECONDS), h11.Data):
            body += event.data
            if len(body) > MAX_BODY_BYTES:
                return None
        return bytes(body)

    async def _next(self, seconds: float | None) -> Any:
        """The next event of the request; between two requests a client may take its time."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            async with asyncio.timeout(seconds):
                self._http.receive_data(await self._reader.read(1 << 16))
        return event


def _kind(media_type: str) -> tuple[str, str]:
    return ("content-type", media_type)


def _header(request: h11.Request, name: bytes) -> str:
    return ",".join(value.decode("latin-1") for key, value in request.headers if key == name)


def _error(status: int, words: str) -> Json:
    kind = _ERRORS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": words}}


def _parsed(body: bytes) -> Json | None:
    with contextlib.suppress(ValueError):
        if isinstance(value := repaired_json_value(body), dict):
            return value
    return None
