"""Verdicts that were posted on pull requests, and which of them people accepted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from app.domain.values import CommitSha, RepoName, RunId, Value
from app.domain.verdict import VerdictKind
from app.store.database import Database, now
from app.store.schema import acceptances, posted_verdicts


class PostedVerdict(Value):
    """The newest verdict on one commit of a pull request, as its check run shows it.

    `tree` and `base_tree` are what was compared; `base_tree` is empty if it is not known.
    `held_by` is a sentence that says why the pull request stays a draft even if a person accepts
    the verdict; empty if it does not. `unfinished`: the run ended before its work was done.
    """

    number: int
    sha: CommitSha
    tree: str
    base_tree: str
    run: RunId
    attempt: int
    check_run: int
    kind: VerdictKind
    title: str
    held_by: str = ""
    unfinished: bool = False


class Acceptance(Value):
    """Who accepted a commit's changed or removed tests."""

    number: int
    sha: CommitSha
    tree: str
    base_tree: str
    login: str
    account_id: int


class Acceptances:
    """Each method is one transaction. Raises RetryableError when the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def post(self, repo: RepoName, verdict: PostedVerdict) -> None:
        """Record a verdict, replacing an earlier one on the same commit."""
        row = _row(repo, verdict.number, verdict.sha) | {
            "tree": verdict.tree,
            "base_tree": verdict.base_tree,
            "run_id": verdict.run,
            "attempt": verdict.attempt,
            "check_run_id": verdict.check_run,
            "kind": verdict.kind.value,
            "title": verdict.title,
            "held_by": verdict.held_by,
            "unfinished": verdict.unfinished,
            "posted_at": now(),
        }
        same = _is(posted_verdicts, repo, verdict.number) & (
            posted_verdicts.c.commit_sha == verdict.sha
        )

        def replace(connection: sa.Connection) -> None:
            connection.execute(sa.delete(posted_verdicts).where(same))
            connection.execute(sa.insert(posted_verdicts).values(**row))

        await self._database.run(replace)

    async def newest(self, repo: RepoName, number: int) -> PostedVerdict | None:
        """The verdict that was posted last on the pull request."""
        query = (
            sa.select(posted_verdicts)
            .where(_is(posted_verdicts, repo, number))
            .order_by(posted_verdicts.c.posted_at.desc())
            .limit(1)
        )
        return await self._verdict(query)

    async def posted(self, repo: RepoName, number: int) -> list[PostedVerdict]:
        """The pull request's last verdicts, newest first: at most twenty."""
        query = (
            sa.select(posted_verdicts)
            .where(_is(posted_verdicts, repo, number))
            .order_by(posted_verdicts.c.posted_at.desc())
            .limit(20)
        )
        rows = await self._database.run(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [_verdict(row) for row in rows]

    async def of_commit(self, repo: RepoName, number: int, sha: CommitSha) -> PostedVerdict | None:
        """The verdict on one commit of the pull request."""
        query = sa.select(posted_verdicts).where(
            _is(posted_verdicts, repo, number), posted_verdicts.c.commit_sha == sha
        )
        return await self._verdict(query)

    async def accept(self, repo: RepoName, acceptance: Acceptance) -> Acceptance:
        """Store an acceptance; return the stored one, which may be an earlier person's."""
        row = _row(repo, acceptance.number, acceptance.sha) | {
            "tree": acceptance.tree,
            "base_tree": acceptance.base_tree,
            "login": acceptance.login,
            "account_id": acceptance.account_id,
            "accepted_at": now(),
        }
        put = self._database.insert(acceptances).values(**row).on_conflict_do_nothing()
        query = sa.select(acceptances).where(
            _is(acceptances, repo, acceptance.number), acceptances.c.commit_sha == acceptance.sha
        )

        def store(connection: sa.Connection) -> sa.RowMapping:
            connection.execute(put)
            return connection.execute(query).mappings().one()

        return _acceptance(await self._database.run(store))

    async def find(
        self, repo: RepoName, number: int, sha: str, tree: str, base_tree: str
    ) -> Acceptance | None:
        """The acceptance of this commit, or of another one with the same trees.

        A rebase or a retry may make the same trees again; then there is nothing new to accept. A
        commit whose base has another tree was not accepted: its tests may differ in other ways.
        """
        same_trees = sa.and_(acceptances.c.tree == tree, acceptances.c.base_tree != "")
        query = (
            sa.select(acceptances)
            .where(
                _is(acceptances, repo, number),
                acceptances.c.base_tree == base_tree,
                sa.or_(acceptances.c.commit_sha == sha, same_trees),
            )
            .order_by(acceptances.c.accepted_at)
            .limit(1)
        )
        found = await self._database.run(
            lambda connection: connection.execute(query).mappings().one_or_none()
        )
        return None if found is None else _acceptance(found)

    async def of_pull(self, repo: RepoName, number: int) -> list[Acceptance]:
        """Every acceptance on the pull request, oldest first."""
        query = (
            sa.select(acceptances)
            .where(_is(acceptances, repo, number))
            .order_by(acceptances.c.accepted_at)
        )
        rows = await self._database.run(
            lambda connection: connection.execute(query).mappings().all()
        )
        return [_acceptance(row) for row in rows]

    async def _verdict(self, query: sa.Select[Any]) -> PostedVerdict | None:
        found = await self._database.run(
            lambda connection: connection.execute(query).mappings().one_or_none()
        )
        return None if found is None else _verdict(found)


def _verdict(row: sa.RowMapping) -> PostedVerdict:
    return PostedVerdict(
        number=row["number"],
        sha=row["commit_sha"],
        tree=row["tree"],
        base_tree=row["base_tree"],
        run=row["run_id"],
        attempt=row["attempt"],
        check_run=row["check_run_id"],
        kind=VerdictKind(row["kind"]),
        title=row["title"],
        held_by=row["held_by"],
        unfinished=row["unfinished"],
    )


def _row(repo: RepoName, number: int, sha: CommitSha) -> dict[str, Any]:
    # In lower case: GitHub's names are, whatever their spelling.
    return {"repository": str(repo).lower(), "number": number, "commit_sha": sha}


def _is(table: sa.Table, repo: RepoName, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.repository == str(repo).lower(), table.c.number == number)


def _acceptance(row: sa.RowMapping) -> Acceptance:
    return Acceptance(
        number=row["number"],
        sha=row["commit_sha"],
        tree=row["tree"],
        base_tree=row["base_tree"],
        login=row["login"],
        account_id=row["account_id"],
    )
