"""What a run may use, what the agent may use of that, and when people are warned. Pure."""

from __future__ import annotations

from typing import Literal

from app.domain.policy import BudgetPolicy
from app.domain.values import Value

CALLS = 400
"""Calls to GitHub's API for one run. Past it the status comment is no longer edited on the way;
what has to be said and done still is."""

_WARNED_AT = 0.8
_KEPT_BACK = 0.1
_MOST_KEPT_BACK_MINUTES = 5.0
_MOST_KEPT_BACK_USD = 0.5


class AgentBudget(Value):
    """What the agent may use of a run's budget."""

    usd: float
    minutes: float
    turns: int


class BudgetWarning(Value):
    """One part of the budget that is nearly used up: US dollars, minutes or turns of how many."""

    which: Literal["money", "time", "turns"]
    used: float
    of: float


def agent_budget(budget: BudgetPolicy, *, judge: bool) -> AgentBudget:
    """The budget without what verifying and publishing need: a tenth of the time, and of the money
    where a judge reads the change."""
    minutes = budget.minutes - min(_KEPT_BACK * budget.minutes, _MOST_KEPT_BACK_MINUTES)
    usd = budget.usd - (min(_KEPT_BACK * budget.usd, _MOST_KEPT_BACK_USD) if judge else 0.0)
    return AgentBudget(usd=usd, minutes=minutes, turns=budget.turns)


def budget_warnings(
    share: AgentBudget, usd: float, seconds: float, turns: int
) -> tuple[BudgetWarning, ...]:
    """What of the agent's share is used to four fifths or more; `seconds` are those of its work."""
    used = (
        BudgetWarning(which="money", used=usd, of=share.usd),
        BudgetWarning(which="time", used=seconds / 60, of=share.minutes),
        BudgetWarning(which="turns", used=turns, of=share.turns),
    )
    return tuple(each for each in used if each.used >= _WARNED_AT * each.of)
