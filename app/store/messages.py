"""Messages from people to a live run, in order. The transcript records which were read."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.values import RunId, Value
from app.store.database import Database, now
from app.store.schema import messages


class Message(Value):
    """A person's message. `id` is the trigger's id."""

    id: str
    author: str
    text: str


class StoredMessage(Message):
    """A message and when it was stored, in seconds since 1970, UTC."""

    created_at: float


class Messages:
    """Messages to runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, run: RunId, message: Message) -> None:
        """Store a message; adding the same one again has no effect."""
        row = {**message.model_dump(), "run_id": run, "created_at": now()}
        insert = self._database.insert(messages).values(**row).on_conflict_do_nothing()
        await self._database.run(lambda connection: connection.execute(insert))

    async def of(self, run: RunId) -> list[StoredMessage]:
        """Every message of the run, oldest first."""
        query = (
            sa.select(*(messages.c[name] for name in StoredMessage.model_fields))
            .where(messages.c.run_id == run)
            .order_by(messages.c.created_at, messages.c.id)
        )
        rows = await self._database.run(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [StoredMessage.recorded(dict(row)) for row in rows]
