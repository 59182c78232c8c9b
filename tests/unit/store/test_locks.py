"""Locks: the server restarts, or a holder hangs. No process ends or waits forever."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
import sqlalchemy as sa

from app.errors import RetryableError
from app.store.database import Database
from tests.support.postgres import Postgres

pytestmark = pytest.mark.slow


def test_a_lock_that_was_lost_with_its_server_needs_no_giving_back(postgres: Postgres) -> None:
    database = Database(postgres.database())
    with database.exclusively("settle") as ours:
        assert ours
        postgres.restart()
    with database.exclusively("settle") as ours:
        assert ours
    database.close()


def test_a_lock_that_cannot_be_asked_for_is_asked_for_later(postgres: Postgres) -> None:
    database = Database(postgres.database())
    with database.exclusively("settle"):
        pass
    postgres.stop()
    try:
        with pytest.raises(RetryableError), database.exclusively("settle"):
            raise AssertionError("nobody gave the lock")
    finally:
        postgres.start()
    with database.exclusively("settle") as ours:
        assert ours
    database.close()


def test_what_a_process_held_that_hangs_is_free_again(postgres: Postgres) -> None:
    url = postgres.database()
    hung = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    database = Database(url)
    try:
        assert hung.stdout is not None
        process = hung.stdout.readline().decode().strip()
        hung.send_signal(signal.SIGSTOP)
        assert not _is_free(database)
        database.end_sessions_of("0" * 12)
        assert not _is_free(database)
        database.end_sessions_of(process)
        until = time.monotonic() + 20
        while not _is_free(database) and time.monotonic() < until:
            time.sleep(0.05)
        assert _is_free(database)
    finally:
        hung.kill()
        hung.communicate()
        database.close()


_HOLDER = """
import sys
from app.store.database import Database
database = Database(sys.argv[1])
with database.exclusively("admission") as ours:
    assert ours
    print(database.process, flush=True)
    sys.stdin.read()
"""


def _is_free(database: Database) -> bool:
    with database.exclusively("admission") as ours:
        return ours


def test_neither_end_waits_long_for_one_that_vanished(postgres: Postgres) -> None:
    """The server's view of a session, also after it was returned to the pool."""
    database = Database(postgres.database())
    names = ("tcp_user_timeout", "idle_in_transaction_session_timeout")
    database.transact(lambda connection: connection.execute(sa.select(1)))
    with database.engine.connect() as connection:
        found = [connection.execute(sa.text(f"SHOW {name}")).scalar_one() for name in names]
        # Without TCP the server has no such setting.
        assert found[0] in ("15000", "0")
        assert found[1] == "1min"
    database.close()


def test_connections_that_are_all_in_use_are_waited_for(postgres: Postgres) -> None:
    database = Database(postgres.database(), pool_seconds=0.1)
    held = [database.engine.connect() for _ in range(30)]
    with pytest.raises(RetryableError, match="in use"):
        database.transact(lambda connection: connection.execute(sa.select(1)))
    with pytest.raises(RetryableError, match="in use"), database.exclusively("settle"):
        raise AssertionError("nobody gave the lock")
    for each in held:
        each.close()
    assert _is_free(database)
    database.close()
