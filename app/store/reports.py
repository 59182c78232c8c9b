"""The report of each run's last attempt, for the run's page."""

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
    """One report per run: that of the last attempt that ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, run: RunId, attempt: int, report: Report) -> None:
        """Store an attempt's report, replacing an earlier one."""
        row = {"run_id": run, "attempt": attempt, "report": report.model_dump(mode="json")}

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(reports).where(reports.c.run_id == run))
            connection.execute(sa.insert(reports).values(**row))

        await self._database.run(replace)

    async def of(self, run: RunId, attempt: int) -> Report | None:
        """The attempt's report; None before it ends, or when an older version wrote an incompatible
        one."""
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
