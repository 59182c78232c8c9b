"""Reading a recorded run for an export."""

from __future__ import annotations

from app.domain.atif import ExportedRun
from app.domain.transcript import read_turn
from app.errors import UserError
from app.store.database import Database
from app.store.reports import Reports
from app.store.runs import RunRow
from app.store.turns import Turns


async def exported_run(database: Database, row: RunRow) -> ExportedRun:
    """Everything recorded about a run. Raises UserError before its first turn."""
    turns = [read_turn(record, at) for record, at in await Turns(database, row.id).stored()]
    if not turns:
        raise UserError(
            f"The run {row.id} has no turns of a model, so there is nothing to export.",
            next_step=f"honk runs show {row.id} shows what it did.",
        )
    return ExportedRun(
        run=row.input,
        attempt=row.attempt,
        outcome=row.outcome,
        base_sha=row.base_sha,
        commit_sha=row.published_sha,
        pull_url=row.pull_url,
        cost_usd=row.cost_usd,
        created_at=row.created_at,
        finished_at=row.finished_at,
        report=await Reports(database).of(row.id, row.attempt),
        turns=tuple(turns),
    )
