"""Lifetime totals over all processes; they outlive the runs they count.

A total is updated in the same transaction as what it counts, so a repeated step counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import sqlalchemy as sa

from app.store.database import insert_into
from app.store.schema import totals

RUNS = "runs"  # by outcome
MONEY = "usd"
MODEL_TURNS = "model_turns"
TOKENS = "tokens"  # by kind
CALLS = "github_calls"  # by kind
PHASE_SECONDS = "phase_seconds"  # the sum, by phase
PHASE_COUNTS = "phase_counts"  # by `<phase> <upper bound>`, each phase counted in one

COUNTERS = (
    (RUNS, "honk_runs_finished", "Attempts of runs that ended, by outcome.", "outcome"),
    (MONEY, "honk_usd", "US dollars that runs have cost.", None),
    (MODEL_TURNS, "honk_model_turns", "Turns of the model.", None),
    (TOKENS, "honk_model_tokens", "Tokens of the agent's turns, by kind.", "kind"),
    (CALLS, "honk_github_calls", "Requests to GitHub's API for runs, by kind.", "kind"),
)
"""The totals that `/metrics` shows: each with its metric's name, description and label."""

PHASE_BOUNDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)
"""In seconds; longer phases are counted under `inf`."""

Counts = Mapping[tuple[str, str], float]


def add(connection: sa.Connection, counts: Counts) -> None:
    """Add to totals, by name and label."""
    # In a fixed order: two transactions that update the same rows would otherwise deadlock.
    for (name, label), value in sorted(counts.items()):
        if value:
            insert = insert_into(connection, totals).values(name=name, label=label, value=value)
            more = {"value": totals.c.value + insert.excluded.value}
            connection.execute(
                insert.on_conflict_do_update(index_elements=["name", "label"], set_=more)
            )


def of_phases(phases: Iterable[tuple[str, float]], *, since: float, end: float) -> Counts:
    """The totals that a run's phases add. Pure.

    `phases` are (phase, start) in order; those that started before `since` are ignored. Times are
    seconds since 1970.
    """
    counted: dict[tuple[str, str], float] = {}
    mine = [each for each in phases if each[1] >= since]
    for (phase, began), (_, ended) in zip(mine, [*mine[1:], ("", end)], strict=True):
        seconds = max(0.0, ended - began)
        bound = next((str(each) for each in PHASE_BOUNDS if seconds <= each), "inf")
        for key, value in (
            ((PHASE_SECONDS, phase), seconds),
            ((PHASE_COUNTS, f"{phase} {bound}"), 1.0),
        ):
            counted[key] = counted.get(key, 0.0) + value
    return counted
