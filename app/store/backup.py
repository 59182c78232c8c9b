"""A copy of a SQLite database, made while Honk is at work."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from app.errors import UserError
from app.store.database import Database


def backup(database: Database, path: Path) -> int:
    """Copy the database as it stands at one moment to a new file; its size in bytes.

    Nobody waits for it: readers and writers go on (https://www.sqlite.org/backup.html). The file is
    whole or not there at all, readable by its owner alone. Raises UserError when it is there
    already, cannot be written, or the database is not SQLite.
    """
    if not database.is_sqlite or not database.engine.url.database:
        raise UserError(
            "This database is Postgres, which has tools of its own for this.",
            next_step="Use pg_dump: it copies a database while Honk is at work.",
        )
    source = Path(database.engine.url.database)
    path = path.expanduser().absolute()
    if path.exists():
        raise UserError(f"{path} is there already.", next_step="Name a file that is not there yet.")
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _copy(source, making)
        # Unlike a rename, a link does not replace what somebody else has put there meanwhile.
        path.hardlink_to(making)
    except (OSError, sqlite3.Error) as problem:
        raise UserError(f"{path} could not be written: {problem}.") from None
    finally:
        making.unlink(missing_ok=True)
    return path.stat().st_size


def _copy(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as read,
        closing(sqlite3.connect(target)) as written,
    ):
        # In one go: a copy made in pieces begins anew whenever somebody writes in between.
        read.backup(written)
        # One file without a log beside it, so that copying it elsewhere is enough.
        written.execute("PRAGMA journal_mode=DELETE")
        (found,) = written.execute("PRAGMA quick_check").fetchone()
    if found != "ok":
        raise sqlite3.DatabaseError(f"the copy is not sound ({found})")
    with target.open("rb") as file:
        os.fsync(file.fileno())
