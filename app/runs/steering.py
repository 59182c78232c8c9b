"""Stopping, continuing and retrying a run from the terminal of its operator.

The request goes through the database to a worker, as a button on GitHub would. This module is used
outside the worker, so it must not import workflows.
"""

from __future__ import annotations

import time

from app.domain.run import RESUMABLE, Phase
from app.domain.trigger import Signal
from app.errors import UserError
from app.runs.queue import trigger_queue
from app.store.database import Database
from app.store.runs import RunRow, Runs

OPERATOR = "(operator)"
"""The requester if it is not someone on GitHub; no login has parentheses."""


async def ask(database: Database, row: RunRow, action: str) -> None:
    """Ask for `stop`, `continue` or `retry` of a run.

    Raises UserError if that is impossible in the run's current state.
    """
    problem = await _problem(database, row, action)
    if problem is not None:
        raise problem
    if action == "stop":
        # The operator needs no permission on GitHub, so that a stop works even without GitHub.
        await Runs(database).ask_to_stop(row.id, OPERATOR)
        if row.phase is not Phase.QUEUED:
            return
    with trigger_queue(database) as queue:
        await queue.check()
        await queue.enqueue(_signal(row, action))


async def _problem(database: Database, row: RunRow, action: str) -> UserError | None:
    is_live = row.finished_at is None
    if action == "stop":
        return None if is_live else UserError(f"The run {row.id} has ended already.")
    if is_live:
        return UserError(
            f"The run {row.id} is still in progress.",
            next_step=f"Follow it (honk runs log -f {row.id}), or stop it first.",
        )
    newest = (await Runs(database).of_subject(row.subject))[0]
    if newest.id != row.id and row.input.trigger.kind != "check":
        return UserError(
            f"{row.subject} has a newer run, {newest.id}.", next_step="Use that one instead."
        )
    if action == "continue" and row.outcome not in RESUMABLE:
        return UserError(
            f"The run {row.id} is done, so there is nothing to continue.",
            next_step=f"For a new run of the same request: honk runs retry {row.id}",
        )
    return None


def _signal(row: RunRow, action: str) -> Signal:
    """The button of that name, pressed on behalf of the run's requester."""
    trigger = row.input.trigger
    return Signal.of_button(
        trigger,
        f"terminal:{row.id}:{action}:{row.attempt}:{time.time_ns()}",
        run=row.id,
        actor=trigger.actor,
        action=action,
        said=None,
    )
