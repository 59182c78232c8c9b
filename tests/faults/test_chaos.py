"""Chaos in its short form; `make faults ONLY=chaos` draws what strikes three hundred runs."""

from __future__ import annotations

import pytest

from tests.faults import chaos
from tests.faults.chaos import LEASE, Trouble

SHORT = [
    Trouble("kill", after=0.5),
    Trouble("stop", after=0.5, victim=0.9, lasts=1.9 * LEASE),
    Trouble("restart", after=0.5),
]


@pytest.mark.slow
async def test_whatever_strikes_the_workers_every_run_ends_right() -> None:
    async with chaos.opened() as bench:
        told = await bench.batch(SHORT, runs=4)

    assert told.wrong == []
    assert told.struck == {"kill": 1, "stop": 1, "restart": 1}
    assert told.ended.total() == 4


def test_what_strikes_is_the_same_for_the_same_seed() -> None:
    assert chaos.drawn(7, 3) == chaos.drawn(7, 3) != chaos.drawn(7, 4)
    assert {each.kind for each in chaos.drawn(chaos.SEED, 0)} <= set(chaos.KINDS)
