from __future__ import annotations

import asyncio

from app.runs.services import Locks


async def test_who_comes_while_one_is_let_in_waits_for_that_one() -> None:
    locks, within, most = Locks(), 0, 0
    first, done = asyncio.Event(), asyncio.Event()

    async def visit(until: asyncio.Event) -> None:
        nonlocal within, most
        async with locks.only_one("the same"):
            within += 1
            most = max(most, within)
            await until.wait()
            within -= 1

    has_it = asyncio.create_task(visit(first))
    await asyncio.sleep(0)
    waits = asyncio.create_task(visit(done))
    await asyncio.sleep(0)
    first.set()
    await has_it
    comes = asyncio.create_task(visit(done))
    for _ in range(5):
        await asyncio.sleep(0)
    done.set()
    await asyncio.gather(waits, comes)

    assert most == 1


async def test_different_keys_wait_for_nobody() -> None:
    locks = Locks()

    async with asyncio.timeout(5), locks.only_one("one"), locks.only_one("another"):
        pass
