"""One SQLAlchemy engine for our tables and the workflow engine's, on SQLite or Postgres."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import hashlib
import os
import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from app.errors import RetryableError, UserError

T = TypeVar("T")

Insert = sqlite.Insert | postgresql.Insert
"""An insert that can say what to do about a row that exists."""

_BUSY_MILLISECONDS = 30_000

_DISK_FULL_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""SQLite's error codes for a full disk; which one depends on the file being written."""

_LOCK_POLL_SECONDS = 0.1

_CONNECT_SECONDS = 5
# Postgres releases the locks and rows of a vanished client after this time, and a client notices a
# vanished server as fast. By default both take minutes to hours.
_PEER_TIMEOUT_SECONDS = 15
_IDLE_IN_TRANSACTION_SECONDS = 60
_SCHEMA_LOCK_SECONDS = 5
_POOL_SECONDS = 10.0


def insert_into(bind: sa.Engine | sa.Connection, table: sa.Table) -> Insert:
    """`Database.insert` within a transaction."""
    return (sqlite.insert if bind.dialect.name == "sqlite" else postgresql.insert)(table)


class Database:
    """Honk's database. Its methods block, except `run` and `alone`, which use a thread."""

    def __init__(self, url: str, *, pool_seconds: float = _POOL_SECONDS) -> None:
        """`url` as in DATABASE_URL. Raises UserError for an unknown kind of database.

        When every pooled connection stays in use for `pool_seconds`, the database counts as
        unavailable. `process` identifies this process's sessions to the server, except the session
        of its lease.
        """
        self.url = _driver_url(url)
        self.process = uuid.uuid4().hex[:12]
        self.engine = _engine(self.url, self.process, pool_seconds)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def insert(self, table: sa.Table) -> Insert:
        """An insert into the table, of this kind of database. It has no row count on Postgres:
        with `returning`, its first row says whether one was inserted."""
        return insert_into(self.engine, table)

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        """Run the function in one transaction on a thread. Raises as `transact`."""
        return await asyncio.to_thread(self.transact, function)

    def transact(self, function: Callable[[sa.Connection], T]) -> T:
        """Run the function in one transaction on this thread. Raises RetryableError when
        unavailable."""
        try:
            with self.engine.begin() as connection:
                return function(connection)
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as problem:
            raise away(problem) from None
        except sa.exc.TimeoutError:
            raise _pool_exhausted() from None

    def check_migrated(self) -> None:
        """Raises UserError unless the schema is exactly this version's."""
        current, known = self._schema()
        _refuse_newer(current, known)
        if current != known[0]:
            raise UserError(
                "The database schema does not match this version.", next_step="Run `honk migrate`."
            )

    def is_empty(self) -> bool:
        """Whether the database has no tables yet."""
        return self._schema()[0] is None

    def check_old_enough(self) -> None:
        """Like `check_migrated`, but accepts a newer schema.

        During a rollout the new version migrates first while workers of the old version still run.
        """
        current, known = self._schema()
        if current in known[1:] or current is None:
            raise UserError("The database schema does not match this version.")

    def migrate(self) -> None:
        """Migrate our tables to this version's schema in one transaction.

        Raises UserError when the schema is newer, or when other sessions lock the tables for too
        long.
        """
        current, known = self._schema()
        _refuse_newer(current, known)
        if current == known[0]:
            return
        try:
            self._upgrade()
        except sa.exc.OperationalError as problem:
            if not isinstance(problem.orig, psycopg.errors.LockNotAvailable):
                raise
            raise UserError(
                "The tables could not be migrated: another process holds locks on them.",
                next_step="Run `honk migrate` again when that process (such as a dump) is done.",
            ) from None

    def _upgrade(self) -> None:
        config = _alembic_config()
        with self.engine.begin() as connection:
            if self.is_sqlite:
                # Python's sqlite3 begins a transaction implicitly before DML but not before DDL.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                # Queries for these tables queue behind this change, so don't wait long for its
                # lock.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_SCHEMA_LOCK_SECONDS}s'")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    async def moment(self) -> datetime:
        """The present time by the server's clock, one for the workers of all machines.

        Raises RetryableError when the database is unavailable.
        """
        if self.is_sqlite:
            return datetime.now(UTC)
        query = sa.select(sa.func.clock_timestamp())
        found: datetime = await self.run(lambda connection: connection.execute(query).scalar_one())
        return found.astimezone(UTC)

    def end_sessions_of(self, process: str) -> None:
        """Terminate all sessions of a dead or hung process. Postgres only.

        Raises RetryableError when the database is unavailable.
        """
        terminate = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = :name AND datname = current_database()"
        )
        name = _application_name(process)
        self.transact(lambda connection: connection.execute(terminate, {"name": name}).all())

    def _schema(self) -> tuple[str | None, tuple[str, ...]]:
        """The database's schema revision, and all revisions we know, newest first."""
        current = self.transact(
            lambda connection: MigrationContext.configure(connection).get_current_revision()
        )
        return current, _known_schemas()

    @contextmanager
    def only_worker(self) -> Iterator[None]:
        """Hold the lock of SQLite's only worker. Raises UserError when another worker has it."""
        path = self.engine.url.database
        if not self.is_sqlite or not path:
            yield
            return
        with Path(f"{path}.worker").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"Another worker is already using {path}.",
                    next_step="SQLite supports one worker. Stop the other one, or set "
                    "DATABASE_URL to a Postgres database.",
                ) from None
            yield

    @contextmanager
    def exclusively(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold a lock by this name; at most one process that shares the database has it.

        Yields whether this process got it; with `wait`, waits until it does. On SQLite, which has
        one worker, it always does. Raises RetryableError when the database is unavailable.
        """
        if self.is_sqlite:
            yield True
            return
        key = lock_key(name)
        with self._autocommitting() as connection:
            taken = _take_lock(connection, key, wait=wait)
            try:
                yield taken
            finally:
                if taken:
                    _release_lock(connection, key)

    def _autocommitting(self) -> sa.Connection:
        try:
            return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        except sa.exc.OperationalError as problem:
            raise away(problem) from None
        except sa.exc.TimeoutError:
            raise _pool_exhausted() from None

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """`exclusively`, without blocking the event loop."""
        lock = self.exclusively(name)
        taken = await asyncio.to_thread(lock.__enter__)
        try:
            yield taken
        finally:
            await asyncio.to_thread(lock.__exit__, None, None, None)

    def close(self) -> None:
        self.engine.dispose()


def database_exists(url: str) -> bool:
    """Whether there is a database to inspect. Opening a SQLite file would create it."""
    path = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else ""
    return not path or Path(path).exists()


def away(problem: sa.exc.DBAPIError) -> RetryableError:
    """A RetryableError for a database error. It omits Postgres's message, which could name the
    server's address and account."""
    is_sqlite = isinstance(problem.orig, sqlite3.Error)
    why = problem.orig if is_sqlite else type(problem.orig).__name__
    return RetryableError(f"The database is unavailable ({why}).")


def _pool_exhausted() -> RetryableError:
    """Every pooled connection is busy, for example waiting for a schema change."""
    return RetryableError("The database is unavailable (every connection is in use).")


@functools.cache
def _known_schemas() -> tuple[str, ...]:
    script = ScriptDirectory.from_config(_alembic_config())
    return tuple(each.revision for each in script.walk_revisions())


def _refuse_newer(current: str | None, known: tuple[str, ...]) -> None:
    if current is not None and current not in known:
        raise UserError(
            f"The database has schema version {current}, which is newer than this Honk.",
            next_step="Start the newer Honk again, or restore a backup made before it ran.",
        )


def _take_lock(connection: sa.Connection, key: int, *, wait: bool) -> bool:
    take = sa.select(sa.func.pg_try_advisory_lock(key))
    try:
        # Poll instead of waiting in the server: a waiting statement would block CREATE INDEX
        # CONCURRENTLY, which the engine's migrations use, forever.
        while not (taken := connection.execute(take).scalar_one()) and wait:
            time.sleep(_LOCK_POLL_SECONDS)
    except sa.exc.OperationalError as problem:
        raise RetryableError(
            f"The database is unavailable ({type(problem.orig).__name__})."
        ) from None
    return bool(taken)


def _release_lock(connection: sa.Connection, key: int) -> None:
    try:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
    except sa.exc.OperationalError:
        # The session is gone and its lock with it.
        connection.invalidate()


def lock_key(name: str) -> int:
    """The key of a Postgres advisory lock: a signed 64-bit integer."""
    return int.from_bytes(hashlib.sha256(f"honk: {name}".encode()).digest()[:8], "big", signed=True)


def now() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


def _driver_url(url: str) -> str:
    if url.startswith("sqlite:///"):
        return url
    for scheme in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(scheme):
            return _parsable("postgresql+psycopg://" + url.removeprefix(scheme))
    raise UserError(
        "DATABASE_URL must start with sqlite:/// or postgresql://.",
        next_step="Unset it to use a SQLite file in HONK_HOME.",
    )


def _parsable(url: str) -> str:
    try:
        sa.make_url(url)
    except (ValueError, sa.exc.ArgumentError):
        # The parser's message could quote part of the password.
        raise UserError(
            "DATABASE_URL cannot be read.",
            next_step="Write what is special in the password as %40 for @, %3A for :, and so on.",
        ) from None
    return url


def _application_name(process: str) -> str:
    return f"honk {process}"


def _postgres_connect_args(process: str) -> dict[str, Any]:
    """Connection parameters that bound every wait for a vanished server.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
    """
    return {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": _PEER_TIMEOUT_SECONDS * 1000,
        "application_name": _application_name(process),
    }


def _prepare_postgres(connection: psycopg.Connection[Any], _record: Any) -> None:
    """Bound the server's wait for us, too.

    These are set in the session because a pooler may reject them as startup parameters.
    https://www.postgresql.org/docs/current/runtime-config-connection.html
    """
    settings = {
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": _PEER_TIMEOUT_SECONDS * 1000,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_SECONDS * 1000,
    }
    connection.autocommit = True
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
    connection.autocommit = False


def _engine(url: str, process: str, pool_seconds: float) -> sa.Engine:
    pool: dict[str, Any] = {"pool_size": 20, "max_overflow": 10, "pool_timeout": pool_seconds}
    if not url.startswith("sqlite"):
        connect_args = _postgres_connect_args(process)
        engine = sa.create_engine(url, **pool, pool_pre_ping=True, connect_args=connect_args)
        event.listen(engine, "connect", _prepare_postgres)
        return engine
    path = sa.make_url(url).database
    if path:
        directory = Path(path).absolute().parent
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not Path(path).exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    engine = sa.create_engine(url, **pool)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "handle_error", _treat_full_disk_as_disconnect)
    return engine


def _treat_full_disk_as_disconnect(context: sa.engine.ExceptionContext) -> None:
    """DBOS retries a disconnected database, but would give up on a full disk."""
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    # The lower eight bits are the primary code: https://www.sqlite.org/rescode.html
    if code & 0xFF in _DISK_FULL_CODES:
        context.is_disconnect = True


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA foreign_keys=ON")
    if sqlite3.sqlite_version_info < (3, 42):
        # DBOS calls unixepoch('subsec'), which older SQLite versions lack.
        connection.create_function("unixepoch", -1, _unixepoch)


def _unixepoch(*arguments: str) -> float | int:
    return time.time() if "subsec" in arguments else int(time.time())


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
