"""Requests to merge pull requests: one at a time for each, and the result of the last one."""

from __future__ import annotations

from typing import Literal

import sqlalchemy as sa

from app.domain.trigger import Trigger
from app.domain.values import CommitSha, Value
from app.store.database import Database, now
from app.store.schema import merges

MergeRequestState = Literal["asked", "auto", "queued", "merged"]

_ABANDONED_SECONDS = 600.0
"""A request whose worker died and that was not retried no longer blocks others after this."""
_SAME_SECONDS = 30.0
"""A request so soon after one that was answered is about the same thing: a second tap."""


class MergeRequest(Value):
    """The last request to merge a pull request. "asked": it is being handled; "auto": Honk has
    turned GitHub's auto-merge on for `sha`; "queued": it was put in the merge queue."""

    number: int
    sha: CommitSha
    state: MergeRequestState
    trigger: str


class Merges:
    """Each method is one transaction. Raises RetryableError when the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, trigger: Trigger, number: int, sha: CommitSha
    ) -> Literal["new", "again", "taken"]:
        """Claim the pull request for this request. "again": it did so before, and may have merged.

        "taken": another request is being handled, or was answered a moment before this one.
        """
        asked_at = trigger.asked_at.timestamp()
        row = {
            "repository_id": trigger.repository_id,
            "number": number,
            "commit_sha": sha,
            "state": "asked",
            "trigger_id": trigger.id,
            "asked_at": asked_at,
            "changed_at": now(),
        }
        is_free = sa.or_(
            sa.and_(merges.c.state == "asked", merges.c.changed_at < now() - _ABANDONED_SECONDS),
            sa.and_(
                merges.c.state != "asked",
                sa.or_(merges.c.commit_sha != sha, merges.c.asked_at < asked_at - _SAME_SECONDS),
            ),
        )
        put = self._database.insert(merges).values(**row)
        put = put.on_conflict_do_update(
            index_elements=["repository_id", "number"], set_=row, where=is_free
        )
        query = sa.select(merges).where(_is(trigger.repository_id, number))

        def take(connection: sa.Connection) -> Literal["new", "again", "taken"]:
            before = connection.execute(query).mappings().one_or_none()
            if before is not None and before["trigger_id"] == trigger.id:
                return "again"
            connection.execute(put)
            after = connection.execute(query).mappings().one()
            return "new" if after["trigger_id"] == trigger.id else "taken"

        return await self._database.run(take)

    async def note(self, trigger: Trigger, number: int, state: MergeRequestState) -> None:
        """Record the result of this request, if it is still the last one."""
        change = (
            sa.update(merges)
            .where(_is(trigger.repository_id, number), merges.c.trigger_id == trigger.id)
            .values(state=state, changed_at=now())
        )
        await self._database.run(lambda connection: connection.execute(change))

    async def release(self, trigger: Trigger, number: int) -> None:
        """Forget this request: nothing was merged."""
        gone = sa.delete(merges).where(
            _is(trigger.repository_id, number), merges.c.trigger_id == trigger.id
        )
        await self._database.run(lambda connection: connection.execute(gone))

    async def of_pull(self, repository_id: int, number: int) -> MergeRequest | None:
        """The last request about a pull request."""
        query = sa.select(merges).where(_is(repository_id, number))
        found = await self._database.run(
            lambda connection: connection.execute(query).mappings().one_or_none()
        )
        if found is None:
            return None
        return MergeRequest(
            number=found["number"],
            sha=found["commit_sha"],
            state=found["state"],
            trigger=found["trigger_id"],
        )

    async def forget(self, repository_id: int, number: int, trigger: str) -> None:
        """Forget a request that no longer holds, unless a newer one has replaced it."""
        gone = sa.delete(merges).where(_is(repository_id, number), merges.c.trigger_id == trigger)
        await self._database.run(lambda connection: connection.execute(gone))


def _is(repository_id: int, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(merges.c.repository_id == repository_id, merges.c.number == number)
