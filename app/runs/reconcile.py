"""Deliveries that did not reach us are fetched from GitHub's log: GitHub sends nothing again.

The same is all the intake there is with HONK_INTAKE=poll, where nothing reaches us at all.

A trigger is known by its id, so one that came both ways is one. What our own receiver took (202) or
let go (204) needs no second look; any other answer may be somebody else's.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from app import log_events
from app.domain.event import ACTED_ON, EventError
from app.domain.trigger import AppIdentity, Ignored, from_event
from app.domain.values import Value
from app.errors import HonkError
from app.github import deliveries
from app.github.client import GitHubApp
from app.github.deliveries import KEPT_SECONDS, Delivery
from app.runs.queue import TriggerQueue
from app.store.database import Database
from app.store.deliveries import Deliveries

log = structlog.get_logger()

RECONCILE_SECONDS = 300.0
POLL_SECONDS = 10.0

_OUR_ANSWERS = (202, 204)

_LATE_SECONDS = 900.0
"""How late an entry may come into GitHub's log: so far each look overlaps the last one."""


class ReconcileResult(Value):
    """What a look into the log found: entries of interest, and triggers that we had missed."""

    looked_at: int
    taken: int


class Reconciler:
    """Of all workers one at a time looks."""

    def __init__(
        self, database: Database, github: GitHubApp, queue: TriggerQueue, app: AppIdentity
    ) -> None:
        self._database = database
        self._seen = Deliveries(database)
        self._github = github
        self._queue = queue
        self._app = app

    async def keep_reconciling(self, seconds: float) -> None:
        """At once, then again after so many seconds, until cancelled."""
        while True:
            try:
                await self.reconcile()
            except HonkError as problem:
                log.warning(log_events.DELIVERY_LOG_UNAVAILABLE, why=str(problem))
            await asyncio.sleep(seconds)

    async def reconcile(self) -> ReconcileResult:
        """Take in what the log has and we have not.

        Raises RetryableError when GitHub or the database is away, RefusedError when GitHub refuses
        the App; what was taken in until then stays taken in.
        """
        async with self._database.alone("reconcile") as ours:
            if not ours:
                return ReconcileResult(looked_at=0, taken=0)
            return await self._reconcile()

    async def _reconcile(self) -> ReconcileResult:
        began = time.time()
        since = max(began - KEPT_SECONDS, await self._seen.complete_until() - _LATE_SECONDS)
        missed = await self._not_seen(since)
        taken = 0
        # The log is newest first; people's words are heard in the order in which they were said.
        for delivery in reversed(missed):
            taken += await self._take_in(delivery)
            await self._seen.saw(delivery.guid)
        await self._seen.completed(began, forget_before=began - KEPT_SECONDS - _LATE_SECONDS)
        return ReconcileResult(looked_at=len(missed), taken=taken)

    async def _not_seen(self, since: float) -> list[Delivery]:
        found: dict[str, Delivery] = {}
        answered: set[str] = set()
        async for delivery in deliveries.recent(self._github, since=since):
            if (delivery.event, delivery.action) not in ACTED_ON:
                continue
            if delivery.status_code in _OUR_ANSWERS:
                answered.add(delivery.guid)
            elif not await self._seen.is_seen(delivery.guid):
                found[delivery.guid] = delivery
        return [each for guid, each in found.items() if guid not in answered]

    async def _take_in(self, delivery: Delivery) -> bool:
        """Whether it held a trigger that we did not know."""
        try:
            event = await deliveries.read(self._github, delivery)
            if event is None:
                return False
            decided = from_event(delivery.event, event, self._app)
        except EventError as problem:
            log.warning(log_events.LOGGED_DELIVERY_UNREADABLE, guid=delivery.guid, why=str(problem))
            return False
        if isinstance(decided, Ignored):
            return False
        if await self._queue.enqueue(decided) == "known":
            return False
        log.info(log_events.LOGGED_DELIVERY_ACCEPTED, guid=delivery.guid, trigger=decided.id)
        return True
