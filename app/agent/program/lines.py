"""Messages as lines of JSON over a program's stdin and stdout."""

from __future__ import annotations

import json
from typing import Any

from app.domain.safe_json import repaired_json_value
from app.errors import UserError
from app.sandbox.spec import Program

MAX_LINE_BYTES = 64 << 20
_SHOWN = 200


class JsonLines:
    """Both directions of one program."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._pending = bytearray()
        self._whole: list[bytes] = []
        self.junk = ""
        """The latest line that was not a message, for error messages."""

    async def write(self, text: str) -> bool:
        """Send text; False when the program reads no more."""
        try:
            await self._program.send(text.encode("utf-8", "replace"))
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    async def send(self, message: dict[str, Any]) -> None:
        """Send one message. The program's exit is handled where it is awaited."""
        await self.write(json.dumps(message) + "\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None at the end. Raises UserError for a line without end."""
        while True:
            while self._whole:
                if (message := self._message(self._whole.pop(0))) is not None:
                    return message
            part = await self._program.receive()
            if not part:
                return None
            self._add(part)

    async def close(self) -> None:
        """Nothing to do: the program ends with its own context."""

    def _add(self, part: bytes) -> None:
        self._pending += part
        if b"\n" in part:
            *whole, rest = bytes(self._pending).split(b"\n")
            self._whole += whole
            self._pending = bytearray(rest)
        elif len(self._pending) > MAX_LINE_BYTES:
            raise UserError("The agent's program printed an endless line.")

    def _message(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = repaired_json_value(line)
        except ValueError:
            message = None
        if isinstance(message, dict):
            return message
        if line.strip():
            self.junk = line[:_SHOWN].decode("utf-8", "replace").strip()
        return None
