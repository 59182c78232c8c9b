"""What is kept back for verifying and publishing, and when people are warned."""

from __future__ import annotations

import pytest

from app.domain.budget import AgentBudget, agent_budget, budget_warnings
from app.domain.policy import BudgetPolicy

SHARE = AgentBudget(usd=5.0, minutes=40.0, turns=200)


@pytest.mark.parametrize(
    ("minutes", "left"), [(10.0, 9.0), (45.0, 40.5), (50.0, 45.0), (600.0, 595.0)]
)
def test_a_tenth_of_the_time_is_kept_back_and_five_minutes_at_most(
    minutes: float, left: float
) -> None:
    share = agent_budget(BudgetPolicy(minutes=minutes), judge=False)
    assert share.minutes == pytest.approx(left)


def test_money_is_kept_back_for_the_judge_alone() -> None:
    assert agent_budget(BudgetPolicy(usd=2), judge=False).usd == 2
    assert agent_budget(BudgetPolicy(usd=2), judge=True).usd == pytest.approx(1.8)
    assert agent_budget(BudgetPolicy(usd=100), judge=True).usd == pytest.approx(99.5)


@pytest.mark.parametrize(
    ("usd", "seconds", "turns", "told"),
    [
        (3.99, 1900, 159, []),
        (4.0, 0, 0, ["money"]),
        (0, 32 * 60, 0, ["time"]),
        (0, 0, 160, ["turns"]),
        (9, 9000, 200, ["money", "time", "turns"]),
    ],
)
def test_a_warning_comes_at_four_fifths(
    usd: float, seconds: float, turns: int, told: list[str]
) -> None:
    assert [each.which for each in budget_warnings(SHARE, usd, seconds, turns)] == told
