"""An idle worker looks for work seldom, and one with work often."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import RetryableError
from app.runs import pace
from app.runs.pace import Pace, keep_queues_at


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_worker_is_busy_at_its_start_and_for_a_while_after_work() -> None:
    clock = Clock()
    one = Pace(busy_seconds=30, clock=clock)
    seen = []
    for moment in (0, 31):
        clock.now = moment
        seen.append(one.is_busy)
    with one.work():
        for moment in (32, 100):
            clock.now = moment
            seen.append(one.is_busy)
    for moment in (129, 131):
        clock.now = moment
        seen.append(one.is_busy)
    assert seen == [True, False, True, True, True, False]


async def test_work_that_begins_ends_an_idle_pause() -> None:
    idle = Pace(busy_seconds=0)
    pauses = [asyncio.create_task(idle.pause(3600, 3600)) for _ in range(2)]
    await asyncio.sleep(0)
    with idle.work():
        await asyncio.wait_for(asyncio.gather(*pauses), 10)


async def test_an_idle_pause_ends_by_itself() -> None:
    await asyncio.wait_for(Pace(busy_seconds=0).pause(3600, 0.01), 10)


class Queues:
    def __init__(self) -> None:
        self.set: list[bool] = []
        self.left = False
        self.away = False
        self.changed = asyncio.Event()

    async def poll_at(self, *, busy: bool) -> None:
        if self.away:
            self.away = False
            raise RetryableError("The database is away.")
        self.set.append(busy)
        self.changed.set()

    async def is_work_left(self) -> bool:
        return self.left

    async def come_to(self, *expected: bool) -> None:
        async with asyncio.timeout(10):
            while self.set != list(expected):
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def queues(monkeypatch: pytest.MonkeyPatch) -> Queues:
    monkeypatch.setattr(pace, "_RETRY_SECONDS", 0.01)
    return Queues()


async def test_the_queues_follow(queues: Queues) -> None:
    idle = Pace(busy_seconds=0)
    keeping = asyncio.create_task(keep_queues_at(idle, queues.poll_at, queues.is_work_left))
    try:
        await queues.come_to(False)
        with idle.work():
            await queues.come_to(False, True)
    finally:
        keeping.cancel()


async def test_they_stay_quick_while_another_worker_has_work(queues: Queues) -> None:
    queues.left = True
    idle = Pace(busy_seconds=0)
    keeping = asyncio.create_task(keep_queues_at(idle, queues.poll_at, queues.is_work_left))
    try:
        await asyncio.sleep(0.05)
        assert queues.set == []
        queues.left = False
        await queues.come_to(False)
    finally:
        keeping.cancel()


async def test_a_database_that_is_away_is_asked_again(queues: Queues) -> None:
    queues.away = True
    idle = Pace(busy_seconds=0)
    keeping = asyncio.create_task(keep_queues_at(idle, queues.poll_at, queues.is_work_left))
    try:
        await queues.come_to(False)
    finally:
        keeping.cancel()
