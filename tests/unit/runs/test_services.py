from __future__ import annotations

import asyncio

from app.runs.services import KeyedLocks


def _never() -> asyncio.Event:
    """The stop event of a run that is not stopped."""
    return asyncio.Event()


async def _turns(number: int = 5) -> None:
    """Let all other tasks get as far as they can."""
    for _ in range(number):
        await asyncio.sleep(0)


class _Visitor:
    """A caller that wants the lock and keeps it until `may_go` is set."""

    def __init__(self, locks: KeyedLocks) -> None:
        self.stop, self.may_go = asyncio.Event(), asyncio.Event()
        self.is_told = "to wait"
        self.task = asyncio.create_task(self._visit(locks))

    async def _visit(self, locks: KeyedLocks) -> None:
        async with locks.only_one("the same", self.stop) as ours:
            self.is_told = "to enter" if ours else "to leave"
            await self.may_go.wait()

    async def goes(self) -> None:
        self.may_go.set()
        await self.task


async def _is_free(locks: KeyedLocks) -> bool:
    async with asyncio.timeout(5), locks.only_one("the same", _never()) as ours:
        return ours


async def test_a_caller_waits_for_the_one_inside() -> None:
    locks, within, most = KeyedLocks(), 0, 0
    first, done = asyncio.Event(), asyncio.Event()

    async def visit(until: asyncio.Event) -> None:
        nonlocal within, most
        async with locks.only_one("the same", _never()):
            within += 1
            most = max(most, within)
            await until.wait()
            within -= 1

    has_it = asyncio.create_task(visit(first))
    await _turns()
    waits = asyncio.create_task(visit(done))
    await _turns()
    first.set()
    await has_it
    comes = asyncio.create_task(visit(done))
    await _turns()
    done.set()
    await asyncio.gather(waits, comes)

    assert most == 1


async def test_different_keys_do_not_wait() -> None:
    locks = KeyedLocks()

    async with (
        asyncio.timeout(5),
        locks.only_one("one", _never()),
        locks.only_one("another", _never()),
    ):
        pass


async def test_a_stopped_caller_stops_waiting_and_does_not_enter() -> None:
    locks = KeyedLocks()
    within = _Visitor(locks)
    await _turns()
    stopped, waits = _Visitor(locks), _Visitor(locks)
    await _turns()
    stopped.stop.set()
    await _turns()

    assert [each.is_told for each in (within, stopped, waits)] == [
        "to enter",
        "to leave",
        "to wait",
    ]
    # A caller that never got the lock does not release it by leaving.
    await stopped.goes()
    await _turns()
    assert waits.is_told == "to wait"
    await within.goes()
    await _turns()
    assert waits.is_told == "to enter"
    await waits.goes()
    assert await _is_free(locks)


async def test_a_stopped_waiter_never_gets_the_lock() -> None:
    locks = KeyedLocks()
    stop = asyncio.Event()
    stop.set()

    async with locks.only_one("the same", stop) as ours:
        assert not ours
        assert await _is_free(locks)


async def test_a_stop_in_the_moment_of_being_let_in_leaves_it_to_the_next() -> None:
    for turns in range(5):
        locks = KeyedLocks()
        within = _Visitor(locks)
        await _turns()
        stopped, waits = _Visitor(locks), _Visitor(locks)
        await _turns()
        within.may_go.set()
        await _turns(turns)
        stopped.stop.set()
        await stopped.goes()
        await _turns()

        assert waits.is_told == "to enter", turns
        await waits.goes()
        assert await _is_free(locks), turns


async def test_a_cancelled_caller_leaves_the_lock_to_the_next() -> None:
    for turns in range(5):
        locks = KeyedLocks()
        within = _Visitor(locks)
        await _turns()
        cancelled, waits = _Visitor(locks), _Visitor(locks)
        await _turns()
        within.may_go.set()
        await _turns(turns)
        cancelled.task.cancel()
        await asyncio.gather(cancelled.task, return_exceptions=True)
        await _turns()

        assert cancelled.task.cancelled(), turns
        assert waits.is_told == "to enter", turns
        await waits.goes()
        assert await _is_free(locks), turns
