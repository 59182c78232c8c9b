"""Backing up a SQLite database while Honk is running."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from app.errors import UserError
from app.store.database import Database


def backup(database: Database, path: Path) -> int:
    """Copy a consistent snapshot of the database to a new file; return its size in bytes.

    Readers and writers are not blocked (https://www.sqlite.org/backup.html). The file appears only
    once it is complete, and only its owner can read it. Raises UserError when the file exists or
    cannot be written, or when the database is not SQLite.
    """
    if not database.is_sqlite or not database.engine.url.database:
        raise UserError(
            "`honk backup` copies only SQLite databases, and this one is Postgres.",
            next_step="Use pg_dump; it works while Honk is running.",
        )
    source = Path(database.engine.url.database)
    path = path.expanduser().absolute()
    if path.exists():
        raise UserError(f"{path} already exists.", next_step="Choose a new file name.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _copy(source, temporary)
        # Unlike a rename, a hard link never replaces a file that appeared in the meantime.
        path.hardlink_to(temporary)
    except (OSError, sqlite3.Error) as problem:
        raise UserError(f"{path} could not be written: {problem}.") from None
    finally:
        temporary.unlink(missing_ok=True)
    return path.stat().st_size


def _copy(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        closing(sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True)) as reader,
        closing(sqlite3.connect(target)) as writer,
    ):
        # Copy in one step: an incremental backup starts over whenever somebody writes in between.
        reader.backup(writer)
        # No WAL file next to the copy, so moving this one file is enough.
        writer.execute("PRAGMA journal_mode=DELETE")
        (integrity,) = writer.execute("PRAGMA quick_check").fetchone()
    if integrity != "ok":
        raise sqlite3.DatabaseError(f"the copy is not sound ({integrity})")
    with target.open("rb") as file:
        os.fsync(file.fileno())
