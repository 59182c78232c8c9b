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
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

from app.errors import RetryableError, UserError

T = TypeVar("T")

_BUSY_MILLISECONDS = 30_000

_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""SQLite's codes while the disk takes nothing: which of them depends on the file it was writing."""

_LOCK_SECONDS = 0.1

_CONNECT_SECONDS = 5
# What a machine that vanished still holds (locks, rows) is free again after this, and who waits for
# a server that vanished hears so: by themselves both take minutes to hours.
_UNHEARD_SECONDS = 15
_IDLE_IN_TRANSACTION_SECONDS = 60
_SCHEMA_LOCK_SECONDS = 5
_POOL_SECONDS = 10.0


class Database:
    """The product's database. Blocking calls; `run` takes one off the event loop."""

    def __init__(self, url: str, *, pool_seconds: float = _POOL_SECONDS) -> None:
        """`url` as in DATABASE_URL. Raises UserError for a kind of database Honk does not know.

        After `pool_seconds` in which every connection was in use the database counts as away.
        `process` is what the server knows this process's sessions by, all but the lease's own.
        """
        self.url = _driver_url(url)
        self.process = uuid.uuid4().hex[:12]
        self.engine = _engine(self.url, self.process, pool_seconds)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    async def run(self, function: Callable[[sa.Connection], T]) -> T:
        """Do the function in one transaction on a thread. Raises RetryableError when it is away."""
        return await asyncio.to_thread(self.transact, function)

    def transact(self, function: Callable[[sa.Connection], T]) -> T:
        """Do the function in one transaction, here. Raises RetryableError when it is away."""
        try:
            with self.engine.begin() as connection:
                return function(connection)
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as problem:
            raise away(problem) from None
        except sa.exc.TimeoutError:
            raise _all_in_use() from None

    def check_migrated(self) -> None:
        """Raises UserError unless the tables are those of this version."""
        current, known = self._schema()
        _refuse_newer(current, known)
        if current != known[0]:
            raise UserError(
                "The database is not at this version's schema.", next_step="Run `honk migrate`."
            )

    def is_empty(self) -> bool:
        """Whether no Honk has worked with it yet: there are no tables."""
        return self._schema()[0] is None

    def check_old_enough(self) -> None:
        """As `check_migrated`, but a newer schema is good enough for what runs already.

        While a new version is rolled out its migration comes first, and the last version goes on.
        """
        current, known = self._schema()
        if current in known[1:] or current is None:
            raise UserError("The database is not at this version's schema.")

    def migrate(self) -> None:
        """Bring our tables to this version's schema, whole or not at all.

        Raises UserError on a newer one, and where others use the tables for too long.
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
                "The tables could not be changed: others use them and do not let go.",
                next_step="Run `honk migrate` again when the dump or whatever reads them is over.",
            ) from None

    def _upgrade(self) -> None:
        config = _alembic_config()
        with self.engine.begin() as connection:
            if self.is_sqlite:
                # Python begins a transaction of its own only before rows are changed, not tables.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                # Whoever asks for the tables meanwhile waits behind this change.
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_SCHEMA_LOCK_SECONDS}s'")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def end_sessions_of(self, process: str) -> None:
        """Have the server end what a process that is no more, or hangs, may still hold: Postgres.

        Raises RetryableError when the database is away.
        """
        ended = sa.text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = :name AND datname = current_database()"
        )
        name = _application_name(process)
        self.transact(lambda connection: connection.execute(ended, {"name": name}).all())

    def _schema(self) -> tuple[str | None, tuple[str, ...]]:
        """The schema that the database has, and those that we know, newest first."""
        current = self.transact(
            lambda connection: MigrationContext.configure(connection).get_current_revision()
        )
        return current, _known_schemas()

    @contextmanager
    def only_worker(self) -> Iterator[None]:
        """On SQLite one worker may run at a time; a second is refused with UserError."""
        path = self.engine.url.database
        if not self.is_sqlite or not path:
            yield
            return
        with Path(f"{path}.worker").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"Another worker already works on {path}.",
                    next_step="SQLite has room for one worker. Stop the other one, or set "
                    "DATABASE_URL to a Postgres database for several.",
                ) from None
            yield

    @contextmanager
    def exclusively(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        """At most one process of those that share the database is in here under one name.

        Yields whether this one is; with `wait` it waits until it is. SQLite has one worker anyway.
        Raises RetryableError when the database is away.
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
                    _give_lock_back(connection, key)

    def _autocommitting(self) -> sa.Connection:
        try:
            return self.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        except sa.exc.OperationalError as problem:
            raise away(problem) from None
        except sa.exc.TimeoutError:
            raise _all_in_use() from None

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[bool]:
        """`exclusively`, off the event loop."""
        held = self.exclusively(name)
        taken = await asyncio.to_thread(held.__enter__)
        try:
            yield taken
        finally:
            await asyncio.to_thread(held.__exit__, None, None, None)

    def close(self) -> None:
        self.engine.dispose()


def is_there(url: str) -> bool:
    """Whether there is a database that can be looked at; SQLite's would be made by opening it."""
    path = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else ""
    return not path or Path(path).exists()


def away(problem: sa.exc.DBAPIError) -> RetryableError:
    """What keeps the database from us; a server's own words could name its address and account."""
    own = isinstance(problem.orig, sqlite3.Error)
    return RetryableError(
        f"The database is away ({problem.orig if own else type(problem.orig).__name__})."
    )


def _all_in_use() -> RetryableError:
    """Each of our connections waits for something, such as a change of the schema."""
    return RetryableError("The database is away (every connection is in use).")


@functools.cache
def _known_schemas() -> tuple[str, ...]:
    script = ScriptDirectory.from_config(_alembic_config())
    return tuple(each.revision for each in script.walk_revisions())


def _refuse_newer(current: str | None, known: tuple[str, ...]) -> None:
    if current is not None and current not in known:
        raise UserError(
            f"The database has the schema {current}, which is newer than this Honk.",
            next_step="Start the newer Honk again, or restore a backup made before it ran.",
        )


def _take_lock(connection: sa.Connection, key: int, *, wait: bool) -> bool:
    take = sa.select(sa.func.pg_try_advisory_lock(key))
    try:
        # Asked again and again: a statement that waits would hold up CREATE INDEX CONCURRENTLY,
        # which the engine's migrations use, for ever.
        while not (taken := connection.execute(take).scalar_one()) and wait:
            time.sleep(_LOCK_SECONDS)
    except sa.exc.OperationalError as problem:
        raise RetryableError(f"The database is away ({type(problem.orig).__name__}).") from None
    return bool(taken)


def _give_lock_back(connection: sa.Connection, key: int) -> None:
    try:
        connection.execute(sa.select(sa.func.pg_advisory_unlock(key)))
    except sa.exc.OperationalError:
        # The session is gone, and the lock with it.
        connection.invalidate()


def lock_key(name: str) -> int:
    """What Postgres knows an advisory lock of ours by: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"honk: {name}".encode()).digest()[:8], "big", signed=True)


def now() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


def _driver_url(url: str) -> str:
    if url.startswith("sqlite:///"):
        return url
    for scheme in ("postgresql+psycopg://", "postgresql://", "postgres://"):
        if url.startswith(scheme):
            return _readable("postgresql+psycopg://" + url.removeprefix(scheme))
    raise UserError(
        "DATABASE_URL is neither sqlite:///... nor postgresql://....",
        next_step="Leave it out for a SQLite file below HONK_HOME.",
    )


def _readable(url: str) -> str:
    try:
        sa.make_url(url)
    except (ValueError, sa.exc.ArgumentError):
        # What is wrong with it could be a part of the password.
        raise UserError(
            "DATABASE_URL cannot be read.",
            next_step="Write what is special in the password as %40 for @, %3A for :, and so on.",
        ) from None
    return url


def _application_name(process: str) -> str:
    return f"honk {process}"


def _for_postgres(process: str) -> dict[str, Any]:
    """No wait for a server that vanished without a bound.

    https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
    """
    return {
        "connect_timeout": _CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": _UNHEARD_SECONDS * 1000,
        "application_name": _application_name(process),
    }


def _prepare_postgres(connection: psycopg.Connection[Any], _record: Any) -> None:
    """Let the server wait no longer for us, either.

    Said in the session: a pool in between refuses a connection that brings such settings along.
    https://www.postgresql.org/docs/current/runtime-config-connection.html
    """
    settings = {
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 2,
        "tcp_user_timeout": _UNHEARD_SECONDS * 1000,
        "idle_in_transaction_session_timeout": _IDLE_IN_TRANSACTION_SECONDS * 1000,
    }
    connection.autocommit = True
    connection.execute("; ".join(f"SET {name} = {value}" for name, value in settings.items()))
    connection.autocommit = False


def _engine(url: str, process: str, pool_seconds: float) -> sa.Engine:
    pool: dict[str, Any] = {"pool_size": 20, "max_overflow": 10, "pool_timeout": pool_seconds}
    if not url.startswith("sqlite"):
        connect_args = _for_postgres(process)
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
    event.listen(engine, "handle_error", _count_as_away)
    return engine


def _count_as_away(context: sa.engine.ExceptionContext) -> None:
    """The workflow engine waits for a database that is away; one without room it would give up."""
    code = getattr(context.original_exception, "sqlite_errorcode", 0)
    # The lower eight bits are the kind: https://www.sqlite.org/rescode.html
    if code & 0xFF in _NO_ROOM:
        context.is_disconnect = True


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = "IMMEDIATE"
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA foreign_keys=ON")
    if sqlite3.sqlite_version_info < (3, 42):
        # The workflow engine asks for unixepoch('subsec'), which older libraries do not have.
        connection.create_function("unixepoch", -1, _unixepoch)


def _unixepoch(*arguments: str) -> float | int:
    return time.time() if "subsec" in arguments else int(time.time())


def _alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config
