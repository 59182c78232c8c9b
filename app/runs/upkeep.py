"""The nightly clean-up: history that is old, and caches that nobody used or that are too many.

The database is cleaned by one worker, each machine's disk by one of the workers on it. What a live
run needs is never touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import structlog
from dbos import DBOSClient
from sqlalchemy.exc import DBAPIError

from app import log_events
from app.domain import retention as rules
from app.domain.retention import DAY, Cached, Retention
from app.domain.run import ID_LENGTH
from app.domain.values import RepoName
from app.errors import HonkError
from app.runs import queue
from app.runs.services import Services
from app.sandbox.removal import GRAVES, older, removed
from app.store.history import History

log = structlog.get_logger()

LOOK_SECONDS = 600.0

_MARK = "cleaned"
_AT_ONCE = 500
_LEAST_FREE_BYTES = 2 << 30
_YOUNG_SECONDS = 3600.0
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_HEARD = [queue.INTAKE, queue.SIGNAL]

Drop = Callable[[], Awaitable[None]]


async def keep_clean(services: Services, home: Path) -> None:
    """Until cancelled: look often whether a night has begun, or the disk is nearly full."""
    while True:
        async with _apart("database"):
            await clean_database(services)
        async with _apart("disk"):
            await clean_disk(services, home)
        await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def _apart(part: str) -> AsyncIterator[None]:
    """One part of the clean-up: what it stumbles over holds up none of the others."""
    try:
        yield
    except (HonkError, OSError, DBAPIError) as problem:
        log.warning(log_events.CLEANUP_PART_WAITING, part=part, why=str(problem))
    except Exception:
        # The least of what a worker does: nothing here may end the rest.
        log.exception(log_events.CLEANUP_PART_FAILED, part=part)


async def clean_database(services: Services) -> None:
    """Forget what is old, if nobody has since the night began.

    Raises RetryableError while the database is away.
    """
    history, now = History(services.database), time.time()
    if not rules.is_due(await history.marked(_MARK), now):
        return
    async with services.database.alone("clean up") as ours:
        if not ours:
            return
        kept = services.retention
        runs = await history.forget(kept.forgotten_before(now))
        workflows = await asyncio.to_thread(_forget_workflows, services, kept, now)
        await history.mark(_MARK, now)
    log.info(log_events.HISTORY_CLEANED, runs=runs, workflows=workflows)


def _forget_workflows(services: Services, kept: Retention, now: float) -> int:
    """The engine's records: those of requests last, since by them one is known that comes again."""
    with queue.client(services.database) as engine:
        attempts = forget_named(engine, [queue.ATTEMPT], kept.forgotten_before(now))
        return attempts + forget_named(engine, _HEARD, kept.unknown_before(now))


def forget_named(engine: DBOSClient, names: list[str], before: float) -> int:
    """Delete the engine's records of workflows that began before then and have ended; how many."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(before))
    total = 0
    while True:
        old = engine.list_workflows(
            name=names,
            status=_ENDED,
            end_time=moment,
            limit=_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        engine.delete_workflows([each.workflow_id for each in old])
        total += len(old)
        if len(old) < _AT_ONCE:
            return total


async def clean_disk(services: Services, home: Path) -> None:
    """Drop caches of this machine, if none of its workers has since the night began.

    Where the disk is nearly full nobody waits for the night, and all of them go. Raises
    RetryableError while the database is away.
    """
    with _only_here(home / ".cleaned") as last:
        now = time.time()
        full = shutil.disk_usage(home).free < _LEAST_FREE_BYTES
        due = last is not None and rules.is_due(last, now)
        if last is None or not (due or full):
            return
        live = {row.id: row.repository for row in await services.runs.alive()}
        left = await _clear_leftovers(services, home, set(live), now)
        busy = {repository.lower() for repository in live.values()}
        dropped = await _drop_caches(services, busy, now, full=full)
        if due:
            async with _apart("mirrors"):
                await _tidy_mirrors(services, busy)
            os.utime(home / ".cleaned", (now, now))
    log.info(log_events.DISK_CLEANED, left_over=left, caches=dropped)


@contextmanager
def _only_here(path: Path) -> Iterator[float | None]:
    """When this was last done here; None while another process of this machine does it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield None
            return
        yield 0.0 if is_new else os.fstat(file.fileno()).st_mtime


async def _clear_leftovers(services: Services, home: Path, live: set[str], now: float) -> int:
    """What killed workers left: workspaces, half-made snapshots, reports; and old bundles."""
    left = 0
    async with _apart("workspaces"):
        before = now - _YOUNG_SECONDS
        left = await services.workspaces.clear(lambda name: name[:ID_LENGTH] in live, before=before)
    for part in (services.snapshots, services.mirrors, services.supply):
        async with _apart(type(part).__name__.lower()):
            await asyncio.to_thread(part.clear, before=now - DAY)
    async with _apart("bundles"):
        forgotten = services.retention.forgotten_before(now)
        bundles = older(services.kept.glob("*.bundle"), forgotten)
        await asyncio.to_thread(removed, bundles)
    for pattern in ("report-*", GRAVES):
        async with _apart("reports"):
            folders = older((home / "scratch").glob(pattern), now - DAY)
            await asyncio.to_thread(removed, folders)
    return left


async def _tidy_mirrors(services: Services, busy: set[str]) -> None:
    """Pins go with the run that they were for; until it is forgotten, somebody may continue it."""
    for repo, used in services.mirrors.known():
        if str(repo) in busy or used < time.time() - 2 * DAY:
            continue
        known = await services.runs.ids_in(str(repo))
        try:
            await services.mirrors.tidy_up(repo, functools.partial(_is_of, known))
        except HonkError as problem:
            log.warning(log_events.MIRROR_NOT_PRUNED, repository=str(repo), why=str(problem))


def _is_of(runs: Collection[str], pin: str) -> bool:
    """Whether a pin is one of these runs': `<run id>-base`, or `workspaces/<run id>.../tree`."""
    return pin.removeprefix("workspaces/")[:ID_LENGTH] in runs


async def _drop_caches(services: Services, busy: set[str], now: float, *, full: bool) -> int:
    kept = services.retention
    if full:
        kept = kept.model_copy(update={"cache_bytes": 0})
    caches = await asyncio.to_thread(_caches, services, busy)
    dropped = rules.to_drop(caches, kept, now)
    for each in dropped:
        async with _apart("caches"):
            await each.what()
    return len(dropped)


def _caches(services: Services, busy: set[str]) -> list[Cached[Drop]]:
    """Every cache that no live run needs."""
    mirrors, snapshots, supply = services.mirrors, services.snapshots, services.supply

    def of_mirror(repo: RepoName) -> Drop:
        return lambda: mirrors.drop(repo)

    def of_snapshot(folder: Path) -> Drop:
        return lambda: asyncio.to_thread(snapshots.drop, folder)

    def of_supply(folder: Path) -> Drop:
        return lambda: asyncio.to_thread(supply.drop, folder)

    return [
        *(
            Cached(of_mirror(repo), used, _size(mirrors.path(repo)))
            for repo, used in mirrors.known()
            if str(repo) not in busy
        ),
        *(Cached(of_snapshot(folder), used, size) for folder, used, size in snapshots.known()),
        *(
            Cached(of_supply(folder), used, _size(folder))
            for repo, folder, used in supply.known()
            if str(repo) not in busy
        ),
    ]


def _size(folder: Path) -> int:
    """Bytes of all files below it. What vanishes meanwhile takes no room."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += Path(path, name).lstat().st_size
    return total
