"""What the collector looks through, and when."""

from __future__ import annotations

import asyncio
import gc
import weakref

from app import gc_tuning


class _Circle:
    def __init__(self) -> None:
        self.itself = self


async def test_what_outlived_a_collection_is_put_aside_until_nothing_is_at_work() -> None:
    keeping = asyncio.create_task(gc_tuning.keep_collecting(lambda: False))
    await asyncio.sleep(0)
    try:
        circle = _Circle()
        seen = weakref.ref(circle)
        before = gc.get_freeze_count()
        gc.collect()
        assert gc.get_freeze_count() > before

        del circle
        gc.collect()
        assert seen() is not None
        gc_tuning.collect_all()
        assert seen() is None
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
    assert gc.get_freeze_count() == 0
