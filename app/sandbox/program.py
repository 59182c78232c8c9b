"""A program that runs in its own sandbox and talks with the worker over its stdin and stdout."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from typing import Any

from app.sandbox.pipes import Bounded, OutputReader
from app.sandbox.process import SandboxGoneError, SandboxProcess
from app.sandbox.spec import Completed

CHUNK_BYTES = 1 << 16
ERROR_OUTPUT_BYTES = 1 << 16


class RunningProgram:
    """See `app.sandbox.spec.Program`. `end` must be called, and works in any state."""

    def __init__(self, process: SandboxProcess, stdin: int, stdout: int, errors: int) -> None:
        """Takes the worker's ends of the program's pipes, and closes them in `end`."""
        self._process = process
        self._stdin, self._stdout = stdin, stdout
        self._errors = Bounded(ERROR_OUTPUT_BYTES)
        self._error_reader = OutputReader(errors, self._errors)
        self._asked: asyncio.Task[Completed] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader = asyncio.StreamReader(limit=CHUNK_BYTES)
        self._reading: asyncio.ReadTransport | None = None
        self.listener: socket.socket | None = process.listener()

    @property
    def error_output(self) -> str:
        """See `Program.error_output`."""
        return self._errors.value().decode("utf-8", "replace")

    async def begin(self, request: dict[str, Any]) -> None:
        """Connect the pipes, and have the sandbox start the program."""
        loop = asyncio.get_running_loop()
        reading = asyncio.StreamReaderProtocol(self._reader)
        stdout, self._stdout = os.fdopen(self._stdout, "rb", 0), -1
        self._reading, _ = await loop.connect_read_pipe(lambda: reading, stdout)
        stdin, self._stdin = os.fdopen(self._stdin, "wb", 0), -1
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, stdin)
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        self._asked = asyncio.create_task(self._run(request))

    async def _run(self, request: dict[str, Any]) -> Completed:
        began = time.monotonic()
        try:
            header, _ = await self._process.ask(request)
        except SandboxGoneError:
            header = {"exit": None, "killed": "sandbox"}
        seconds = time.monotonic() - began
        return Completed(header.get("exit"), b"", 0, False, header.get("killed"), seconds)

    async def send(self, data: bytes) -> None:
        """See `Program.send`."""
        assert self._writer is not None
        if self._writer.is_closing():
            raise BrokenPipeError
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        """See `Program.receive`."""
        return await self._reader.read(CHUNK_BYTES)

    async def close_input(self) -> None:
        """See `Program.close_input`."""
        if self._writer is not None:
            self._writer.close()

    async def ended(self) -> Completed:
        """See `Program.ended`."""
        assert self._asked is not None
        return await asyncio.shield(self._asked)

    async def end(self) -> None:
        """Kill everything in the sandbox and close its connections."""
        try:
            if self.listener is not None:
                self.listener.close()
            if self._asked is not None:
                self._asked.cancel()
                await asyncio.gather(self._asked, return_exceptions=True)
            await self._process.kill()
        finally:
            self._error_reader.finish()
            for transport in (self._reading, self._writer and self._writer.transport):
                if transport is not None:
                    transport.close()
            for fd in (self._stdin, self._stdout):
                if fd >= 0:
                    with contextlib.suppress(OSError):
                        os.close(fd)
