"""The SDK's connection to the CLI: its stdin and stdout, which lead into the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from app.agent.program.lines import JsonLines
from app.sandbox.spec import Program


class SandboxTransport:
    """The SDK's `Transport`. Entries of the CLI's session file are collected separately."""

    def __init__(
        self, program: Program, session: bytes, mirror: Callable[[str, list[Any]], None]
    ) -> None:
        """`session` is sent before anything else; `mirror` takes entries for a session's file."""
        self._program = program
        self._lines = JsonLines(program)
        self._session = session
        self._mirror = mirror
        self._ready = False

    @property
    def junk(self) -> str:
        """The latest line that was not a message."""
        return self._lines.junk

    async def connect(self) -> None:
        """See the SDK's `Transport`."""
        if self._session:
            await self._program.send(self._session)
        self._ready = True

    async def write(self, data: str) -> None:
        """See the SDK's `Transport`. The CLI's exit is handled where it is awaited."""
        self._ready = await self._lines.write(data)

    async def read_messages(self) -> AsyncIterator[dict[str, Any]]:
        """See the SDK's `Transport`. Raises UserError for a line without end."""
        while (message := await self._lines.receive()) is not None:
            if message.get("type") != "transcript_mirror":
                yield message
                continue
            path, entries = message.get("filePath"), message.get("entries")
            if isinstance(path, str) and isinstance(entries, list):
                self._mirror(path, entries)

    async def close(self) -> None:
        """See the SDK's `Transport`. The sandbox ends with its own context."""
        self._ready = False

    def is_ready(self) -> bool:
        """See the SDK's `Transport`."""
        return self._ready

    async def end_input(self) -> None:
        """See the SDK's `Transport`."""
        await self._program.close_input()
