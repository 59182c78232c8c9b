"""The machine's faults in their short form; `make faults ONLY=machine` goes through all of them."""

from __future__ import annotations

import os

import pytest

from tests.faults import machine
from tests.faults.points import Point

SHORT = {
    Point("the request", "database's disk full for 4 s"): "recovered",
}


@pytest.mark.slow
@pytest.mark.parametrize("point", SHORT, ids=str)
async def test_trouble_of_the_machine_passes_or_is_reported(point: Point) -> None:
    if (missing := machine.TROUBLES[point.what].needs()) and os.environ.get("CI") != "true":
        pytest.skip(missing)

    assert await machine.survives(point) == SHORT[point]


def test_each_trouble_comes_at_each_moment() -> None:
    points = machine.points()
    assert len(points) == len(machine.TROUBLES) * len(machine.MOMENTS)
    assert set(SHORT) <= set(points)
