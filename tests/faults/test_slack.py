"""Slack's faults in their short form; `make faults ONLY=slack` goes through all of them."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults import slack
from tests.faults.points import Point

SHORT = [
    Point("chat.postMessage", "502 after it took effect"),
    Point("chat.postMessage (2)", "cut"),
    Point("chat.update", "ratelimited"),
]


@pytest.mark.slow
async def test_whatever_slack_answers_the_thread_has_each_message_once() -> None:
    async with slack.opened() as bench:
        points = await bench.points()
        assert set(SHORT) <= set(points)
        took = await asyncio.gather(*(bench.survives(point) for point in SHORT))

    assert took == ["ok"] * len(SHORT)
