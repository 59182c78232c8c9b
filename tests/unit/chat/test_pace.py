"""The pace of calls to Slack, on a clock that the test moves."""

from __future__ import annotations

import pytest

from app.chat.pace import A_MINUTE, SlackPace
from app.playground.slack.limits import A_MINUTE as SLACKS
from app.playground.slack.limits import TIERS


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("method", A_MINUTE)
def test_a_hundred_calls_at_once_stay_below_the_limit(method: str) -> None:
    pace = SlackPace(_Clock())
    due = [pace.reserve(method) for _ in range(300)]
    assert due == sorted(due)
    assert due[9] == 0.0
    for moment in due:
        in_a_minute = sum(moment - 60 < each <= moment for each in due)
        assert in_a_minute <= SLACKS[TIERS[method]]


def test_edits_are_left_out_until_there_is_room() -> None:
    clock = _Clock()
    pace = SlackPace(clock)
    assert [pace.is_free("chat.update") for _ in range(11)] == [True] * 10 + [False]
    clock.now = 1.5
    assert [pace.is_free("chat.update") for _ in range(2)] == [True, False]
    assert pace.reserve("chat.postMessage") == 0.0
