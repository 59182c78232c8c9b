"""Fetches missed deliveries from GitHub's log, since GitHub never redelivers by itself.

With HONK_INTAKE=log this is the only intake.

Triggers are identified by id, so one that arrived both ways counts once. Deliveries that our
receiver accepted (202) or ignored (204) are skipped; any other response may be another server's.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from app import log_events
from app.domain.event import ACTED_ON, EventError
from app.domain.trigger import AppIdentity, Ignored, from_event, further_signals
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

_OVERLAP_SECONDS = 900.0
"""How late an entry may appear in GitHub's log; each poll overlaps the last one by this much."""


class ReconcileResult(Value):
    """The result of one poll: relevant entries, and triggers we had missed."""

    inspected: int
    accepted: int


class Reconciler:
    """Polls GitHub's delivery log; only one worker does so at a time."""

    def __init__(
        self, database: Database, github: GitHubApp, queue: TriggerQueue, app: AppIdentity
    ) -> None:
        self._database = database
        self._seen = Deliveries(database)
        self._github = github
        self._queue = queue
        self._app = app

    async def keep_reconciling(self, seconds: float) -> None:
        """Reconcile now and then every `seconds`, until cancelled."""
        while True:
            try:
                await self.reconcile()
            except HonkError as problem:
                log.warning(log_events.DELIVERY_LOG_UNAVAILABLE, why=str(problem))
            await asyncio.sleep(seconds)

    async def reconcile(self) -> ReconcileResult:
        """Enqueue triggers that we missed.

        Raises RetryableError when GitHub or the database is unavailable, GitHubRefusedError when
        GitHub refuses the App. Triggers enqueued before the error stay enqueued.
        """
        async with self._database.alone("reconcile") as ours:
            if not ours:
                return ReconcileResult(inspected=0, accepted=0)
            return await self._reconcile()

    async def _reconcile(self) -> ReconcileResult:
        began = time.time()
        since = max(began - KEPT_SECONDS, await self._seen.complete_until() - _OVERLAP_SECONDS)
        missed = await self._missed(since)
        accepted = 0
        # The log is newest first; handle people's requests in the order they were made.
        for delivery in reversed(missed):
            accepted += await self._enqueue(delivery)
            await self._seen.mark_seen(delivery.guid)
        await self._seen.set_complete_until(
            began, forget_before=began - KEPT_SECONDS - _OVERLAP_SECONDS
        )
        return ReconcileResult(inspected=len(missed), accepted=accepted)

    async def _missed(self, since: float) -> list[Delivery]:
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

    async def _enqueue(self, delivery: Delivery) -> bool:
        """Enqueue a logged delivery; return whether it contained an unknown trigger."""
        try:
            event = await deliveries.read(self._github, delivery)
            if event is None:
                return False
            decided = (
                from_event(delivery.event, event, self._app),
                *further_signals(delivery.event, event, self._app),
            )
        except EventError as problem:
            log.warning(log_events.LOGGED_DELIVERY_UNREADABLE, guid=delivery.guid, why=str(problem))
            return False
        accepted = False
        for request in decided:
            if isinstance(request, Ignored) or await self._queue.enqueue(request) == "known":
                continue
            log.info(log_events.LOGGED_DELIVERY_ACCEPTED, guid=delivery.guid, trigger=request.id)
            accepted = True
        return accepted
