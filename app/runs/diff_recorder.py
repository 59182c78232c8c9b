"""Records what a run has changed so far, while the agent goes on. Only pages read it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app import log_events
from app.domain.run import RunInput
from app.domain.values import TreeSha
from app.errors import HonkError
from app.runs.services import Services
from app.store.run_diffs import RunDiffs

log = structlog.get_logger()

MAX_BYTES = 200_000
_PAUSE_SECONDS = 1.0


class DiffRecorder:
    """Records one diff at a time, always of the newest tree, at most one in a second."""

    def __init__(self, services: Services, run: RunInput, base: str) -> None:
        self._services = services
        self._run = run
        self._base = base
        self._newest: TreeSha | None = None
        self._recorded: TreeSha | None = None
        self._wake = asyncio.Event()

    def send(self, tree: TreeSha) -> None:
        """Record the diff to this tree soon, unless a newer one replaces it."""
        self._newest = tree
        self._wake.set()

    async def work(self) -> None:
        """Record until canceled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self.flush()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def flush(self) -> None:
        """Record the newest tree now. A failure is logged: no run depends on it."""
        tree = self._newest
        if tree is None or tree == self._recorded:
            return
        try:
            await record_diff(self._services, self._run, self._base, tree)
            self._recorded = tree
        except HonkError as problem:
            log.warning(log_events.DIFF_NOT_RECORDED, run=self._run.id, why=str(problem))


async def record_diff(services: Services, run: RunInput, base: str, tree: str) -> None:
    """Record what leads from the commit `base` to the tree."""
    repo = run.trigger.repository
    patch = await services.mirrors.diff(repo, base, tree, MAX_BYTES)
    await RunDiffs(services.database).put(run.id, tree, patch)


@asynccontextmanager
async def diff_recorder(
    services: Services, run: RunInput, base: str
) -> AsyncIterator[DiffRecorder]:
    """A recorder at work while the context is open; at its end the newest tree is recorded."""
    recorder = DiffRecorder(services, run, base)
    task = asyncio.create_task(recorder.work())
    try:
        yield recorder
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await recorder.flush()
