"""What runs cost and achieved, by repository, model and engine; never by person."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.run import Outcome
from app.domain.values import Value
from app.store.database import Database
from app.store.schema import runs

WEEK_SECONDS = 7 * 86_400

_COUNTED = (
    *("outcome", "cost_usd", "tokens", "pull_number"),
    *("merged_at", "reviewed_at", "finished_at"),
)
_GOOD = (Outcome.DONE.value, Outcome.ANSWERED.value)


class UsageRow(Value):
    """Runs of one repository, model, engine and week, counted from 0 at `since`.

    `pulls` are runs that published to a pull request, `review_seconds` the sum of the times from
    the end of a run to the first review, over `reviewed` runs.
    """

    repository: str
    repository_id: int
    model: str
    engine: str
    week: int
    runs: int
    succeeded: int
    usd: float
    tokens: int
    pulls: int
    merged: int
    reviewed: int
    review_seconds: float


async def usage_since(database: Database, since: float) -> list[UsageRow]:
    """The ended runs that were created since then (Unix). Raises RetryableError."""
    trigger = runs.c.input["trigger"]
    seconds = sa.cast(runs.c.created_at, sa.BigInteger) - int(since)
    each = (
        sa.select(
            runs.c.repository,
            sa.cast(trigger["repository_id"].as_string(), sa.BigInteger).label("repository_id"),
            runs.c.input["model"].as_string().label("model"),
            runs.c.input["engine"].as_string().label("engine"),
            (seconds // WEEK_SECONDS).label("week"),
            *(runs.c[name] for name in _COUNTED),
        )
        .where(
            runs.c.created_at >= since,
            runs.c.finished_at.is_not(None),
            trigger["kind"].as_string() != "check",
        )
        .subquery()
    )
    keys = [each.c[name] for name in ("repository", "repository_id", "model", "engine", "week")]
    waited = each.c.reviewed_at - each.c.finished_at
    query = sa.select(
        *keys,
        sa.func.count().label("runs"),
        _count(each.c.outcome.in_(_GOOD)).label("succeeded"),
        sa.func.sum(each.c.cost_usd).label("usd"),
        sa.func.sum(each.c.tokens).label("tokens"),
        _count(each.c.pull_number.is_not(None)).label("pulls"),
        _count(each.c.merged_at.is_not(None)).label("merged"),
        _count(waited > 0).label("reviewed"),
        sa.func.sum(sa.case((waited > 0, waited), else_=0.0)).label("review_seconds"),
    ).group_by(*keys)
    rows = await database.run(lambda connection: connection.execute(query).mappings().all())
    return [UsageRow.model_validate(dict(row)) for row in rows]


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)
