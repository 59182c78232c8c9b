"""How often a worker looks for work: often while there is some, seldom while there is none.

Each look is a query, and an idle worker does nothing else. The first request after a quiet time is
noticed a little later, still well within the second in which people expect a sign; from then on
everything is quick again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog

from app import log_events
from app.errors import RetryableError

log = structlog.get_logger()

BUSY_SECONDS = 30.0
"""How long a worker is busy after its last work."""

_CHECK_SECONDS = 2.0
_RETRY_SECONDS = 10.0


class Pace:
    """Whether this worker is busy. It is at its start, and while the events of `work` go on."""

    def __init__(
        self, *, busy_seconds: float = BUSY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._busy_seconds = busy_seconds
        self._clock = clock
        self._working = 0
        self._busy_until = clock() + busy_seconds
        self._began = asyncio.Event()

    @property
    def is_busy(self) -> bool:
        """Whether there is work, or was a short time ago."""
        return self._working > 0 or self._clock() < self._busy_until

    @contextmanager
    def work(self) -> Iterator[None]:
        """While the context is open there is work, of whatever kind."""
        self._working += 1
        self._began.set()
        try:
            yield
        finally:
            self._working -= 1
            self._busy_until = self._clock() + self._busy_seconds

    async def pause(self, busy: float, idle: float | None = None) -> None:
        """Sleep for `busy` seconds, or while idle for `idle` (None: without end) until work
        begins."""
        if self.is_busy:
            await asyncio.sleep(busy)
            return
        self._began.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(idle):
                await self._began.wait()


class PollAt(Protocol):
    """See `queue.poll_at`."""

    async def __call__(self, *, busy: bool) -> None: ...


async def keep_queues_at(
    pace: Pace,
    poll_at: PollAt,
    is_work_left: Callable[[], Awaitable[bool]],
) -> None:
    """Poll the queues, which all workers share, at this worker's pace, until cancelled.

    `poll_at` says how often all poll. An idle worker leaves them alone while
    `is_work_left` for any worker; a busy one sets them again if an idle one did not know of it.
    """
    is_slow = False
    while True:
        try:
            if pace.is_busy:
                await poll_at(busy=True)
                is_slow = False
            elif not is_slow and not await is_work_left():
                await poll_at(busy=False)
                is_slow = True
        except RetryableError as problem:
            log.warning(log_events.QUEUE_PACE_NOT_SET, why=str(problem))
        await pace.pause(_CHECK_SECONDS, None if is_slow else _RETRY_SECONDS)
