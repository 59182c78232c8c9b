"""How much an installation may still write, shared by every worker.

GitHub lets an installation create 80 pieces of content a minute, and edits count too
(https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api). One bucket keeps
all workers together below that.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from app.store.database import Database, now
from app.store.schema import writes

CAPACITY = 60.0
PER_SECOND = 1.0


class Writes:
    """The buckets, one for each installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, installation: int, *, keep_back: float = 0.0) -> bool:
        """Take one write out; False where no more than `keep_back` of them are left."""

        def change(connection: sa.Connection) -> bool:
            moment = now()
            kind = sqlite.insert if self._database.is_sqlite else postgresql.insert
            full = {"installation_id": installation, "tokens": CAPACITY, "updated_at": moment}
            connection.execute(kind(writes).values(**full).on_conflict_do_nothing())
            here = writes.c.installation_id == installation
            query = sa.select(writes.c.tokens, writes.c.updated_at).where(here).with_for_update()
            tokens, since = connection.execute(query).one()
            left = min(CAPACITY, tokens + max(0.0, moment - since) * PER_SECOND)
            granted = left - 1 >= keep_back
            change = {"tokens": left - 1 if granted else left, "updated_at": moment}
            connection.execute(sa.update(writes).where(here).values(**change))
            return bool(granted)

        return await self._database.run(change)
