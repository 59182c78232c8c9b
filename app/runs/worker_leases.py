"""Which workers are alive, and who takes over a dead one's work.

On Postgres each worker has its own id and holds an advisory lock on it in a dedicated session. A
worker that is dead, disconnected or hung loses the lock:

    the process died                the server notices the closed connection at once
    it hangs, or the network does   it sends no pings; after a lease the server drops the session
    only its event loop hangs       it exits after a minute or five leases, whichever is longer
    the server was restarted        every worker takes its lock again as soon as it can

A worker whose last confirmed ping is three quarters of a lease ago exits, even in the middle of
work; the others wait just as long after they see its lock free before they take over its runs. So
no run is ever processed by two workers at a time. On SQLite there is only one worker, with a fixed
id.

The lock belongs to a session, so there must be no session-sharing pooler between Honk and Postgres.
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
"""The exit code of a worker that lost its lease; restart it."""

_GRACE = 0.75
"""The share of a lease that a worker lives without a ping, and its runs without a worker."""

_STUCK_SECONDS = 60.0
_STUCK_LEASES = 5
_ALIVE_SECONDS = 1.0

_SQLITE_EXECUTOR = "local"


@dataclass(frozen=True)
class WorkerRegistration:
    """A registered worker. `executor` is its id in DBOS.

    `check` blocks, and raises HonkError when the worker should no longer take work.
    """

    executor: str
    check: Callable[[], None]


@asynccontextmanager
async def registered_worker(
    database: Database, *, slots: int, lease_seconds: float, stuck_seconds: float = _STUCK_SECONDS
) -> AsyncIterator[WorkerRegistration]:
    """Register this worker while the context is open.

    On Postgres the process exits when the event loop is stuck for `stuck_seconds` or for five
    leases, whichever is longer. On SQLite the caller holds `Database.only_worker`. Raises
    RetryableError when Postgres is unavailable, UserError when it is too old.
    """
    if database.is_sqlite:
        await asyncio.to_thread(_register, database, _SQLITE_EXECUTOR, slots, alone=True)
        yield WorkerRegistration(_SQLITE_EXECUTOR, database.check_old_enough)
        return
    executor = f"{socket.gethostname()[:60]}-{database.process}"
    lease = _LeaseKeeper(database, executor, lease_seconds, stuck_seconds)
    await asyncio.to_thread(lease.begin)
    reporting = asyncio.create_task(lease.keep_reporting_alive())
    try:
        await asyncio.to_thread(_register, database, executor, slots)
        yield WorkerRegistration(executor, lease.check)
        try:
            await asyncio.to_thread(_unregister, database, executor)
        except RetryableError as problem:
            # A peer will see the free lock and remove the registration.
            log.warning(log_events.WORKER_ENDED_WITHOUT_DATABASE, why=str(problem))
    finally:
        await asyncio.to_thread(lease.stop)
        reporting.cancel()


class PeerMonitor:
    """Watches the other workers and takes over the work of dead ones."""

    def __init__(self, database: Database, executor: str, lease_seconds: float) -> None:
        self._database = database
        self._executor = executor
        self._lease = lease_seconds
        self._free_since: dict[str, float] = {}

    async def keep_watching(self) -> None:
        """Check the peers until cancelled. On SQLite there are none."""
        while not self._database.is_sqlite:
            try:
                await asyncio.to_thread(self.check_peers)
            except (DBAPIError, RetryableError) as problem:
                # Without data no peer counts as dead: restart the grace period.
                self._free_since.clear()
                log.warning(log_events.PEER_CHECK_FAILED, why=type(problem).__name__)
            await asyncio.sleep(self._lease / 6)

    def check_peers(self) -> None:
        """Check the peers once and take over dead ones' work. Blocking."""
        moment = _clock()
        dead = self._without_a_lock()
        self._free_since = {each: self._free_since.get(each, moment) for each in dead}
        for each, since in self._free_since.items():
            if moment - since >= self._lease * _GRACE:
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
        """Take over a dead worker's workflows while holding its lock, so that it cannot come
        back."""
        with self._database.exclusively(_lock_name(dead)) as taken:
            if not taken:
                return
            # Unregister it first: if it is alive after all, its next ping finds no registration and
            # it exits.
            _unregister(self._database, dead)
            # A hung worker still holds database sessions and their locks; terminate them.
            self._database.end_sessions_of(dead.rpartition("-")[2])
            # A private function of DBOS, whose version is pinned; tests/unit/runs checks it.
            recovered = DBOS._recover_pending_workflows([dead])
        log.warning(log_events.DEAD_WORKER_TAKEN_OVER, dead=dead, workflows=len(recovered))


class _LeaseKeeper:
    """Holds the lock's session: one thread pings it, another watches the pings.

    Threads, because a hung ping must not keep the worker from exiting. They would keep running
    beside a hung event loop, so the loop reports that it is alive.
    """

    def __init__(
        self, database: Database, executor: str, lease_seconds: float, stuck_seconds: float
    ) -> None:
        self._lease = lease_seconds
        self._stuck = max(stuck_seconds, _STUCK_LEASES * lease_seconds)
        self._executor = executor
        self._loop_alive_at = _clock()
        self._stopping = threading.Event()
        self._confirmed = _clock()
        self._registered = False
        self._engine = sa.create_engine(
            database.url,
            poolclass=sa.NullPool,
            isolation_level="AUTOCOMMIT",
            # libpq's minimum is two seconds.
            connect_args={"connect_timeout": max(2, int(lease_seconds / 4))},
        )
        self._session: sa.Connection | None = None
        self._threads = [
            threading.Thread(target=self._keep_pinging, name="lease", daemon=True),
            threading.Thread(target=self._watch, name="lease-watch", daemon=True),
        ]

    def begin(self) -> None:
        """Take the lock. Raises RetryableError when Postgres is unavailable, UserError when it is
        too old."""
        try:
            self._ping()
        except sa.exc.OperationalError as problem:
            raise away(problem) from None
        except sa.exc.ProgrammingError:
            raise UserError(
                "This Postgres does not support idle_session_timeout.",
                next_step="Use Postgres 14 or newer.",
            ) from None
        for thread in self._threads:
            thread.start()

    def check(self) -> None:
        """Raises RetryableError when half a lease has passed without a confirmed ping."""
        if _clock() - self._confirmed >= self._lease / 2:
            raise RetryableError("The lease was not renewed lately.")

    async def keep_reporting_alive(self) -> None:
        """Report that the event loop is alive, until cancelled."""
        while True:
            self._loop_alive_at = _clock()
            await asyncio.sleep(_ALIVE_SECONDS)

    def stop(self) -> None:
        """Release the lock. The worker must no longer run anything."""
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(self._lease)
        self._close()

    def _keep_pinging(self) -> None:
        while not self._stopping.wait(self._lease / 6):
            try:
                self._ping()
            except DBAPIError as problem:
                log.warning(log_events.LEASE_NOT_RENEWED, why=type(problem.orig).__name__)
                self._close()

    def _ping(self) -> None:
        """Ping the server. The send time counts, since the server cannot have dropped the session
        before it."""
        sent = _clock()
        if self._session is None:
            self._session = self._open()
        known = sa.select(workers.c.id).where(workers.c.id == self._executor)
        found = self._session.execute(known).first()
        if found is None and self._registered:
            _end_this_process("another worker has taken over its work")
        self._registered = self._registered or found is not None
        self._confirmed = sent

    def _open(self) -> sa.Connection:
        session = self._engine.connect()
        milliseconds = int(self._lease * 1000)
        session.execute(sa.text(f"SET idle_session_timeout = {milliseconds}"))
        take = sa.select(sa.func.pg_try_advisory_lock(_key(self._executor)))
        if not session.execute(take).scalar_one():
            _end_this_process("another worker is taking over its work")
        return session

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except DBAPIError:
                session.invalidate()

    def _watch(self) -> None:
        grace = self._lease * _GRACE
        while not self._stopping.wait(self._lease / 20):
            if _clock() - self._confirmed >= grace:
                _end_this_process("Postgres has not heard from it for too long")
            if _clock() - self._loop_alive_at >= self._stuck:
                _end_this_process("its event loop hangs")


def _held_locks(connection: sa.Connection) -> set[int]:
    """The keys of all held advisory locks in this database.

    https://www.postgresql.org/docs/current/view-pg-locks.html explains how a key is split in two.
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
    def register(connection: sa.Connection) -> None:
        rows = sa.delete(workers)
        connection.execute(rows if alone else rows.where(workers.c.id == executor))
        connection.execute(sa.insert(workers).values(id=executor, slots=slots, started_at=now()))

    database.transact(register)


def _unregister(database: Database, executor: str) -> None:
    gone = sa.delete(workers).where(workers.c.id == executor)
    database.transact(lambda connection: connection.execute(gone))


def _lock_name(executor: str) -> str:
    return f"executor {executor}"


def _key(executor: str) -> int:
    return lock_key(_lock_name(executor))


def _clock() -> float:
    """Monotonic seconds that include the time the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _end_this_process(why: str) -> NoReturn:
    """Exit immediately: another worker may already be doing the same work."""
    log.critical(log_events.WORKER_ENDS_ITSELF, why=why)
    os._exit(EXIT_CUT_OFF)
