"""Graceful shutdown of a worker, without losing or repeating any of its work.

During shutdown each task parks at its next safe point: before a recorded step, or between two turns
of the agent. A parked task never returns and reports nothing. Its workflow goes back to the queue,
and another worker, or this one's next version, resumes it from the last record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

_CANCEL_SECONDS = 4.0


class GracefulShutdown:
    """One per worker, on the worker's event loop."""

    def __init__(self) -> None:
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[object]] = set()
        self._parked: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def work(self) -> AsyncIterator[None]:
        """Register the current task, so that shutdown waits for its next safe point."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)
            self._tasks.discard(task)
            self._changed.set()

    def is_idle(self) -> bool:
        """Whether no task is registered."""
        return not self._tasks

    async def safe_point(self, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """Return at once, or park forever during shutdown, after calling `before`."""
        if not self._stopping.is_set():
            return
        if before is not None:
            await before()
        task = asyncio.current_task()
        assert task is not None
        self._parked.add(task)
        self._changed.set()
        await asyncio.Event().wait()

    async def end(self, *, seconds: float) -> None:
        """Wait up to `seconds` for all tasks to park, then cancel them.

        No task runs any more when this returns.
        """
        self._stopping.set()
        try:
            async with asyncio.timeout(seconds):
                while self._tasks - self._parked:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        left = list(self._tasks)
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=_CANCEL_SECONDS)

    async def sleep(self, seconds: float, stop: asyncio.Event | None) -> None:
        """Sleep, or return early when `stop` is set. During shutdown, park."""
        ends = [self._stopping] if stop is None else [self._stopping, stop]
        waiting = [asyncio.create_task(end.wait()) for end in ends]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        await self.safe_point()


_current: ContextVar[GracefulShutdown | None] = ContextVar("shutdown", default=None)


async def safe_point() -> None:
    """Call `safe_point` of the current task's worker, if any."""
    shutdown = _current.get()
    if shutdown is not None:
        await shutdown.safe_point()


async def sleep(seconds: float, stop: asyncio.Event | None = None) -> None:
    """Sleep with the current task's worker; see `GracefulShutdown.sleep`."""
    await (_current.get() or GracefulShutdown()).sleep(seconds, stop)
