"""The model's faults in their short form; `make faults ONLY=model` goes through all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults import model
from tests.faults.points import Point

SHORT = {
    Point("turn 3", "stream cut"): "recovered",
    Point("turn 2", "max_tokens in a call"): "recovered",
    Point("turn 4", "prompt too long"): "recovered",
    Point("turn 2", "refusal"): "continued",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="bench")
async def _bench() -> AsyncIterator[model.Bench]:
    async with model.opened() as bench:
        yield bench


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_whatever_the_model_does_the_run_keeps_its_work(bench: model.Bench) -> None:
    took = await asyncio.gather(*(bench.survives(point) for point in SHORT))

    assert dict(zip(SHORT, took, strict=True)) == SHORT


def test_each_failure_is_met_at_each_turn() -> None:
    points = model.points()
    assert len(points) == len(model.FAILURES) * len(model.SCRIPT.turns)
    assert set(SHORT) <= set(points)
