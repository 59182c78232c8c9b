"""A run's budget, the agent's share of it, and when people are warned. Pure."""

from __future__ import annotations

from typing import Literal

from app.domain.policy import BudgetPolicy
from app.domain.values import Value

CALLS = 400
"""Calls to GitHub's API for one run. Beyond it, progress no longer updates the status comment;
required calls still happen."""

_WARNED_AT = 0.8
_KEPT_BACK = 0.1
_MOST_KEPT_BACK_MINUTES = 5.0
_MOST_KEPT_BACK_USD = 0.5


class AgentBudget(Value):
    """The agent's share of a run's budget."""

    usd: float
    minutes: float
    turns: int


class BudgetWarning(Value):
    """One part of the budget that is nearly used up: the used and total US dollars, minutes or
    turns."""

    which: Literal["money", "time", "turns"]
    used: float
    of: float


def agent_budget(budget: BudgetPolicy, *, judge: bool) -> AgentBudget:
    """The budget minus what verification and publishing need: a tenth of the time, and a tenth
    of the money if a judge reads the change."""
    minutes = budget.minutes - min(_KEPT_BACK * budget.minutes, _MOST_KEPT_BACK_MINUTES)
    usd = budget.usd - (min(_KEPT_BACK * budget.usd, _MOST_KEPT_BACK_USD) if judge else 0.0)
    return AgentBudget(usd=usd, minutes=minutes, turns=budget.turns)


def budget_warnings(
    share: AgentBudget, usd: float, seconds: float, turns: int
) -> tuple[BudgetWarning, ...]:
    """The parts of the agent's share that are at least 80 % used; `seconds` counts its working
    time."""
    used = (
        BudgetWarning(which="money", used=usd, of=share.usd),
        BudgetWarning(which="time", used=seconds / 60, of=share.minutes),
        BudgetWarning(which="turns", used=turns, of=share.turns),
    )
    return tuple(each for each in used if each.used >= _WARNED_AT * each.of)
