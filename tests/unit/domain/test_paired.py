"""The statistics of a comparison, against published values."""

from __future__ import annotations

import math

import pytest

from app.domain.paired import bootstrap_interval, mcnemar_exact, smallest_visible


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [
        # The documentation of statsmodels: mcnemar([[101, 121], [59, 33]], exact=True).
        (121, 59, 4.434449e-06),
        # Binomial tables: P(X <= 3 | 12, 1/2) = 0.0730.
        (3, 9, 0.1460),
        # Approval of the prime minister (Agresti), as R's exact2x2 has it: 3.716e-05.
        (150, 86, 3.716e-05),
        (5, 0, 0.0625),
        (0, 6, 0.03125),
        (4, 4, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_as_published(first: int, second: int, p: float) -> None:
    assert mcnemar_exact(first, second) == pytest.approx(p, rel=0.02)
    assert mcnemar_exact(first, second) == mcnemar_exact(second, first)


def test_the_bootstrap_agrees_with_the_normal_interval_where_that_holds() -> None:
    differences = [1.0] * 30 + [-1.0] * 10 + [0.0] * 160
    mean = 0.1
    deviation = math.sqrt(sum((each - mean) ** 2 for each in differences) / 200 / 200)
    low, high = bootstrap_interval(differences)
    assert low == pytest.approx(mean - 1.96 * deviation, abs=0.01)
    assert high == pytest.approx(mean + 1.96 * deviation, abs=0.01)
    assert bootstrap_interval(differences) == (low, high)


def test_the_bootstrap_needs_a_task_and_one_is_no_interval() -> None:
    assert bootstrap_interval([1.0]) == (1.0, 1.0)
    with pytest.raises(ValueError, match="no task"):
        bootstrap_interval([])


@pytest.mark.parametrize(
    ("tasks", "discordant", "smallest"),
    [
        (5, 5, None),  # 5 of 5 is p = 0.0625
        (6, 0, 1.0),
        (30, 4, 6 / 30),
        (30, 12, 8 / 30),  # 10 to 2 is p = 0.039, 9 to 3 is 0.146
        (200, 40, 14 / 200),  # 27 to 13 is p = 0.038, 26 to 14 is 0.081
    ],
)
def test_the_smallest_visible_difference(
    tasks: int, discordant: int, smallest: float | None
) -> None:
    assert smallest_visible(tasks, discordant) == smallest
