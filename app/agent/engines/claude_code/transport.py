"""The SDK's connection to the CLI: its stdin and stdout, which lead into the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from app.domain.safe_json import repaired_json_value
from app.errors import UserError
from app.sandbox.spec import Program

MAX_LINE_BYTES = 64 << 20
_SHOWN = 200


class SandboxTransport:
    """The SDK's `Transport`: lines of JSON in both directions.

    What the CLI writes of its session is set apart.
    """

    def __init__(
        self, program: Program, session: bytes, mirror: Callable[[str, list[Any]], None]
    ) -> None:
        """`session` is sent before anything else; `mirror` takes entries for a session's file."""
        self._program = program
        self._session = session
        self._mirror = mirror
        self._ready = False
        self.junk = ""
        """The latest line that was none of ours, for a message about it."""

    async def connect(self) -> None:
        """See the SDK's `Transport`."""
        if self._session:
            await self._program.send(self._session)
        self._ready = True

    async def write(self, data: str) -> None:
        """See the SDK's `Transport`. A CLI that has exited is noticed where its end is awaited."""
        try:
            await self._program.send(data.encode("utf-8", "replace"))
        except (BrokenPipeError, ConnectionResetError):
            self._ready = False

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """See the SDK's `Transport`. Raises UserError for a line without end."""
        pending = bytearray()
        while part := await self._program.receive():
            *whole, rest = (bytes(pending) + part).split(b"\n") if b"\n" in part else (pending,)
            if len(whole) == 0:
                pending += part
                if len(pending) > MAX_LINE_BYTES:
                    raise UserError("Claude Code printed a line that has no end.")
                continue
            pending = bytearray(rest)
            for line in whole:
                if (message := self._message(line)) is not None:
                    yield message

    def _message(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = repaired_json_value(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            if line.strip():
                self.junk = line[:_SHOWN].decode("utf-8", "replace").strip()
            return None
        if message.get("type") != "transcript_mirror":
            return message
        path, entries = message.get("filePath"), message.get("entries")
        if isinstance(path, str) and isinstance(entries, list):
            self._mirror(path, entries)
        return None

    async def close(self) -> None:
        """See the SDK's `Transport`. The sandbox ends with its own context."""
        self._ready = False

    def is_ready(self) -> bool:
        """See the SDK's `Transport`."""
        return self._ready

    async def end_input(self) -> None:
        """See the SDK's `Transport`."""
        await self._program.close_input()
