"""Which workers are alive, and who goes on with what a dead one left.

On Postgres each worker has an id of its own, and holds an advisory lock on it in a session that
does nothing else. Whoever is dead, cut off or hung no longer holds it:

    the process died                the server notices the closed connection at once
    it hangs, or the network does   it does not ping; after a lease the server drops the session
    its event loop alone hangs      it ends itself after a minute or five leases
    the server was restarted        every worker takes its lock again as soon as it can

A worker whose last confirmed ping is three quarters of a lease ago ends itself, at work or not; the
others wait as long after they see its lock free before they take its runs over. So no run is ever
worked on twice at a time. On SQLite there is one worker, always called the same.

The lock belongs to a session: between Honk and Postgres there may be no pool that shares sessions.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

import sqlalchemy as sa
import structlog
from dbos import DBOS
from sqlalchemy.exc import DBAPIError

from app import log_events
from app.errors import RetryableError, UserError
from app.store.database import Database, away, lock_key, now
from app.store.schema import workers

log = structlog.get_logger()

EXIT_CUT_OFF = 75
"""The exit code of a worker that ended itself: start it again."""

_PATIENCE = 0.75
"""Of a lease: how long a worker lives without a ping, and its runs without a worker."""

_STUCK_SECONDS = 60.0
_STUCK_LEASES = 5
_TURN_SECONDS = 1.0

_ONLY = "local"


@dataclass(frozen=True)
class WorkerRegistration:
    """A worker that is on duty. `executor` is its id for the engine.

    `check` raises RetryableError when it may be at work no longer, as far as it knows: it blocks.
    """

    executor: str
    check: Callable[[], None]


@asynccontextmanager
async def registered_worker(
    database: Database, *, slots: int, lease_seconds: float, stuck_seconds: float = _STUCK_SECONDS
) -> AsyncIterator[WorkerRegistration]:
    """Be a worker while the context is open.

    On Postgres the process ends when the event loop does not turn for `stuck_seconds`, or for five
    leases where these are longer. On SQLite the caller holds `Database.only_worker`. Raises
    RetryableError when Postgres is away, UserError when it is too old.
    """
    if database.is_sqlite:
        await asyncio.to_thread(_register, database, _ONLY, slots, alone=True)
        yield WorkerRegistration(_ONLY, database.check_old_enough)
        return
    executor = f"{socket.gethostname()[:60]}-{database.process}"
    heart = _LeaseKeeper(database, executor, lease_seconds, stuck_seconds)
    await asyncio.to_thread(heart.begin)
    turning = asyncio.create_task(heart.keep_turning())
    try:
        await asyncio.to_thread(_register, database, executor, slots)
        yield WorkerRegistration(executor, heart.check)
        try:
            await asyncio.to_thread(_unregister, database, executor)
        except RetryableError as problem:
            # Who watches sees that its lock is gone, and strikes it off.
            log.warning(log_events.WORKER_ENDED_WITHOUT_DATABASE, why=str(problem))
    finally:
        await asyncio.to_thread(heart.stop)
        turning.cancel()


class PeerMonitor:
    """Looks after the other workers: takes over what a dead one left."""

    def __init__(self, database: Database, executor: str, lease_seconds: float) -> None:
        self._database = database
        self._executor = executor
        self._lease = lease_seconds
        self._free_since: dict[str, float] = {}

    async def keep_watching(self) -> None:
        """Until cancelled. On SQLite there is nobody to watch."""
        while not self._database.is_sqlite:
            try:
                await asyncio.to_thread(self.look)
            except (DBAPIError, RetryableError) as problem:
                # While nothing is known nobody is dead: the waiting begins anew.
                self._free_since.clear()
                log.warning(log_events.PEER_CHECK_FAILED, why=type(problem).__name__)
            await asyncio.sleep(self._lease / 6)

    def look(self) -> None:
        """One look. Blocking."""
        moment = _clock()
        dead = self._without_a_lock()
        self._free_since = {each: self._free_since.get(each, moment) for each in dead}
        for each, since in self._free_since.items():
            if moment - since >= self._lease * _PATIENCE:
                self._take_over(each)

    def _without_a_lock(self) -> set[str]:
        known = self._database.transact(
            lambda connection: set(connection.execute(sa.select(workers.c.id)).scalars())
        )
        at_work = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        known |= {each.executor_id for each in at_work if each.executor_id}
        held = self._database.transact(_held_locks)
        return {each for each in known if _key(each) not in held} - {self._executor}

    def _take_over(self, dead: str) -> None:
        """Whoever gets the dead worker's own lock does it; it cannot come back meanwhile."""
        with self._database.exclusively(_lock_name(dead)) as taken:
            if not taken:
                return
            # Struck off first: should it live after all, it finds itself gone and ends.
            _unregister(self._database, dead)
            # One that hangs has its sessions still, and what they lock for all of us.
            self._database.end_sessions_of(dead.rpartition("-")[2])
            # Private to the engine, whose version is exact; tests/unit/runs hold it to this.
            recovered = DBOS._recover_pending_workflows([dead])
        log.warning(log_events.DEAD_WORKER_TAKEN_OVER, dead=dead, workflows=len(recovered))


class _LeaseKeeper:
    """The session with the lock: pinged by one thread, watched by another.

    Threads, since a ping that hangs must not keep the worker from ending itself. They would go on
    beside an event loop that hangs, so that has to show that it turns.
    """

    def __init__(
        self, database: Database, executor: str, lease_seconds: float, stuck_seconds: float
    ) -> None:
        self._lease = lease_seconds
        self._stuck = max(stuck_seconds, _STUCK_LEASES * lease_seconds)
        self._executor = executor
        self._turned = _clock()
        self._stopping = threading.Event()
        self._confirmed = _clock()
        self._enrolled = False
        self._engine = sa.create_engine(
            database.url,
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
            # libpq knows no shorter one than two seconds.
            connect_args={"connect_timeout": max(2, int(lease_seconds / 4))},
        )
        self._session: sa.Connection | None = None
        self._threads = [
            threading.Thread(target=self._beat, name="lease", daemon=True),
            threading.Thread(target=self._watch, name="lease-watch", daemon=True),
        ]

    def begin(self) -> None:
        """Take the lock. Raises RetryableError when Postgres is away, UserError for an old one."""
        try:
            self._ping()
        except sa.exc.OperationalError as problem:
            raise away(problem) from None
        except sa.exc.ProgrammingError:
            raise UserError(
                "This Postgres does not know idle_session_timeout.",
                next_step="Use Postgres 14 or newer.",
            ) from None
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises RetryableError when the lease is due: half a lease without a confirmed ping."""
        if _clock() - self._confirmed >= self._lease / 2:
            raise RetryableError("The lease was not renewed lately.")

    async def keep_turning(self) -> None:
        """Show that the event loop turns, until cancelled."""
        while True:
            self._turned = _clock()
            await asyncio.sleep(_TURN_SECONDS)

    def stop(self) -> None:
        """Let go of the lock. The worker must be at work on nothing any more."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(self._lease)
        self._close()

    def _beat(self) -> None:
        while not self._stopping.wait(self._lease / 6):
            try:
                self._ping()
            except DBAPIError as problem:
                log.warning(log_events.LEASE_NOT_RENEWED, why=type(problem.orig).__name__)
                self._close()

    def _ping(self) -> None:
        """What counts is when it was sent: the server cannot have dropped the session before."""
        sent = _clock()
        if self._session is None:
            self._session = self._open()
        known = sa.select(workers.c.id).where(workers.c.id == self._executor)
        found = self._session.execute(known).first()
        if found is None and self._enrolled:
            _end_this_process("another worker has taken its work over")
        self._enrolled = self._enrolled or found is not None
        self._confirmed = sent

    def _open(self) -> sa.Connection:
        session = self._engine.connect()
        milliseconds = int(self._lease * 1000)
        session.execute(sa.text(f"SET idle_session_timeout = {milliseconds}"))
        take = sa.select(sa.func.pg_try_advisory_lock(_key(self._executor)))
        if not session.execute(take).scalar_one():
            _end_this_process("another worker is taking its work over")
        return session

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except DBAPIError:
                session.invalidate()

    def _watch(self) -> None:
        patience = self._lease * _PATIENCE
        while not self._stopping.wait(self._lease / 20):
            if _clock() - self._confirmed >= patience:
                _end_this_process("Postgres has not heard from it for too long")
            if _clock() - self._turned >= self._stuck:
                _end_this_process("its event loop hangs")


def _held_locks(connection: sa.Connection) -> set[int]:
    """The keys of the advisory locks that somebody holds in this database.

    https://www.postgresql.org/docs/current/view-pg-locks.html tells how a key is split in two.
    """
    rows = connection.execute(
        sa.text(
            "SELECT classid::bigint, objid::bigint FROM pg_locks WHERE locktype = 'advisory' "
            "AND granted AND objsubid = 1 AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    )
    return {_signed(high << 32 | low) for high, low in rows}


def _signed(key: int) -> int:
    return key - (1 << 64) if key >= 1 << 63 else key


def _register(database: Database, executor: str, slots: int, *, alone: bool = False) -> None:
    def enrol(connection: sa.Connection) -> None:
        others = sa.delete(workers)
        connection.execute(others if alone else others.where(workers.c.id == executor))
        connection.execute(sa.insert(workers).values(id=executor, slots=slots, started_at=now()))

    database.transact(enrol)


def _unregister(database: Database, executor: str) -> None:
    gone = sa.delete(workers).where(workers.c.id == executor)
    database.transact(lambda connection: connection.execute(gone))


def _lock_name(executor: str) -> str:
    return f"executor {executor}"


def _key(executor: str) -> int:
    return lock_key(_lock_name(executor))


def _clock() -> float:
    """Seconds that go on while the machine or the process sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _end_this_process(why: str) -> NoReturn:
    """At once: whatever it still did could be done by somebody else at the same time."""
    log.critical(log_events.WORKER_ENDS_ITSELF, why=why)
    os._exit(EXIT_CUT_OFF)
