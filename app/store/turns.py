"""The transcript of each run; a turn is recorded before the next one begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from app.domain.values import RunId
from app.store import totals
from app.store.database import Database, now
from app.store.schema import runs, turns


class Turns:
    """The turns of one run."""

    def __init__(self, database: Database, run: RunId) -> None:
        self._database = database
        self._run = run

    async def load(self) -> list[dict[str, Any]]:
        """All records in order."""
        query = sa.select(turns.c.record).where(turns.c.run_id == self._run).order_by(turns.c.seq)
        return await self._database.run(
            lambda connection: list(connection.execute(query).scalars().all())
        )

    async def stored(
        self, *, after: int = -1, limit: int | None = None
    ) -> list[tuple[dict[str, Any], float]]:
        """The records of turns after `after`, in order, each with when it was stored (Unix)."""
        query = (
            sa.select(turns.c.record, turns.c.created_at)
            .where(turns.c.run_id == self._run, turns.c.seq > after)
            .order_by(turns.c.seq)
            .limit(limit)
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [(row.record, float(row.created_at)) for row in rows]

    async def window(
        self, limit: int, *, before: int | None = None
    ) -> list[tuple[dict[str, Any], float]]:
        """The last `limit` records, or the last before turn `before`, as `stored`."""
        query = sa.select(turns.c.record, turns.c.created_at).where(turns.c.run_id == self._run)
        if before is not None:
            query = query.where(turns.c.seq < before)
        query = query.order_by(turns.c.seq.desc()).limit(limit)
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [(row.record, float(row.created_at)) for row in reversed(rows)]

    async def cost(self, *, after: int, until: int) -> float:
        """US dollars for the turns after `after`, up to `until`."""
        query = sa.select(sa.func.coalesce(sa.func.sum(turns.c.cost_usd), 0.0)).where(
            turns.c.run_id == self._run, turns.c.seq > after, turns.c.seq <= until
        )
        return float(
            await self._database.run(lambda connection: connection.execute(query).scalar_one())
        )

    async def read_messages(self, after: int) -> tuple[frozenset[str], float]:
        """The ids of people's messages in the turns after `after`, and when the first of these
        turns was stored (Unix); 0 if they are all turns of the run."""
        query = sa.select(
            turns.c.record["usage"]["feedback_id"].as_string().label("message"),
            turns.c.created_at,
        ).where(turns.c.run_id == self._run, turns.c.seq > after)
        rows = await self._database.run(
            lambda connection: connection.execute(query.order_by(turns.c.seq)).all()
        )
        since = float(rows[0].created_at) if rows and after >= 0 else 0.0
        return frozenset(row.message for row in rows if row.message), since

    async def stored_at(self, seq: int) -> float | None:
        """When a turn was stored (Unix); None without such a turn."""
        query = sa.select(turns.c.created_at).where(turns.c.run_id == self._run, turns.c.seq == seq)
        return await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )

    async def record(
        self,
        seq: int,
        record: dict[str, Any],
        *,
        cost_usd: float,
        snapshot: str | None,
        by_model: bool,
        tokens: Mapping[str, int] | None = None,
    ) -> None:
        """Record one turn. Recording the same `seq` again changes nothing and costs nothing.

        `tokens`, counted by kind, are added to the totals.
        """

        def insert(connection: sa.Connection) -> None:
            here = (turns.c.run_id == self._run, turns.c.seq == seq)
            if connection.execute(sa.select(turns.c.seq).where(*here)).first():
                return
            connection.execute(
                sa.insert(turns).values(
                    run_id=self._run,
                    seq=seq,
                    record=record,
                    cost_usd=cost_usd,
                    snapshot=snapshot,
                    created_at=now(),
                )
            )
            connection.execute(
                sa.update(runs)
                .where(runs.c.id == self._run)
                .values(
                    cost_usd=runs.c.cost_usd + cost_usd,
                    model_turns=runs.c.model_turns + int(by_model),
                    tokens=runs.c.tokens + sum((tokens or {}).values()),
                )
            )
            used = {(totals.TOKENS, kind): float(number) for kind, number in (tokens or {}).items()}
            spent = {(totals.MONEY, ""): cost_usd, (totals.MODEL_TURNS, ""): float(by_model)}
            totals.add(connection, {**used, **spent})

        await self._database.run(insert)

    async def last_snapshot(self, *, after: int | None = None) -> str | None:
        """The work tree after the last turn with a snapshot, only counting turns after `after`."""
        query = (
            sa.select(turns.c.snapshot)
            .where(
                turns.c.run_id == self._run,
                turns.c.snapshot.is_not(None),
                turns.c.seq > (-1 if after is None else after),
            )
            .order_by(turns.c.seq.desc())
            .limit(1)
        )
        return await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )

    async def rewind_to(self, snapshot: str, *, after: int | None = None) -> int:
        """Delete the turns after the last one with this snapshot; return how many.

        When no turn has it, delete from the first turn that changed the work tree. Turns up to
        `after` are never deleted. The money stays spent.
        """

        def forget(connection: sa.Connection) -> int:
            floor = -1 if after is None else after
            mine = sa.and_(turns.c.run_id == self._run, turns.c.seq > floor)
            kept = sa.select(sa.func.max(turns.c.seq)).where(mine, turns.c.snapshot == snapshot)
            last = connection.execute(kept).scalar()
            if last is None:
                changed = sa.select(sa.func.min(turns.c.seq)).where(
                    mine, turns.c.snapshot.is_not(None)
                )
                first = connection.execute(changed).scalar()
                # Also delete the model's turn whose tools made the change, so that they run again.
                last = floor if first is None else max(0, floor, first - 2)
            gone = connection.execute(sa.delete(turns).where(mine, turns.c.seq > last))
            return gone.rowcount

        return await self._database.run(forget)

    async def last(self) -> int:
        """The number of the last turn; -1 before the first."""
        query = sa.select(sa.func.max(turns.c.seq)).where(turns.c.run_id == self._run)
        found = await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )
        return -1 if found is None else int(found)
