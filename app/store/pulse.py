"""The signs that something about a run has changed, in one small query."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.run import Outcome, Phase
from app.domain.values import RunId, Value
from app.store.database import Database
from app.store.schema import messages, run_diffs, runs, turns


class Pulse(Value):
    """A run at one moment. `last_seq` is the last turn's number (-1 before the first) and
    `last_at` when it was stored; `known_at` is when the turn asked about was stored."""

    attempt: int
    phase: Phase
    outcome: Outcome | None
    finished_at: float | None
    updated_at: float
    stop_asked_at: float | None
    cost_usd: float
    model_turns: int
    newest: str
    messages: int
    diff_at: float
    last_seq: int
    last_at: float
    known_at: float


async def pulse_of(database: Database, run: RunId, known: int) -> Pulse | None:
    """The run's pulse, asking about turn `known`; None without such a run."""
    columns = [runs.c[name] for name in Pulse.model_fields if name in runs.c]
    mine = turns.c.run_id == run
    last = sa.select(sa.func.max(turns.c.seq)).where(mine).scalar_subquery()
    others = runs.alias()
    newest = (
        sa.select(others.c.id)
        .where(others.c.subject == runs.c.subject)
        .order_by(others.c.created_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    diff = sa.select(run_diffs.c.created_at).where(run_diffs.c.run_id == run).scalar_subquery()
    said = sa.select(sa.func.count()).where(messages.c.run_id == run).scalar_subquery()

    def stored_at(seq: sa.ColumnElement[int] | int) -> sa.ColumnElement[float]:
        found = sa.select(turns.c.created_at).where(mine, turns.c.seq == seq)
        return sa.func.coalesce(found.scalar_subquery(), 0.0)

    query = sa.select(
        *columns,
        newest.label("newest"),
        said.label("messages"),
        sa.func.coalesce(diff, 0.0).label("diff_at"),
        sa.func.coalesce(last, -1).label("last_seq"),
        stored_at(last).label("last_at"),
        stored_at(known).label("known_at"),
    ).where(runs.c.id == run)
    row = await database.run(lambda connection: connection.execute(query).mappings().first())
    return None if row is None else Pulse.model_validate(dict(row))
