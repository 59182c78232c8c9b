"""A database without room is away, for us and for the workflow engine, until there is some."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos._utils import retriable_postgres_exception

from app.errors import RetryableError
from app.store.database import Database


def _write(connection: sa.Connection) -> None:
    connection.exec_driver_sql("INSERT INTO things VALUES (zeroblob(1000000))")


def _write_in_one_page(connection: sa.Connection) -> None:
    connection.exec_driver_sql("PRAGMA max_page_count = 1")
    _write(connection)


def test_a_full_database_is_waited_for_and_says_what_is_wrong(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.transact(lambda connection: connection.exec_driver_sql("CREATE TABLE things (a)"))

    with pytest.raises(RetryableError, match="database or disk is full"):
        database.transact(_write_in_one_page)
    with pytest.raises(sa.exc.OperationalError) as caught, database.engine.begin() as connection:
        _write_in_one_page(connection)
    # What the engine itself asks before it waits; other errors end its workflow.
    assert retriable_postgres_exception(caught.value)
    # The limit went with its connection.
    database.transact(_write)
    database.close()
