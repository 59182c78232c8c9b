"""Which verdict a person accepted, and for which commits that counts."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app.domain.values import CommitSha, RepoName, RunId
from app.domain.verdict import VerdictKind
from app.store.acceptances import Acceptance, Acceptances, PostedVerdict
from app.store.database import Database
from app.store.history import History
from app.store.schema import acceptances, posted_verdicts

REPO = RepoName.parse("Acme/shop")
SHA, OTHER = CommitSha("a" * 40), CommitSha("b" * 40)
TREE, BASE = "1" * 40, "2" * 40


def _verdict(sha: CommitSha, title: str = "Please confirm: x") -> PostedVerdict:
    return PostedVerdict(
        number=3,
        sha=sha,
        tree=TREE,
        base_tree=BASE,
        run=RunId("run"),
        attempt=1,
        check_run=7,
        kind=VerdictKind.CONFIRM,
        title=title,
    )


def _acceptance(login: str = "olivia", base: str = BASE) -> Acceptance:
    return Acceptance(number=3, sha=SHA, tree=TREE, base_tree=base, login=login, account_id=2**40)


async def test_the_newest_verdict_is_the_last_one_posted(database: Database) -> None:
    store = Acceptances(database)
    assert await store.newest(REPO, 3) is None
    await store.post(REPO, _verdict(OTHER))
    await store.post(REPO, _verdict(SHA))
    await store.post(REPO, _verdict(OTHER, "again"))
    newest = await store.newest(RepoName.parse("acme/SHOP"), 3)
    assert newest is not None
    assert (newest.sha, newest.title) == (OTHER, "again")
    assert await store.newest(REPO, 4) is None
    assert await store.of_commit(REPO, 3, SHA) == _verdict(SHA)


async def test_accepting_twice_keeps_the_first_person(database: Database) -> None:
    store = Acceptances(database)
    assert (await store.accept(REPO, _acceptance())).login == "olivia"
    assert (await store.accept(REPO, _acceptance("walter"))).login == "olivia"


@pytest.mark.parametrize(
    ("number", "sha", "tree", "base", "counts"),
    [
        (3, SHA, TREE, BASE, True),
        (3, OTHER, TREE, BASE, True),  # rebased or tried again: the same trees
        (3, OTHER, "3" * 40, BASE, False),
        (3, OTHER, TREE, "3" * 40, False),
        (3, SHA, TREE, "3" * 40, False),  # the pull request has another base now
        (4, SHA, TREE, BASE, False),
    ],
)
async def test_an_acceptance_counts_for_the_same_trees(
    database: Database, number: int, sha: str, tree: str, base: str, counts: bool
) -> None:
    store = Acceptances(database)
    await store.accept(REPO, _acceptance())
    found = await store.find(REPO, number, sha, tree, base)
    assert (found is not None) is counts


async def test_without_the_base_only_the_commit_counts(database: Database) -> None:
    store = Acceptances(database)
    await store.accept(REPO, _acceptance(base=""))
    assert await store.find(REPO, 3, SHA, TREE, "") is not None
    assert await store.find(REPO, 3, OTHER, TREE, "") is None


async def test_old_ones_are_deleted_with_the_history(database: Database) -> None:
    store = Acceptances(database)
    await store.post(REPO, _verdict(SHA))
    await store.accept(REPO, _acceptance())
    await History(database).forget(2e9 * 2)
    assert [_count(database, table) for table in (posted_verdicts, acceptances)] == [0, 0]


def _count(database: Database, table: sa.Table) -> int:
    query = sa.select(sa.func.count()).select_from(table)
    return database.transact(lambda connection: connection.execute(query).scalar_one())
