"""A run that waits for a service does not block others and can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.errors import RetryableError, UserError
from app.runs.durable import ReleasableSemaphore, StoppedError, released, retry_or_fail

HOUR = 3600.0


def _away(tries: list[float], retry_after: float | None = HOUR) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        tries.append(asyncio.get_running_loop().time())
        raise RetryableError("It is away.", retry_after=retry_after)

    return ask


async def _waits(room: ReleasableSemaphore) -> None:
    async with room.enter():
        await retry_or_fail("wait", _away([]))


async def test_a_run_that_waits_for_a_service_frees_its_slot() -> None:
    room = ReleasableSemaphore(2)
    waiting = [asyncio.create_task(_waits(room)) for _ in range(4)]
    async with asyncio.timeout(5), room.enter():
        pass
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(5), room.enter(), room.enter():
        pass


async def test_no_more_than_its_places_are_in_a_room() -> None:
    room = ReleasableSemaphore(2)
    inside = most = 0

    async def work() -> None:
        nonlocal inside, most
        async with room.enter():
            for _ in range(3):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1
                async with released():
                    await asyncio.sleep(0.001)

    await asyncio.gather(*(work() for _ in range(20)))
    assert most == 2


async def test_a_stop_ends_the_waiting_with_a_last_try() -> None:
    stop = asyncio.Event()
    tries: list[float] = []
    trying = asyncio.create_task(retry_or_fail("wait", _away(tries), stop))
    await asyncio.sleep(0.05)
    assert len(tries) == 1
    stop.set()
    with pytest.raises(StoppedError):
        await asyncio.wait_for(trying, 5)
    assert len(tries) == 2


async def test_what_a_service_asks_for_is_not_waited_for_without_end() -> None:
    tries: list[float] = []
    with pytest.raises(UserError, match="stayed away"):
        await asyncio.wait_for(retry_or_fail("wait", _away(tries, 2 * HOUR)), 5)
    assert len(tries) == 1


async def test_what_is_done_after_a_stop_is_done_as_patiently() -> None:
    stop = asyncio.Event()
    stop.set()
    tries: list[float] = []
    trying = asyncio.create_task(retry_or_fail("keep", _away(tries, None), stop))
    await asyncio.sleep(1.2)
    assert len(tries) == 2
    trying.cancel()
