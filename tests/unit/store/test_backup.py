"""A backup is a consistent copy, made during writes; for Postgres, its own tools are named."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.errors import UserError
from app.store.backup import backup
from app.store.database import Database
from app.store.schema import deliveries


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    return database


def _pair(number: int) -> list[dict[str, object]]:
    return [{"guid": f"{number}-{half}", "seen_at": number} for half in "ab"]


def test_it_is_one_moment_while_others_write(database: Database, tmp_path: Path) -> None:
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        for number in range(1_000_000):
            if stop.is_set():
                return
            insert = sa.insert(deliveries)
            database.transact(lambda c, i=insert, n=number: c.execute(i, _pair(n)))  # type: ignore[misc]
            written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        while len(written) < 20:
            pass
        at_least = len(written)
        size = backup(database, tmp_path / "copy.db")
        during = len(written)
        while len(written) < during + 5:
            pass
    finally:
        stop.set()
        writer.join()
    database.close()

    copy = tmp_path / "copy.db"
    assert size == copy.stat().st_size > 0
    assert copy.stat().st_mode & 0o777 == 0o600
    # No other files: neither a write-ahead log nor the source of the copy.
    assert sorted(path.name for path in tmp_path.glob("*copy*")) == ["copy.db"]
    with closing(sqlite3.connect(copy)) as read:
        numbers = [row[0] for row in read.execute("SELECT seen_at FROM deliveries")]
    # Every pair whole, none missing in between, and what was there when it began is in it.
    assert sorted(numbers) == sorted([*range(len(numbers) // 2)] * 2)
    assert len(numbers) // 2 >= at_least


def test_it_replaces_nothing(database: Database, tmp_path: Path) -> None:
    there = tmp_path / "kept.db"
    there.write_text("mine")
    with pytest.raises(UserError, match="already exists"):
        backup(database, there)
    assert there.read_text() == "mine"
    database.close()


def test_where_nothing_can_be_written_it_says_so(database: Database, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be written"):
        backup(database, tmp_path / "nowhere" / "copy.db")
    database.close()


def test_postgres_has_its_own_way() -> None:
    database = Database("postgresql://honk@127.0.0.1:1/honk")
    with pytest.raises(UserError, match="pg_dump"):
        backup(database, Path("copy.db"))
    database.close()
