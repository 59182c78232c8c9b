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

CAPACITY = 60.0
PER_SECOND = 1.0


_DEEPEST = -CAPACITY
"""So far below nothing a bucket can be: it is never empty for longer than two minutes."""


class Writes:
    """The buckets, one for each installation.

    What can wait, or need not be said, asks with `take`; what has to be done is done, and `spend`
    tells of it afterwards.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = now) -> None:
        self._database = database
        self._clock = clock

    async def take(self, installation: int, *, keep_back: float = 0.0) -> bool:
        """Take one write out; False where no more than `keep_back` of them are left."""

        def change(connection: sa.Connection) -> bool:
            moment = self._clock()
            left = _left(connection, installation, moment)
            granted = left - 1 >= keep_back
            _set(connection, installation, left - 1 if granted else left, moment)
            return granted

        return await self._database.run(change)

    async def spend(self, installation: int, number: int) -> None:
        """So many writes were made that nobody asked for here."""

        def change(connection: sa.Connection) -> None:
            moment = self._clock()
            left = _left(connection, installation, moment) - number
            _set(connection, installation, max(_DEEPEST, left), moment)

        await self._database.run(change)


def _left(connection: sa.Connection, installation: int, moment: float) -> float:
    """What the bucket holds now; whoever looks has it to itself until the transaction ends."""
    kind = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    full = {"installation_id": installation, "tokens": CAPACITY, "updated_at": moment}
    connection.execute(kind(writes).values(**full).on_conflict_do_nothing())
    here = writes.c.installation_id == installation
    query = sa.select(writes.c.tokens, writes.c.updated_at).where(here).with_for_update()
    tokens, since = connection.execute(query).one()
    return float(min(CAPACITY, tokens + max(0.0, moment - since) * PER_SECOND))


def _set(connection: sa.Connection, installation: int, tokens: float, moment: float) -> None:
    here = writes.c.installation_id == installation
    change = sa.update(writes).where(here).values(tokens=tokens, updated_at=moment)
    connection.execute(change)
