"""GitHub's write limit per installation, shared by every worker.

GitHub lets an installation create 80 pieces of content a minute, and edits count too
(https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api). One token bucket
per installation keeps all workers together below that.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa

from app.store.database import Database, insert_into, now
from app.store.schema import writes

PER_MINUTE = 60


class Writes:
    """Token buckets, one per installation, each holding a minute's writes.

    Optional or deferrable writes call `allow` first; every write is reported afterward with
    `spend`. A bucket recovers within two minutes at most.
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
        """Whether one more write is allowed while `keep_back`, a share of a minute's writes, stays
        free."""

        def check(connection: sa.Connection) -> bool:
            left = self._left(connection, installation, self._clock())
            return left - 1 >= keep_back * self._capacity

        return await self._database.run(check)

    async def spend(self, installation: int, number: int) -> None:
        """Subtract writes that were made."""

        def change(connection: sa.Connection) -> None:
            moment = self._clock()
            left = max(-self._capacity, self._left(connection, installation, moment) - number)
            here = writes.c.installation_id == installation
            connection.execute(sa.update(writes).where(here).values(tokens=left, updated_at=moment))

        await self._database.run(change)

    def _left(self, connection: sa.Connection, installation: int, moment: float) -> float:
        """The bucket's current level; the row stays locked until the transaction ends."""
        full = {"installation_id": installation, "tokens": self._capacity, "updated_at": moment}
        connection.execute(insert_into(connection, writes).values(**full).on_conflict_do_nothing())
        here = writes.c.installation_id == installation
        query = sa.select(writes.c.tokens, writes.c.updated_at).where(here).with_for_update()
        tokens, since = connection.execute(query).one()
        refilled = tokens + max(0.0, moment - since) * self._capacity / 60.0
        return float(min(self._capacity, refilled))
