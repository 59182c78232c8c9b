"""The deliveries in GitHub's log that were read, and the time up to which all of them were."""

from __future__ import annotations

import sqlalchemy as sa

from app.store.database import Database, now
from app.store.schema import deliveries, marks

_MARK_NAME = "deliveries"


class Deliveries:
    """Records of read deliveries. Entries older than GitHub's log are deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark_seen(self, guid: str) -> None:
        """Record that this delivery was read."""
        new = self._database.insert(deliveries).values(guid=guid, seen_at=now())
        insert = new.on_conflict_do_nothing()
        await self._database.run(lambda connection: connection.execute(insert))

    async def is_seen(self, guid: str) -> bool:
        query = sa.select(deliveries.c.guid).where(deliveries.c.guid == guid)
        found = await self._database.run(lambda connection: connection.execute(query).first())
        return found is not None

    async def complete_until(self) -> float:
        """The time (seconds since 1970) up to which every delivery was read."""
        query = sa.select(marks.c.at).where(marks.c.name == _MARK_NAME)
        found = await self._database.run(lambda connection: connection.execute(query).scalar())
        return float(found or 0.0)

    async def set_complete_until(self, until: float, *, forget_before: float) -> None:
        """Set `complete_until`, and delete records from before `forget_before`."""

        def change(connection: sa.Connection) -> None:
            connection.execute(sa.delete(marks).where(marks.c.name == _MARK_NAME))
            connection.execute(sa.insert(marks).values(name=_MARK_NAME, at=until))
            connection.execute(sa.delete(deliveries).where(deliveries.c.seen_at < forget_before))

        await self._database.run(change)
