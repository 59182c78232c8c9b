"""Merges that are followed until their commit is in production, or the time is up."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.values import CommitSha, RepoName, Value
from app.store.database import Database, now
from app.store.schema import follows


class FollowedMerge(Value):
    """`sha` is the commit on the base branch. Times are Unix times; `seen` is the state that the
    last look found, if it may be final."""

    repository: RepoName
    repository_id: int
    installation_id: int
    number: int
    sha: CommitSha
    minutes: int
    until: float
    next_at: float
    seen: str = ""


class Follows:
    """Each method is one transaction. Raises RetryableError when the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, merge: FollowedMerge) -> None:
        """Follow a merge, unless that was begun before."""
        row = merge.model_dump() | {"repository": str(merge.repository)}
        put = self._database.insert(follows).values(**row, ended=False).on_conflict_do_nothing()
        await self._database.run(lambda connection: connection.execute(put))

    async def take_due(self, pause: float) -> list[FollowedMerge]:
        """Those to look at now, for this worker alone: the next look is `pause` seconds later."""
        moment = now()
        due = follows.c.ended.is_(False) & (follows.c.next_at <= moment)
        query = sa.select(follows).where(due).order_by(follows.c.next_at).limit(20)

        def take(connection: sa.Connection) -> list[FollowedMerge]:
            found = connection.execute(query).mappings().all()
            return [_merge(row) for row in found if _put_off(connection, row, moment + pause)]

        return await self._database.run(take)

    async def wake(self, repository_id: int, sha: str) -> None:
        """Look soon: something was reported about this commit."""
        change = (
            sa.update(follows)
            .where(follows.c.repository_id == repository_id, follows.c.sha == sha)
            .values(next_at=now())
        )
        await self._database.run(lambda connection: connection.execute(change))

    async def note(self, merge: FollowedMerge, seen: str, next_at: float) -> None:
        """Record what was seen, and when to look again."""
        await self._update(merge, seen=seen, next_at=next_at)

    async def end(self, merge: FollowedMerge) -> None:
        """Follow it no longer, however often it is reported again."""
        await self._update(merge, ended=True)

    async def _update(self, merge: FollowedMerge, **values: object) -> None:
        change = sa.update(follows).where(_is(merge.repository_id, merge.number)).values(**values)
        await self._database.run(lambda connection: connection.execute(change))


def _put_off(connection: sa.Connection, row: sa.RowMapping, until: float) -> bool:
    """Whether this worker was the first to take it."""
    same = _is(row["repository_id"], row["number"]) & (follows.c.next_at == row["next_at"])
    done = connection.execute(sa.update(follows).where(same).values(next_at=until))
    return done.rowcount == 1


def _is(repository_id: int, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(follows.c.repository_id == repository_id, follows.c.number == number)


def _merge(row: sa.RowMapping) -> FollowedMerge:
    values = {name: row[name] for name in FollowedMerge.model_fields}
    return FollowedMerge.model_validate(values | {"repository": RepoName.parse(row["repository"])})
