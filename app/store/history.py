"""What is forgotten in the end: runs that ended long ago, with all that belongs to them."""

from __future__ import annotations

import sqlalchemy as sa

from app.store.database import Database
from app.store.schema import images, marks, messages, results, runs, turns, writes

_AT_ONCE = 200
"""Runs in one transaction: nobody waits long for it."""


class History:
    """Each method is some short transactions. Raises RetryableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, before: float) -> int:
        """Forget runs that ended before then (Unix time), and results as old; how many runs."""
        total = 0
        while True:
            gone = await self._database.run(lambda connection: _forget_some(connection, before))
            total += gone
            if gone < _AT_ONCE:
                break
        await self._database.run(lambda connection: _forget_the_rest(connection, before))
        return total

    async def marked(self, name: str) -> float:
        """When something was last done (Unix time); 0 when it never was."""
        query = sa.select(marks.c.at).where(marks.c.name == name)
        found = await self._database.run(lambda connection: connection.execute(query).scalar())
        return float(found or 0.0)

    async def mark(self, name: str, at: float) -> None:
        """It was done now."""

        def change(connection: sa.Connection) -> None:
            connection.execute(sa.delete(marks).where(marks.c.name == name))
            connection.execute(sa.insert(marks).values(name=name, at=at))

        await self._database.run(change)


def _forget_some(connection: sa.Connection, before: float) -> int:
    # A run ends after it was asked, so the index by time of asking finds the candidates.
    old = sa.and_(runs.c.created_at < before, runs.c.finished_at < before)
    chosen = sa.select(runs.c.id).where(old).order_by(runs.c.created_at).limit(_AT_ONCE)
    ids = list(connection.execute(chosen).scalars())
    for table in (turns, messages, images):
        connection.execute(sa.delete(table).where(table.c.run_id.in_(ids)))
    connection.execute(sa.delete(runs).where(runs.c.id.in_(ids)))
    return len(ids)


def _forget_the_rest(connection: sa.Connection, before: float) -> None:
    connection.execute(sa.delete(results).where(results.c.created_at < before))
    # A bucket that nobody has touched for so long is full, as a new one is.
    connection.execute(sa.delete(writes).where(writes.c.updated_at < before))
