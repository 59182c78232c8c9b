"""A worker's shift: what it has at work, and how it ends without losing or repeating any of it.

At the end of the shift work stops where it may: before a recorded step, and between two turns of
the agent. There it waits for ever, nothing of it is told anywhere, and the engine's queue gets it
back: another worker, or the next version of this one, goes on from the last record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

_CANCEL_SECONDS = 4.0


class GracefulShutdown:
    """One for each worker. It lives on the worker's event loop."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._at_work: set[asyncio.Task[object]] = set()
        self._stopped: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """What is done in here, by this task, belongs to the shift."""
        task = asyncio.current_task()
        assert task is not None
        self._at_work.add(task)
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._at_work.discard(task)
            self._changed.set()

    def is_idle(self) -> bool:
        """Whether nothing is at work."""
        return not self._at_work

    async def safe_point(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Go on, or stop here for ever when the shift is over; `before` is done just before."""
        if not self._over.is_set():
            return
        if before is not None:
            await before()
        task = asyncio.current_task()
        assert task is not None
        self._stopped.add(task)
        self._changed.set()
        await asyncio.Event().wait()

    async def end(self, *, seconds: float) -> None:
        """Let everything come to a safe point, for as long as told, then cut it off.

        When this returns nothing of it is at work any more.
        """
        self._over.set()
        try:
            async with asyncio.timeout(seconds):
                while self._at_work - self._stopped:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        left = list(self._at_work)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_SECONDS)

    async def sleep(self, seconds: float, stop: asyncio.Event | None) -> None:
        """Wait so long, or until `stop` is set. At the end of the shift this is a safe point."""
        ends = [self._over] if stop is None else [self._over, stop]
        waiting = [asyncio.create_task(end.wait()) for end in ends]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await self.safe_point()


_current: ContextVar[GracefulShutdown | None] = ContextVar("shift", default=None)


async def safe_point() -> None:
    """The safe point of whatever shift this task belongs to."""
    shift = _current.get()
    if shift is not None:
        await shift.safe_point()


async def sleep(seconds: float, stop: asyncio.Event | None = None) -> None:
    """As the shift's that this task belongs to."""
    await (_current.get() or GracefulShutdown()).sleep(seconds, stop)
