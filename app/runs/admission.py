"""Giving out slots: attempts wait in the engine's queue until they are admitted, fairly.

`app.domain.fair_queue` decides which attempt is next; the engine's queue holds those that wait, and
keeps one attempt at a time for each subject.
"""

from __future__ import annotations

import asyncio
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

_LOOK_SECONDS = 0.2
_LOOKS_UNTIL_TOLD = 5
_ABSENT_SECONDS = 0.2


class Admission:
    """Looks for free slots again and again, in every worker; one of them at a time decides."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._database = services.database
        self._runs = services.runs
        self._absent: dict[str, float] = {}

    async def keep_admitting(self) -> None:
        """Until cancelled."""
        for look in itertools.count():
            try:
                await self.admit()
                if look % _LOOKS_UNTIL_TOLD == 0:
                    await self._tell_who_waits()
            except RetryableError as problem:
                log.warning(log_events.ADMISSION_FAILED, why=str(problem))
            await asyncio.sleep(_LOOK_SECONDS)

    async def admit(self) -> None:
        """Give the slots that are free now to those who are next."""
        leave_out = self._not_queued_yet()
        if not await self._runs.next_to_admit(leave_out=leave_out):
            return
        async with self._database.alone("admission") as decides:
            if not decides:
                return
            for run, number in await self._runs.next_to_admit(leave_out=leave_out):
                await self._let_in(run, number)

    async def _tell_who_waits(self) -> None:
        if not await self._runs.queued(1):
            return
        async with self._database.alone("admission") as decides:
            if decides:
                await queue_position.tell(self._services)

    async def _let_in(self, run: RunId, number: int) -> None:
        """Release first: whoever dies in between leaves a run that is only admitted again."""
        attempt = attempt_id(run, number)
        status = await DBOS.get_workflow_status_async(attempt)
        if status is None:
            # Its row is opened before its attempt is queued; nobody waits for that.
            self._absent[run] = time.monotonic() + _ABSENT_SECONDS
            return
        if status.status == "DELAYED":
            await queue.release_attempt(attempt)
        await self._runs.admitted(run, number)

    def _not_queued_yet(self) -> frozenset[str]:
        now = time.monotonic()
        self._absent = {run: until for run, until in self._absent.items() if until > now}
        return frozenset(self._absent)
