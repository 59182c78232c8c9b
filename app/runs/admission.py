"""Admission: attempts wait in the engine's queue until a slot is free, and are admitted fairly.

`app.domain.fair_queue` decides which attempt is next. The engine's queue holds the waiting attempts
and runs at most one attempt per subject.
"""

from __future__ import annotations

import itertools
import time

import structlog
from dbos import DBOS

from app import log_events
from app.domain.run import attempt_id
from app.domain.values import RunId
from app.errors import RetryableError
from app.runs import queue, queue_position
from app.runs.services import Services

log = structlog.get_logger()

_POLL_SECONDS = 0.2
_IDLE_POLL_SECONDS = 2.0
_POLLS_PER_UPDATE = 5
_UNQUEUED_SECONDS = 0.2


class Admission:
    """Polls for free slots in every worker; only one worker decides at a time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self._runs = services.runs
        self._unqueued: dict[str, float] = {}

    async def keep_admitting(self) -> None:
        """Admit runs until cancelled."""
        for poll in itertools.count():
            try:
                await self.admit()
                if poll % _POLLS_PER_UPDATE == 0:
                    await self._update_queue_positions()
            except RetryableError as problem:
                log.warning(log_events.ADMISSION_FAILED, why=str(problem))
            await self._services.pace.pause(_POLL_SECONDS, _IDLE_POLL_SECONDS)

    async def admit(self) -> None:
        """Give the free slots to the next runs."""
        leave_out = self._not_queued_yet()
        if not await self._runs.next_to_admit(leave_out=leave_out):
            return
        async with self._database.alone("admission") as decides:
            if not decides:
                return
            for run, number in await self._runs.next_to_admit(leave_out=leave_out):
                await self._admit_run(run, number)

    async def _update_queue_positions(self) -> None:
        if not await self._runs.queued(1):
            return
        async with self._database.alone("admission") as decides:
            if decides:
                await queue_position.update_comments(self._services)

    async def _admit_run(self, run: RunId, number: int) -> None:
        """Release the attempt before recording it: a crash in between only means that the run is
        admitted again."""
        attempt = attempt_id(run, number)
        status = await DBOS.get_workflow_status_async(attempt)
        if status is None:
            # The row is created before the attempt is queued; admit others in the meantime.
            self._unqueued[run] = time.monotonic() + _UNQUEUED_SECONDS
            return
        if status.status == "DELAYED":
            await queue.release_attempt(attempt)
        await self._runs.admitted(run, number)

    def _not_queued_yet(self) -> frozenset[str]:
        now = time.monotonic()
        self._unqueued = {run: until for run, until in self._unqueued.items() if until > now}
        return frozenset(self._unqueued)
