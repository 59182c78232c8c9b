"""Processes that are started and killed leave nothing behind for a later loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Coroutine

import pytest

from app.shielded import kill_group, start_process


@pytest.mark.parametrize("turns", range(0, 12, 2))
def test_a_start_cancelled_in_its_middle_is_reaped(turns: int) -> None:
    """asyncio cannot reap a process after its loop has ended; Python warns about it much later."""

    async def cancelled() -> None:
        starting = asyncio.create_task(_sleep())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await kill_group(await starting)

    assert _warned(cancelled()) == []


def test_a_kill_that_is_cancelled_still_reaps() -> None:
    async def cancelled() -> None:
        killing = asyncio.create_task(kill_group(await _sleep()))
        await asyncio.sleep(0)
        killing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killing

    assert _warned(cancelled()) == []


async def _sleep() -> asyncio.subprocess.Process:
    return await start_process(
        "sleep",
        "60",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def _warned(story: Coroutine[None, None, None]) -> list[str]:
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(story)
        gc.collect()
    return [str(each.message) for each in caught]
