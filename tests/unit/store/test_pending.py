"""Accepted requests that wait: kept once, tried by a schedule, shown by cause."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import sqlalchemy as sa

from app.doctor import as_text, good, pending_requests
from app.doctor.findings import DoctorSection
from app.domain.pending import NEXT_STEPS, Cause, is_given_up, wait_before
from app.settings import Settings
from app.store.database import Database, now
from app.store.pending import PendingRequests, Request, pending_counts
from app.store.schema import pending


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    yield database
    database.close()


def _request(name: str, *, installation: int = 1, subject: str = "acme/one#1") -> Request:
    return Request(name, "intake", installation, subject, {"id": name})


def _pass(database: Database, seconds: float) -> None:
    """Let this much time pass."""
    earlier = {"next_at": pending.c.next_at - seconds, "since": pending.c.since - seconds}
    database.transact(lambda connection: connection.execute(sa.update(pending).values(**earlier)))


async def test_one_is_tried_again_later_and_later(database: Database) -> None:
    requests = PendingRequests(database)
    waits = []
    for tries in range(8):
        await requests.keep(_request("a"), "github", "It is away.", told=tries > 0)
        assert await requests.due(10) == []
        found = await requests.find("a")
        assert found is not None
        assert (found.tries, found.told) == (tries, tries > 0)
        waits.append(wait_before(tries))
        _pass(database, waits[-1])
        (due,) = await requests.due(10)
        assert due.request == _request("a")
        await requests.mark_retried("a")
        assert await requests.due(10) == []
    assert waits == sorted(waits)
    assert waits[0] <= 60
    assert waits[-1] <= 900
    await requests.forget("a")
    assert await requests.find("a") is None


async def test_a_try_that_was_lost_comes_again(database: Database) -> None:
    requests = PendingRequests(database)
    await requests.keep(_request("a"), "bug", "x", told=False)
    await requests.mark_retried("a")
    await requests.wake()
    assert await requests.due(10) == []
    _pass(database, 3600)
    assert len(await requests.due(10)) == 1


async def test_those_of_one_installation_are_woken(database: Database) -> None:
    requests = PendingRequests(database)
    await requests.keep(_request("a"), "permission", "x", told=False)
    await requests.keep(_request("b", installation=2), "permission", "x", told=False)
    await requests.wake(2)
    assert [each.request.id for each in await requests.due(10)] == ["b"]
    await requests.wake()
    assert [each.request.id for each in await requests.due(10)] == ["a", "b"]


async def test_a_label_that_is_put_on_again_is_known(database: Database) -> None:
    requests = PendingRequests(database)
    first, again = _request("label:1:1:honk:1"), _request("label:1:1:honk:2")
    await requests.keep(_request("IC_words"), "github", "x", told=False)
    assert not await requests.has_pending_label(first)
    await requests.keep(first, "github", "x", told=False)
    assert not await requests.has_pending_label(first)
    assert await requests.has_pending_label(again)
    assert not await requests.has_pending_label(_request("label:2", subject="acme/two#1"))


@pytest.mark.parametrize("cause", get_args(Cause))
def test_every_cause_is_given_up_in_the_end(cause: Cause) -> None:
    assert not is_given_up(cause, 4, 6 * 86_400.0)
    assert is_given_up(cause, 4, 8 * 86_400.0)
    assert is_given_up(cause, 5, 60.0) is (cause == "bug")
    assert NEXT_STEPS[cause]


async def test_doctor_reports_how_many_wait_and_why(database: Database) -> None:
    settings = Settings(database_url=database.url)
    (none,) = pending_requests(settings)
    assert none.good
    requests = PendingRequests(database)
    await requests.keep(_request("a"), "credentials", "GitHub does not accept it.", told=False)
    await requests.keep(_request("b"), "credentials", "GitHub does not accept it.", told=False)
    await requests.keep(_request("c"), "github", "It is away.", told=True)
    findings = pending_requests(settings)
    assert [(each.what, each.good) for each in findings] == [
        ("2 requests pending (credentials)", False),
        ("1 request pending (github)", None),
    ]
    parts = (DoctorSection("Accepted requests", findings),)
    assert not good(parts)
    text = as_text(parts)
    assert "on acme/one#1" in text
    assert "GitHub does not accept it." in text
    assert "GITHUB_APP_ID" in text
    assert {each.number for each in database.transact(pending_counts)} == {1, 2}
    assert all(each.since <= now() for each in database.transact(pending_counts))
