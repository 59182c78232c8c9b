"""Accepted requests that wait to be taken in, with what keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa

from app.domain.pending import Cause, wait_before
from app.store.database import Database, now
from app.store.schema import pending

Kind = Literal["intake", "signal"]

_UNDER_WAY_SECONDS = 3600.0
"""What is being tried is tried again after this, should its try have come to nothing."""


@dataclass(frozen=True)
class Request:
    """One request, as it was accepted. `subject` is for people and may be empty."""

    id: str
    kind: Kind
    installation_id: int
    subject: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Pending:
    """One that waits. `tries` is how often it was tried again; `told` is whether its requester
    knows; `since` is in seconds since 1970."""

    request: Request
    cause: Cause
    reason: str
    tries: int
    told: bool
    since: float


@dataclass(frozen=True)
class Waiting:
    """How many wait for one cause, since when the oldest does, and what was said of that one."""

    cause: Cause
    number: int
    since: float
    subject: str
    reason: str


class PendingRequests:
    """Each method is one transaction. Raises RetryableError when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, request: Request, cause: Cause, reason: str, *, told: bool) -> None:
        """Let a request wait, or wait on after a try that was in vain."""

        def change(connection: sa.Connection) -> None:
            mine = pending.c.id == request.id
            tries = connection.execute(sa.select(pending.c.tries).where(mine)).scalar()
            values: dict[str, Any] = {"cause": cause, "reason": reason[:1000]}
            values |= {"next_at": now() + wait_before(tries or 0), "told": told}
            if tries is not None:
                connection.execute(sa.update(pending).where(mine).values(**values))
                return
            row = {**asdict(request), **values, "tries": 0, "since": now()}
            connection.execute(sa.insert(pending).values(**row))

        await self._database.run(change)

    async def find(self, id: str) -> Pending | None:
        query = sa.select(pending).where(pending.c.id == id)
        row = await self._database.run(lambda connection: connection.execute(query).first())
        return _pending(row) if row else None

    async def due(self, limit: int) -> list[Pending]:
        """What is to be tried now, the oldest first."""
        query = sa.select(pending).where(pending.c.next_at <= now())
        query = query.order_by(pending.c.since).limit(limit)
        return [
            _pending(row)
            for row in await self._database.run(lambda connection: connection.execute(query).all())
        ]

    async def tries(self, id: str) -> None:
        """It is tried now."""
        change = sa.update(pending).where(pending.c.id == id)
        change = change.values(tries=pending.c.tries + 1, next_at=now() + _UNDER_WAY_SECONDS)
        await self._database.run(lambda connection: connection.execute(change))

    async def another_label(self, request: Request) -> bool:
        """Whether the subject's label waits already: put on again, it asks for the same."""
        others = sa.and_(
            pending.c.subject == request.subject,
            pending.c.id != request.id,
            pending.c.id.startswith("label:"),
        )
        query = sa.select(pending.c.id).where(others).limit(1)
        found = await self._database.run(lambda connection: connection.execute(query).first())
        return found is not None

    async def forget(self, id: str) -> None:
        """It was taken in, answered, or given up."""
        gone = sa.delete(pending).where(pending.c.id == id)
        await self._database.run(lambda connection: connection.execute(gone))

    async def wake(self, installation_id: int | None = None) -> None:
        """Try everything that waits now, or everything of one installation."""
        # What is under way keeps its time: it is not to be tried twice at once.
        waits = pending.c.next_at < now() + _UNDER_WAY_SECONDS / 2
        change = sa.update(pending).where(waits).values(next_at=now())
        if installation_id is not None:
            change = change.where(pending.c.installation_id == installation_id)
        await self._database.run(lambda connection: connection.execute(change))


def waiting(connection: sa.Connection) -> Sequence[Waiting]:
    """What waits, by cause."""
    query = sa.select(pending).order_by(pending.c.since)
    found: dict[Cause, list[sa.Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.cause, []).append(row)
    return [
        Waiting(cause, len(rows), rows[0].since, rows[0].subject, rows[0].reason)
        for cause, rows in found.items()
    ]


def _pending(row: sa.Row[Any]) -> Pending:
    request = Request(row.id, row.kind, row.installation_id, row.subject, row.payload)
    return Pending(request, row.cause, row.reason, row.tries, row.told, row.since)
