"""Garbage collection in a worker with hundreds of runs, without long pauses.

A full collection stops the event loop while it scans every object. Objects that survive one almost
always live until their run ends and are then freed by reference counting. So survivors are frozen
(`gc.freeze`), which keeps the next collection short. Frozen reference cycles are collected when the
worker is idle, or once an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator

_CHECK_SECONDS = 60.0
_FULL_COLLECTION_SECONDS = 3600.0
_OLDEST_GENERATION = 2


async def keep_collecting(is_idle: Callable[[], bool]) -> None:
    """Freeze survivors and collect in full from time to time, until cancelled.

    `is_idle` says whether a pause of a fifth of a second would delay no run.
    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    with _freezing_survivors():
        frozen, last = collect_all(), time.monotonic()
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            is_grown = gc.get_freeze_count() > frozen
            if is_grown and (is_idle() or time.monotonic() - last >= _FULL_COLLECTION_SECONDS):
                frozen, last = collect_all(), time.monotonic()


def collect_all() -> int:
    """Run a full collection, frozen objects included; return how many objects are frozen now."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()


@contextlib.contextmanager
def _freezing_survivors() -> Iterator[None]:
    def freeze_survivors(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == _OLDEST_GENERATION:
            gc.freeze()

    gc.callbacks.append(freeze_survivors)
    try:
        yield
    finally:
        gc.callbacks.remove(freeze_survivors)
        gc.unfreeze()
