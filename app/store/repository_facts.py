"""What is known about one repository, for its page."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.domain.evidence import TestName
from app.domain.values import Value
from app.store.database import Database
from app.store.runs import RunRow
from app.store.schema import flaky_tests, results, runs

_FLAKY_SHOWN = 50
_RUNS_SEARCHED = 20


class FlakyTest(Value):
    """A test that passed and failed on the same commit; `number` is 0 on the base's code."""

    name: TestName
    number: int
    seen_at: float


class RepositoryFacts:
    """Every method is one transaction. Raises RetryableError when unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_run(self, repository: str) -> RunRow | None:
        """The repository's newest run; names are compared case-insensitively."""
        spelled = sa.select(runs.c.repository).where(
            sa.func.lower(runs.c.repository) == repository.lower()
        )

        def read(connection: sa.Connection) -> RunRow | None:
            name = connection.execute(spelled.limit(1)).scalar()
            mine = sa.select(runs).where(runs.c.repository == name)
            newest = mine.order_by(runs.c.created_at.desc()).limit(1)
            row = connection.execute(newest).mappings().first()
            return None if row is None else RunRow.recorded(dict(row))

        return await self._database.run(read)

    async def last_setup(self, repository: str) -> dict[str, Any] | None:
        """The setup outcome of the newest run that recorded one, among the last runs."""
        last = (
            sa.select(runs.c.setup_outcome, runs.c.created_at)
            .where(runs.c.repository == repository)
            .order_by(runs.c.created_at.desc())
            .limit(_RUNS_SEARCHED)
            .subquery()
        )
        query = sa.select(last.c.setup_outcome).order_by(last.c.created_at.desc())
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return next((row.setup_outcome for row in rows if row.setup_outcome), None)

    async def last_results(self, repository: str) -> tuple[str, dict[str, Any]] | None:
        """The commit and the results of the newest verification."""
        query = (
            sa.select(results.c.commit_sha, results.c.results)
            .where(results.c.repository == repository)
            .order_by(results.c.created_at.desc())
            .limit(1)
        )
        row = await self._database.run(lambda connection: connection.execute(query).first())
        return None if row is None else (row.commit_sha, row.results)

    async def flaky(self, repository: str) -> list[FlakyTest]:
        """The tests that were seen to be flaky, the latest first."""
        query = (
            sa.select(flaky_tests)
            .where(flaky_tests.c.repository == repository)
            .order_by(flaky_tests.c.seen_at.desc())
            .limit(_FLAKY_SHOWN)
        )
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return [
            FlakyTest(
                name=TestName(verifier=row.verifier, id=row.name),
                number=row.number,
                seen_at=row.seen_at,
            )
            for row in rows
        ]
