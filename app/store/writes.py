"""How much an installation may still write, shared by every worker.

GitHub lets an installation create 80 pieces of content a minute, and edits count too
(https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api). One bucket keeps
all workers together below that.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.store.database import Database, now
from app.store.schema import writes

PER_MINUTE = 60


class Writes:
    """The buckets, one for each installation, each of what it may write in a minute.

    What can wait, or need not be said, asks first; everything that was written is told afterwards
    with `spend`. A bucket is never empty for longer than two minutes.
    """

    def __init__(
        self,
        database: Database,
        per_minute: int = PER_MINUTE,
        clock: Callable[[], float] = now,
    ) -> None:
        self._database = database
        self._capacity = float(per_minute)
        self._clock = clock

    async def allow(self, installation: int, *, keep_back: float = 0.0) -> bool:
        """Whether one more may be written, so that this share of a minute's is left for others."""

        def look(connection: sa.Connection) -> bool:
            left = self._left(connection, installation, self._clock())
            return left - 1 >= keep_back * self._capacity

        return await self._database.run(look)

    async def spend(self, installation: int, number: int) -> None:
        """So many writes were made."""

        def change(connection: sa.Connection) -> None:
            moment = self._clock()
            left = max(-self._capacity, self._left(connection, installation, moment) - number)
            here = writes.c.installation_id == installation
            connection.execute(sa.update(writes).where(here).values(tokens=left, updated_at=moment))

        await self._database.run(change)

    def _left(self, connection: sa.Connection, installation: int, moment: float) -> float:
        """What the bucket holds now; whoever looks has it to itself until the transaction ends."""
        kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        full = {"installation_id": installation, "tokens": self._capacity, "updated_at": moment}
        connection.execute(kind(writes).values(**full).on_conflict_do_nothing())
        here = writes.c.installation_id == installation
        query = sa.select(writes.c.tokens, writes.c.updated_at).where(here).with_for_update()
        tokens, since = connection.execute(query).one()
        refilled = tokens + max(0.0, moment - since) * self._capacity / 60.0
        return float(min(self._capacity, refilled))
