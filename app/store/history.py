"""Deleting old history: runs that ended long ago, and everything that belongs to them."""

from __future__ import annotations

import sqlalchemy as sa

from app.store.database import Database
from app.store.schema import (
    acceptances,
    flaky_tests,
    follows,
    images,
    marks,
    merges,
    messages,
    posted_verdicts,
    previews,
    results,
    runs,
    slack_posts,
    slack_threads,
    turns,
    writes,
)

_BATCH_SIZE = 200
"""Runs deleted per transaction; small, so that other writers don't wait long."""


class History:
    """Each method runs a few short transactions. Raises RetryableError when unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(self, before: float) -> int:
        """Delete runs that ended before then (Unix time), and old results; return how many runs."""
        total = 0
        while True:
            deleted = await self._database.run(lambda connection: _forget_batch(connection, before))
            total += deleted
            if deleted < _BATCH_SIZE:
                break
        await self._database.run(lambda connection: _forget_shared_rows(connection, before))
        return total

    async def marked(self, name: str) -> float:
        """When the named task was last done (Unix time); 0 when it never was."""
        query = sa.select(marks.c.at).where(marks.c.name == name)
        found = await self._database.run(lambda connection: connection.execute(query).scalar())
        return float(found or 0.0)

    async def mark(self, name: str, at: float) -> None:
        """Record when the named task was done."""

        def change(connection: sa.Connection) -> None:
            connection.execute(sa.delete(marks).where(marks.c.name == name))
            connection.execute(sa.insert(marks).values(name=name, at=at))

        await self._database.run(change)


def _forget_batch(connection: sa.Connection, before: float) -> int:
    # A run ends after it was created, so the index on created_at finds the candidates.
    old = sa.and_(runs.c.created_at < before, runs.c.finished_at < before)
    chosen = sa.select(runs.c.id).where(old).order_by(runs.c.created_at).limit(_BATCH_SIZE)
    ids = list(connection.execute(chosen).scalars())
    for table in (turns, messages, images):
        connection.execute(sa.delete(table).where(table.c.run_id.in_(ids)))
    connection.execute(sa.delete(runs).where(runs.c.id.in_(ids)))
    return len(ids)


def _forget_shared_rows(connection: sa.Connection, before: float) -> None:
    connection.execute(sa.delete(results).where(results.c.created_at < before))
    connection.execute(sa.delete(posted_verdicts).where(posted_verdicts.c.posted_at < before))
    connection.execute(sa.delete(acceptances).where(acceptances.c.accepted_at < before))
    connection.execute(sa.delete(previews).where(previews.c.updated_at < before))
    connection.execute(sa.delete(flaky_tests).where(flaky_tests.c.seen_at < before))
    connection.execute(sa.delete(follows).where(follows.c.until < before))
    connection.execute(sa.delete(merges).where(merges.c.changed_at < before))
    connection.execute(sa.delete(slack_posts).where(slack_posts.c.posted_at < before))
    has_run = sa.exists().where(
        runs.c.subject.in_([slack_threads.c.subject, slack_threads.c.pull_subject])
    )
    old_thread = sa.and_(slack_threads.c.created_at < before, ~has_run)
    connection.execute(sa.delete(slack_threads).where(old_thread))
    # A write budget untouched for this long is full, like a new one.
    connection.execute(sa.delete(writes).where(writes.c.updated_at < before))
