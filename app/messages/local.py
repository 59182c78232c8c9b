"""What `honk try` prints. Plain text."""

from __future__ import annotations

from typing import Protocol

from app.domain.report import Report
from app.domain.run import Outcome, Phase
from app.domain.values import short
from app.messages import runs
from app.messages.formatting import PHASES, count, duration, state


class _Checkout(Protocol):
    @property
    def branch(self) -> str: ...


def begins(path: str, head: str, uncommitted: int) -> str:
    """The commit that Honk works on, and what is not part of it."""
    text = f"Working on {path} at {short(head)}."
    if uncommitted:
        text += (
            f" {count(uncommitted, 'uncommitted file')} left out: Honk sees only committed files."
        )
    return text


def now(phase: Phase | None, seconds: float, usd: float) -> str:
    """The current progress, in one line."""
    doing = "Starting" if phase is None else PHASES.get(phase, "Finishing")
    return f"{doing} · {duration(seconds)} · {runs.money(usd)}"


def result(
    outcome: Outcome | None, report: Report | None, *, cost_usd: float, turns: int, seconds: float
) -> list[tuple[str, str]]:
    """How it ended: the verdict, the agent's summary, the cost."""
    mode = report.mode if report else "work"
    facts = [("result", state(Phase.FINISHED, outcome, mode) if outcome else "not finished")]
    facts += runs.ending(report) if report else []
    cost = f"{runs.money(cost_usd)}, {count(turns, 'model turn')}, {duration(seconds)}"
    return [each for each in facts if each[0] != "work saved at"] + [("cost", cost)]


def applied(branch: str | None, checkout: _Checkout, *, has_changes: bool) -> str:
    """Where the work is now."""
    if not has_changes:
        return "No file was changed."
    if branch is None:
        return "Your repository was not changed. --apply puts the work on a new branch."
    onto = checkout.branch or "the commit that is checked out"
    return f"The work is on the new branch {branch}, on top of {onto}: git switch {branch}"
