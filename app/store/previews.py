"""Where a commit can be tried, as its repository's CI or host last reported on GitHub."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from pydantic import ValidationError

from app.domain.preview import Preview
from app.store.database import Database, now
from app.store.runs import RunRow
from app.store.schema import previews


class PreviewStore:
    """Each method is one transaction. Raises RetryableError when the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self, repository_id: int, sha: str, found: Sequence[Preview], newest_status: int
    ) -> None:
        """Store a commit's previews as GitHub had them after the deployment status
        `newest_status`, unless newer ones are stored."""
        same = (previews.c.repository_id == repository_id) & (previews.c.sha == sha)
        older = same & (previews.c.newest_status <= newest_status)
        row = {
            "repository_id": repository_id,
            "sha": sha,
            "links": [each.model_dump(mode="json") for each in found],
            "newest_status": newest_status,
            "updated_at": now(),
        }

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(previews).where(older))
            if connection.execute(sa.select(previews.c.sha).where(same)).first() is None:
                connection.execute(sa.insert(previews).values(**row))

        await self._database.run(replace)

    async def of_run(self, row: RunRow) -> tuple[Preview, ...]:
        """The previews of the commit that a run published, or only verified."""
        trigger = row.input.trigger
        sha = row.published_sha or trigger.head_sha
        return await self.of_commit(trigger.repository_id, sha) if sha else ()

    async def of_commit(self, repository_id: int, sha: str) -> tuple[Preview, ...]:
        """The commit's previews by environment; empty when an older version wrote incompatible
        ones."""
        query = sa.select(previews.c.links).where(
            previews.c.repository_id == repository_id, previews.c.sha == sha
        )
        links = await self._database.run(
            lambda connection: connection.execute(query).scalar_one_or_none()
        )
        try:
            return tuple(Preview.recorded(each) for each in links or [])
        except ValidationError:
            return ()
