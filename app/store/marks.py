"""Bookmarks of recurring tasks: the time up to which each is done, by the task's name."""

from __future__ import annotations

import sqlalchemy as sa

from app.store.database import Database
from app.store.schema import marks


class Marks:
    """Times in seconds since 1970. Names have at most 50 characters."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def at(self, name: str) -> float | None:
        """The time of a mark; None if there is none."""
        query = sa.select(marks.c.at).where(marks.c.name == name)
        found = await self._database.run(lambda connection: connection.execute(query).scalar())
        return None if found is None else float(found)

    async def set(self, name: str, at: float) -> None:
        """Set a mark."""

        def change(connection: sa.Connection) -> None:
            connection.execute(sa.delete(marks).where(marks.c.name == name))
            connection.execute(sa.insert(marks).values(name=name, at=at))

        await self._database.run(change)
