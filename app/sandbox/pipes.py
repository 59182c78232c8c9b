"""Read a command's output without buffering more than its limit."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import BinaryIO, Protocol

from app.sandbox.inside import Bounded

_CHUNK = 1 << 16
_PAUSE_AFTER_BYTES = 1 << 20
_PAUSE_SECONDS = 0.005


class OutputSink(Protocol):
    """Consumes output chunk by chunk."""

    def add(self, data: bytes) -> None: ...


class FileSink:
    """Writes to a file up to a size limit; counts the bytes beyond it."""

    def __init__(self, target: Path | BinaryIO, limit: int) -> None:
        self._owned = target.open("wb") if isinstance(target, Path) else None
        self._file: BinaryIO = self._owned or target  # type: ignore[assignment]
        self._room = limit
        self.dropped = 0

    def add(self, data: bytes) -> None:
        kept = data[: self._room]
        self._file.write(kept)
        self._room -= len(kept)
        self.dropped += len(data) - len(kept)

    def close(self) -> None:
        self._file.flush()
        if self._owned is not None:
            self._owned.close()


class OutputReader:
    """Drains a pipe into a sink while the event loop runs.

    It pauses for some milliseconds after each mebibyte, so that a command with endless output
    cannot keep the event loop busy.
    """

    def __init__(self, fd: int, sink: OutputSink) -> None:
        self._fd = fd
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._bytes_since_pause = 0
        self._resume: asyncio.TimerHandle | None = None
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def _read(self) -> None:
        data = self._next()
        if not data:
            self._loop.remove_reader(self._fd)
            return
        self._bytes_since_pause += len(data)
        if self._bytes_since_pause >= _PAUSE_AFTER_BYTES:
            self._bytes_since_pause = 0
            self._loop.remove_reader(self._fd)
            self._resume = self._loop.call_later(_PAUSE_SECONDS, self._resume_reading)

    def _resume_reading(self) -> None:
        self._resume = None
        self._loop.add_reader(self._fd, self._read)

    def _next(self) -> bytes:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return b""
        self._sink.add(data)
        return data

    def finish(self) -> None:
        """Read the rest, once all writers are dead, and close the pipe."""
        if self._resume is not None:
            self._resume.cancel()
        self._loop.remove_reader(self._fd)
        while self._next():
            pass
        os.close(self._fd)


__all__ = ["Bounded", "FileSink", "OutputReader", "OutputSink"]
