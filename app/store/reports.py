"""How the last attempt of each run ended, kept for those who look at the run's page."""

from __future__ import annotations

import sqlalchemy as sa
from pydantic import ValidationError

from app.domain.report import (
    Report,
)
from app.domain.values import RunId
from app.store.database import Database
from app.store.schema import reports


class Reports:
    """One report a run: that of its last attempt that ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, run: RunId, attempt: int, report: Report) -> None:
        """Keep how this attempt ended, in place of an earlier one."""
        row = {"run_id": run, "attempt": attempt, "report": report.model_dump(mode="json")}

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(reports).where(reports.c.run_id == run))
            connection.execute(sa.insert(reports).values(**row))

        await self._database.run(replace)

    async def of(self, run: RunId, attempt: int) -> Report | None:
        """How this attempt ended; None while it has not, or where an older Honk wrote it down."""
        query = sa.select(reports.c.report).where(
            reports.c.run_id == run, reports.c.attempt == attempt
        )
        found = await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )
        try:
            return None if found is None else Report.recorded(found)
        except ValidationError:
            return None
