"""Which tests are known to be flaky, and who may report them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.evidence import TestName
from app.domain.values import CommitSha, RepoName
from app.store.database import Database
from app.store.flaky_tests import BASE, FlakyTests, noted_as
from app.store.history import History

REPO, SHA = RepoName.parse("acme/rockets"), CommitSha("a" * 40)
ONE = TestName(verifier="pytest", id="test_a.py::test_a")
LONG = TestName(verifier="pytest", id="test_a.py::test_b[" + "x" * 5_000 + "]")


@pytest.fixture(name="database")
async def _database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    yield database
    database.close()


async def test_one_change_cannot_excuse_itself(database: Database) -> None:
    flaky = FlakyTests(database)
    await flaky.note(REPO, 7, SHA, {ONE, LONG})
    await flaky.note(REPO, 7, SHA, {ONE})
    assert await flaky.known(REPO, but=7) == ()
    assert await flaky.known(REPO, but=8) == ()
    await flaky.note(REPO, 8, SHA, {ONE})
    assert await flaky.known(REPO, but=9) == (ONE,)
    assert await flaky.known(REPO, but=8) == ()
    assert await flaky.known(RepoName.parse("acme/other"), but=9) == ()


async def test_the_base_is_believed_at_once(database: Database) -> None:
    flaky = FlakyTests(database)
    await flaky.note(REPO, BASE, SHA, {LONG})
    assert await flaky.known(REPO, but=7) == (LONG,)
    await History(database).forget(2e12)
    assert await flaky.known(REPO, but=7) == ()


def test_only_code_that_people_with_write_access_pushed_excuses_others() -> None:
    assert noted_as(7, is_base=True, on_branch=True, fork=True) == BASE
    assert noted_as(7, is_base=True, on_branch=False, fork=False) is None
    assert noted_as(7, is_base=False, on_branch=True, fork=False) == 7
    assert noted_as(7, is_base=False, on_branch=True, fork=True) is None
    assert noted_as(BASE, is_base=False, on_branch=True, fork=False) is None
