"""Tests that are known to be flaky, by repository."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import sqlalchemy as sa

from app.domain.evidence import TestName
from app.domain.values import CommitSha, RepoName
from app.store.database import Database, now
from app.store.schema import flaky_tests

BASE = 0
"""The number under which the base's own code is recorded."""

_MAX_NOTED = 1_000


def noted_as(number: int, *, is_base: bool, on_branch: bool, fork: bool) -> int | None:
    """The number under which a cell's flaky tests are recorded; None if they are not.

    What is recorded excuses failures of other changes. So only code that people with write access
    have pushed counts: no fork's head, no base that is on no branch (such as an earlier entry of a
    merge queue), and no head without a number, which would count as the base.
    """
    if is_base:
        return BASE if on_branch else None
    return None if fork or number == BASE else number


class FlakyTests:
    """Each method is one short transaction. Raises RetryableError when unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, repo: RepoName, number: int, commit: CommitSha, seen: Collection[TestName]
    ) -> None:
        """Record tests that passed and failed on the commit of that issue or pull request."""
        if not seen:
            return
        rows = [
            {
                "repository": str(repo),
                "number": number,
                "test": _digest(each),
                "verifier": each.verifier,
                "name": each.id,
                "commit_sha": commit,
                "seen_at": now(),
            }
            for each in sorted(seen, key=lambda each: (each.verifier, each.id))[:_MAX_NOTED]
        ]

        def replace(connection: sa.Connection) -> None:
            connection.execute(
                sa.delete(flaky_tests).where(
                    flaky_tests.c.repository == str(repo),
                    flaky_tests.c.number == number,
                    flaky_tests.c.test.in_([row["test"] for row in rows]),
                )
            )
            connection.execute(sa.insert(flaky_tests), rows)

        await self._database.run(replace)

    async def known(self, repo: RepoName, *, but: int) -> tuple[TestName, ...]:
        """The tests that were flaky on the base, or in at least two issues or pull requests.

        A change could make a test flaky to excuse its failure, so results of `but`, the number of
        the change being judged, do not count.
        """
        where = [flaky_tests.c.repository == str(repo), flaky_tests.c.number != but]
        query = sa.select(
            flaky_tests.c.verifier,
            flaky_tests.c.name,
            sa.func.count(),
            sa.func.min(flaky_tests.c.number),
        )
        query = query.where(*where).group_by(flaky_tests.c.verifier, flaky_tests.c.name)
        rows = await self._database.run(lambda connection: connection.execute(query).all())
        return tuple(
            TestName(verifier=verifier, id=name)
            for verifier, name, count, least in rows
            if count >= 2 or least == BASE
        )


def _digest(test: TestName) -> str:
    return hashlib.sha256(f"{test.verifier}\0{test.id}".encode()).hexdigest()
