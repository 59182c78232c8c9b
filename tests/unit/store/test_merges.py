"""Requests to merge: one at a time for each pull request, and one answer to a double tap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from app.domain.trigger import Trigger
from app.domain.values import CommitSha
from app.store.database import Database
from app.store.history import History
from app.store.merges import Merges
from tests.support.runs import check_trigger

SHA, OTHER = CommitSha("a" * 40), CommitSha("b" * 40)
START = datetime(2026, 11, 30, 8, tzinfo=UTC)


def asked(name: str, seconds: int = 0) -> Trigger:
    return check_trigger(id=name, updated_at=START + timedelta(seconds=seconds))


async def test_one_of_several_at_once_has_it(database: Database) -> None:
    merges = Merges(database)
    claims = [merges.claim(asked(f"comment {number}"), 3, SHA) for number in range(5)]
    found = await asyncio.gather(*claims)
    assert sorted(found) == ["new", *["taken"] * 4]
    owner = f"comment {found.index('new')}"
    assert await merges.claim(asked(owner), 3, SHA) == "again"
    assert await merges.claim(asked("another pull request"), 4, SHA) == "new"


async def test_a_request_that_merged_nothing_is_in_nobodys_way(database: Database) -> None:
    merges = Merges(database)
    assert await merges.claim(asked("one"), 3, SHA) == "new"
    await merges.release(asked("two"), 3)
    assert await merges.claim(asked("two"), 3, SHA) == "taken"
    await merges.release(asked("one"), 3)
    assert await merges.of_pull(1, 3) is None
    assert await merges.claim(asked("two"), 3, SHA) == "new"


async def test_what_was_answered_is_answered_again_only_later(database: Database) -> None:
    merges = Merges(database)
    await merges.claim(asked("one"), 3, SHA)
    await merges.note(asked("one"), 3, "auto")
    assert await merges.claim(asked("a second tap", 2), 3, SHA) == "taken"
    found = await merges.of_pull(1, 3)
    assert found is not None
    assert (found.sha, found.state, found.trigger) == (SHA, "auto", "one")
    assert await merges.claim(asked("another commit", 2), 3, OTHER) == "new"
    await merges.note(asked("another commit", 2), 3, "queued")
    assert await merges.claim(asked("much later", 90), 3, OTHER) == "new"
    # What became of the first is no longer of interest.
    await merges.note(asked("one"), 3, "merged")
    await merges.forget(1, 3, "one")
    found = await merges.of_pull(1, 3)
    assert found is not None
    assert (found.state, found.trigger) == ("asked", "much later")


async def test_requests_go_with_the_history(database: Database) -> None:
    merges = Merges(database)
    await merges.claim(asked("one"), 3, SHA)
    await History(database).forget(0.0)
    assert await merges.of_pull(1, 3) is not None
    await History(database).forget(datetime.now(UTC).timestamp() + 60)
    assert await merges.of_pull(1, 3) is None
