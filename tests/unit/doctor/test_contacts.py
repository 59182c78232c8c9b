"""How doctor reports a wrong clock."""

from __future__ import annotations

import pytest

from app.doctor.contacts import clock


@pytest.mark.parametrize(
    ("ours", "good"), [(1003.0, True), (995.0, True), (1030.0, None), (970.0, None)]
)
def test_a_clock_that_is_near_enough(ours: float, good: bool | None) -> None:
    assert clock(1000.0, ours).good is good


@pytest.mark.parametrize(("ours", "said"), [(1400.0, "400 s ahead of"), (600.0, "400 s behind")])
def test_a_clock_that_is_wrong(ours: float, said: str) -> None:
    found = clock(1000.0, ours)
    assert found.good is False
    assert found.told.startswith(said)
    assert "NTP" in found.next_step


def test_an_answer_without_a_time() -> None:
    assert clock(None, 1.0).good is None
