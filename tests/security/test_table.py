"""The short form of `make security`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.harness import Attempt, both
from tests.security.table import KINDS, SHORT

ALL = [attempt for attempts in KINDS.values() for attempt in attempts]


@pytest.mark.parametrize(
    "attempt", [pytest.param(each, id=each.name) for each in ALL if each.name in SHORT]
)
async def test_an_attempt_is_stopped_and_its_control_is_not(
    attempt: Attempt, tmp_path: Path
) -> None:
    if cannot := attempt.needs():
        pytest.skip(cannot)
    tried, control = await both(attempt, tmp_path)
    assert not tried.through, tried
    assert control.through, control


def test_every_attempt_has_a_unique_name() -> None:
    names = [attempt.name for attempt in ALL]
    assert len(set(names)) == len(names)
    assert set(SHORT) <= set(names)
