"""The nightly cleanup of old history and unused caches.

One worker cleans the database, and one worker per machine cleans its disk. Nothing that a live run
needs is deleted.
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
from app.runs import ci_branches, queue
from app.runs.services import Services
from app.sandbox.removal import GRAVES, older, removed
from app.store.history import History

log = structlog.get_logger()

POLL_SECONDS = 600.0

_MARK = "cleaned"
_BATCH_SIZE = 500
_MIN_FREE_BYTES = 2 << 30
_RECENT_SECONDS = 3600.0
_ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
_REQUESTS = [queue.INTAKE, queue.SIGNAL]

Drop = Callable[[], Awaitable[None]]


async def keep_clean(services: Services, home: Path) -> None:
    """Until cancelled: check regularly whether the nightly cleanup is due or the disk is nearly
    full."""
    while True:
        async with _isolated("database"):
            await clean_database(services)
        async with _isolated("disk"):
            await clean_disk(services, home)
        await asyncio.sleep(POLL_SECONDS)


@asynccontextmanager
async def _isolated(part: str) -> AsyncIterator[None]:
    """Isolate one part of the cleanup: its failure does not stop the other parts."""
    try:
        yield
    except (HonkError, OSError, DBAPIError) as problem:
        log.warning(log_events.CLEANUP_PART_WAITING, part=part, why=str(problem))
    except Exception:
        # Cleanup is the least important thing a worker does, so no error in it may propagate.
        log.exception(log_events.CLEANUP_PART_FAILED, part=part)


async def clean_database(services: Services) -> None:
    """Delete old history unless a worker already did so tonight.

    Raises RetryableError while the database is unavailable.
    """
    history, now = History(services.database), time.time()
    last = await history.marked(_MARK)
    if not rules.is_due(last, now):
        return
    async with services.database.alone("clean up") as ours:
        if not ours:
            return
        kept = services.retention
        await services.builds.forget(now)
        runs = await history.forget(kept.forgotten_before(now))
        attestations = await _forget_attestations(services, kept, now)
        workflows = await asyncio.to_thread(_forget_workflows, services, kept, now)
        async with _isolated("CI branches"):
            await ci_branches.delete_leftovers(services, last - 2 * DAY)
        await history.mark(_MARK, now)
    log.info(log_events.HISTORY_CLEANED, runs=runs, workflows=workflows, attestations=attestations)


async def _forget_attestations(services: Services, kept: Retention, now: float) -> int:
    before = kept.unattested_before(now)
    return 0 if before is None else await services.attestations.forget(before)


def _forget_workflows(services: Services, kept: Retention, now: float) -> int:
    """Delete DBOS's records. Requests' records go last, because they detect repeated deliveries."""
    with queue.client(services.database) as engine:
        attempts = forget_named(engine, [queue.ATTEMPT], kept.forgotten_before(now))
        return attempts + forget_named(engine, _REQUESTS, kept.unknown_before(now))


def forget_named(engine: DBOSClient, names: list[str], before: float) -> int:
    """Delete DBOS's records of workflows that were created before then and have ended; return how
    many."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(before))
    total = 0
    while True:
        old = engine.list_workflows(
            name=names,
            status=_ENDED,
            end_time=moment,
            limit=_BATCH_SIZE,
            load_input=False,
            load_output=False,
        )
        engine.delete_workflows([each.workflow_id for each in old])
        total += len(old)
        if len(old) < _BATCH_SIZE:
            return total


async def clean_disk(services: Services, home: Path) -> None:
    """Delete this machine's unused caches unless one of its workers already did so tonight.

    When the disk is nearly full, delete all of them at once. Raises RetryableError while the
    database is unavailable.
    """
    with _machine_lock(home / ".cleaned") as last:
        now = time.time()
        full = shutil.disk_usage(home).free < _MIN_FREE_BYTES
        due = last is not None and rules.is_due(last, now)
        if last is None or not (due or full):
            return
        live = {row.id: row.repository for row in await services.runs.alive()}
        left = await _clear_leftovers(services, home, set(live), now)
        busy = {repository.lower() for repository in live.values()}
        dropped = await _drop_caches(services, busy, now, full=full)
        if due:
            async with _isolated("mirrors"):
                await _prune_mirrors(services, busy)
            os.utime(home / ".cleaned", (now, now))
    log.info(log_events.DISK_CLEANED, leftovers=left, caches=dropped)


@contextmanager
def _machine_lock(path: Path) -> Iterator[float | None]:
    """Yield the time of this machine's last cleanup; None while another process is cleaning."""
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
    """Delete leftovers of killed workers (workspaces, partial snapshots, reports) and old
    bundles."""
    left = 0
    async with _isolated("workspaces"):
        left = await _clear_workspaces(services, live, before=now - _RECENT_SECONDS)
    for part in (services.snapshots, services.mirrors, services.external_cache):
        async with _isolated(type(part).__name__.lower()):
            await asyncio.to_thread(part.clear, before=now - DAY)
    async with _isolated("bundles"):
        forgotten = services.retention.forgotten_before(now)
        bundles = older(services.local_bundles.glob("*.bundle"), forgotten)
        await asyncio.to_thread(removed, bundles)
    for pattern in ("report-*", GRAVES):
        async with _isolated("reports"):
            folders = older((home / "scratch").glob(pattern), now - DAY)
            await asyncio.to_thread(removed, folders)
    return left


async def clear_workspaces_of_killed(services: Services) -> None:
    """Delete the workspaces that belong to no live run, whatever their age."""
    async with _isolated("workspaces"):
        live = {row.id for row in await services.runs.alive()}
        await _clear_workspaces(services, live, before=time.time())


async def _clear_workspaces(services: Services, live: Collection[str], *, before: float) -> int:
    return await services.workspaces.clear(lambda name: name[:ID_LENGTH] in live, before=before)


async def _prune_mirrors(services: Services, busy: set[str]) -> None:
    """Delete pins of deleted runs; until then, people may continue the run."""
    for repo, used in services.mirrors.known():
        if str(repo) in busy or used < time.time() - 2 * DAY:
            continue
        known = await services.runs.ids_in(str(repo))
        try:
            await services.mirrors.collect_garbage(repo, functools.partial(_belongs_to, known))
        except HonkError as problem:
            log.warning(log_events.MIRROR_NOT_PRUNED, repository=str(repo), why=str(problem))


def _belongs_to(runs: Collection[str], pin: str) -> bool:
    """Whether a pin belongs to one of these runs: `<run id>-base`, or `workspaces/<run
    id>.../tree`."""
    return pin.removeprefix("workspaces/")[:ID_LENGTH] in runs


async def _drop_caches(services: Services, busy: set[str], now: float, *, full: bool) -> int:
    kept = services.retention
    if full:
        kept = kept.model_copy(update={"cache_bytes": 0})
    caches = await asyncio.to_thread(_caches, services, busy)
    dropped = rules.to_drop(caches, kept, now)
    for each in dropped:
        async with _isolated("caches"):
            await each.what()
    return len(dropped)


def _caches(services: Services, busy: set[str]) -> list[Cached[Drop]]:
    """The caches that no live run needs."""
    mirrors, snapshots, external = services.mirrors, services.snapshots, services.external_cache

    def of_mirror(repo: RepoName) -> Drop:
        return lambda: mirrors.drop(repo)

    def of_snapshot(folder: Path) -> Drop:
        return lambda: asyncio.to_thread(snapshots.drop, folder)

    def of_external(folder: Path) -> Drop:
        return lambda: asyncio.to_thread(external.drop, folder)

    return [
        *(
            Cached(of_mirror(repo), used, _size(mirrors.path(repo)))
            for repo, used in mirrors.known()
            if str(repo) not in busy
        ),
        *(Cached(of_snapshot(folder), used, size) for folder, used, size in snapshots.known()),
        *(
            Cached(of_external(folder), used, _size(folder))
            for repo, folder, used in external.known()
            if str(repo) not in busy
        ),
    ]


def _size(folder: Path) -> int:
    """The total size of a folder's files, in bytes. Files that vanish during the walk count as
    zero."""
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += Path(path, name).lstat().st_size
    return total
