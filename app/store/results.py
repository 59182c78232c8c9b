"""Verification results, stored so that a base commit is verified only once."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.domain.values import CommitSha, RepoName, TreeSha
from app.store.database import Database, now
from app.store.schema import results


class ResultStore:
    """Results by repository, commit or tree, and environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(
        self, repo: RepoName, commit: CommitSha | TreeSha, environment: str
    ) -> dict[str, Any] | None:
        query = sa.select(results.c.results).where(
            results.c.repository == str(repo),
            results.c.commit_sha == commit,
            results.c.environment == environment,
        )
        return await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )

    async def put(
        self, repo: RepoName, commit: CommitSha | TreeSha, environment: str, value: dict[str, Any]
    ) -> None:
        """Store the results, replacing earlier ones."""
        key = {"repository": str(repo), "commit_sha": commit, "environment": environment}

        def replace(connection: sa.Connection) -> None:
            where = [results.c[name] == part for name, part in key.items()]
            connection.execute(sa.delete(results).where(*where))
            connection.execute(sa.insert(results).values(**key, results=value, created_at=now()))

        await self._database.run(replace)
