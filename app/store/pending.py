"""Accepted requests that could not be handled yet, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import sqlalchemy as sa

from app.domain.pending import Cause, wait_before
from app.store.database import Database, now
from app.store.schema import pending

Kind = Literal["intake", "signal"]

_RETRY_LEASE_SECONDS = 3600.0
"""How long a retry may take before the request counts as due again, in case the retry was lost."""


@dataclass(frozen=True)
class Request:
    """A request as it was accepted. `subject` is for people and may be empty."""

    id: str
    kind: Kind
    installation_id: int
    subject: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Pending:
    """A pending request. `tries` counts its retries; `told` is whether the requester was notified;
    `since` is in seconds since 1970."""

    request: Request
    cause: Cause
    reason: str
    tries: int
    told: bool
    since: float


@dataclass(frozen=True)
class PendingCount:
    """How many requests wait for one cause, and the oldest one's time, subject and reason."""

    cause: Cause
    number: int
    since: float
    subject: str
    reason: str


class PendingRequests:
    """Each method is one transaction. Raises RetryableError when the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, request: Request, cause: Cause, reason: str, *, told: bool) -> None:
        """Store a pending request, or schedule the next retry after one that failed."""

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
        """Requests that are due for a retry, oldest first."""
        query = sa.select(pending).where(pending.c.next_at <= now())
        query = query.order_by(pending.c.since).limit(limit)
        return [
            _pending(row)
            for row in await self._database.run(lambda connection: connection.execute(query).all())
        ]

    async def mark_retried(self, id: str) -> None:
        """Record that a retry starts now."""
        change = sa.update(pending).where(pending.c.id == id)
        change = change.values(tries=pending.c.tries + 1, next_at=now() + _RETRY_LEASE_SECONDS)
        await self._database.run(lambda connection: connection.execute(change))

    async def has_pending_label(self, request: Request) -> bool:
        """Whether another label request for this subject is pending: adding the label again asks
        for the same thing."""
        others = sa.and_(
            pending.c.subject == request.subject,
            pending.c.id != request.id,
            pending.c.id.startswith("label:"),
        )
        query = sa.select(pending.c.id).where(others).limit(1)
        found = await self._database.run(lambda connection: connection.execute(query).first())
        return found is not None

    async def forget(self, id: str) -> None:
        """Delete a request that was handled, answered or given up."""
        gone = sa.delete(pending).where(pending.c.id == id)
        await self._database.run(lambda connection: connection.execute(gone))

    async def wake(self, installation_id: int | None = None) -> None:
        """Make all pending requests due now, or those of one installation."""
        # Leave requests alone whose retry is running: they must not run twice at once.
        is_waiting = pending.c.next_at < now() + _RETRY_LEASE_SECONDS / 2
        change = sa.update(pending).where(is_waiting).values(next_at=now())
        if installation_id is not None:
            change = change.where(pending.c.installation_id == installation_id)
        await self._database.run(lambda connection: connection.execute(change))


def pending_counts(connection: sa.Connection) -> Sequence[PendingCount]:
    """The pending requests, counted by cause."""
    query = sa.select(pending).order_by(pending.c.since)
    found: dict[Cause, list[sa.Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.cause, []).append(row)
    return [
        PendingCount(cause, len(rows), rows[0].since, rows[0].subject, rows[0].reason)
        for cause, rows in found.items()
    ]


def _pending(row: sa.Row[Any]) -> Pending:
    request = Request(row.id, row.kind, row.installation_id, row.subject, row.payload)
    return Pending(request, row.cause, row.reason, row.tries, row.told, row.since)
