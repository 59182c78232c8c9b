"""Merges that are followed: each worker looks at others, and each merge ends once."""

from __future__ import annotations

import asyncio

from app.domain.values import CommitSha, RepoName
from app.store.database import Database, now
from app.store.follows import FollowedMerge, Follows
from app.store.history import History

SHA = CommitSha("a" * 40)


def merge(number: int = 3) -> FollowedMerge:
    return FollowedMerge(
        repository=RepoName.parse("acme/one"),
        repository_id=1,
        installation_id=2,
        number=number,
        sha=SHA,
        minutes=30,
        until=now() + 1800,
        next_at=now() - 1,
    )


async def test_one_worker_takes_it_and_an_event_makes_it_due_again(database: Database) -> None:
    follows = Follows(database)
    await follows.start(merge())
    await follows.start(merge(4))
    taken = await asyncio.gather(*(follows.take_due(60) for _ in range(4)))
    numbers = sorted(each.number for found in taken for each in found)
    assert numbers == [3, 4]
    assert await follows.take_due(60) == []
    await follows.wake(1, "b" * 40)
    assert await follows.take_due(60) == []
    await follows.wake(1, SHA)
    assert len(await follows.take_due(60)) == 2


async def test_what_was_seen_stays_and_an_ended_one_is_not_begun_again(
    database: Database,
) -> None:
    follows = Follows(database)
    await follows.start(merge())
    await follows.note(merge(), "live production:1", now() - 1)
    (found,) = await follows.take_due(60)
    assert found.seen == "live production:1"
    await follows.end(found)
    await follows.start(merge())
    await follows.wake(1, SHA)
    assert await follows.take_due(60) == []
    await History(database).forget(now() + 10_000)
    await follows.start(merge())
    assert len(await follows.take_due(60)) == 1
