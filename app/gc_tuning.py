"""Python's garbage collector in a worker with hundreds of runs: it never looks through all of them.

Nothing else happens while it looks. What has outlived a full collection stays, nearly always, until
its run ends, and then goes by itself; so it is put aside, and the next collection is short. What
holds itself in a circle is found when nothing is at work, or once an hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator

_LOOK_SECONDS = 60.0
_SELDOM_SECONDS = 3600.0
_OLDEST = 2


async def keep_collecting(is_idle: Callable[[], bool]) -> None:
    """Until cancelled. `is_idle` tells whether a pause of a fifth of a second keeps nobody waiting.

    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    with _putting_aside():
        aside, last = collect_all(), time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            is_grown = gc.get_freeze_count() > aside
            if is_grown and (is_idle() or time.monotonic() - last >= _SELDOM_SECONDS):
                aside, last = collect_all(), time.monotonic()


def collect_all() -> int:
    """Look through everything, also what was put aside; how many objects are aside now."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return gc.get_freeze_count()


@contextlib.contextmanager
def _putting_aside() -> Iterator[None]:
    def put_aside(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == _OLDEST:
            gc.freeze()

    gc.callbacks.append(put_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(put_aside)
        gc.unfreeze()
