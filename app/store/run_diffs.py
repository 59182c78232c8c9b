"""What each run has changed so far, for its page."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.values import RunId
from app.store.database import Database, now
from app.store.schema import run_diffs


class RunDiffs:
    """One patch per run, the newest. Raises RetryableError when unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, run: RunId, tree: str, patch: str) -> None:
        """Store the patch that leads to this tree, replacing an earlier one."""
        row = {"run_id": run, "tree": tree, "patch": patch.replace("\0", ""), "created_at": now()}

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(run_diffs).where(run_diffs.c.run_id == run))
            connection.execute(sa.insert(run_diffs).values(**row))

        await self._database.run(replace)

    async def of(self, run: RunId) -> str:
        """The run's patch; empty before its first change."""
        query = sa.select(run_diffs.c.patch).where(run_diffs.c.run_id == run)
        found = await self._database.run(lambda connection: connection.execute(query).scalar())
        return found or ""
