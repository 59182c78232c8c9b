"""No run is left without an ending: what has no live attempt is settled, at start and on a timer.

A run is dead when its attempt ended without a report, killed its worker three times, or was never
queued although nothing is at work any more that could queue it.
"""

from __future__ import annotations

import asyncio
import errno
import time
from typing import Any

import structlog
from dbos import DBOS
from sqlalchemy.exc import DBAPIError

from app import log_events, messages
from app.domain.report import (
    Report,
)
from app.domain.run import Outcome, RunInput, attempt_id, subject_key
from app.domain.trigger import Trigger
from app.domain.values import RunId
from app.errors import HonkError, RetryableError, UserError
from app.runs import queue
from app.runs.services import Services
from app.runs.steps import checkpoint, report, verify
from app.store.database import away
from app.store.runs import RunRow, Runs

log = structlog.get_logger()

SETTLE_SECONDS = 5.0

_ALIVE = ["ENQUEUED", "PENDING", "DELAYED"]
_UNQUEUED_SECONDS = 10.0


async def keep_reaping(services: Services) -> None:
    """Until cancelled. While GitHub or the database is away it waits and comes back."""
    while True:
        try:
            await reap(services)
        except HonkError as problem:
            log.warning(log_events.REAPER_WAITING, why=str(problem))
        await asyncio.sleep(SETTLE_SECONDS)


async def reap(services: Services) -> None:
    """Settle every dead run; one that cannot be reached now keeps no other waiting.

    Raises RetryableError when the database is away.
    """
    try:
        async with services.database.alone("settle") as ours:
            if ours:
                await _reap_dead_runs(services)
    except DBAPIError as problem:
        # The engine's own questions of the database, of which it tells as the driver does.
        raise away(problem) from None


async def _reap_dead_runs(services: Services) -> None:
    rows = await services.runs.alive()
    statuses = await _statuses(rows)
    for row in rows:
        await _reap_if_dead(services, row, statuses.get(row.id))


async def _reap_if_dead(services: Services, row: RunRow, status: str | None) -> None:
    """One that cannot be settled keeps no other waiting: it is looked at again the next time."""
    try:
        if status is None and await services.pending.find(row.trigger_id):
            return  # its intake is tried again
        told = await how_it_died(services.runs, row, status)
        if told is not None:
            await _close_run(services, row, told)
    except (RetryableError, DBAPIError):
        raise
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            log.warning(log_events.DEAD_RUN_WAITS_FOR_DISK, run=row.id, why=str(problem))
        else:
            log.exception(log_events.DEAD_RUN_NOT_CLOSED, run=row.id)


async def _statuses(rows: list[RunRow]) -> dict[RunId, str]:
    """What the engine says of each run's attempt, as far as it knows it."""
    runs = {attempt_id(row.id, row.attempt): row.id for row in rows}
    if not runs:
        return {}
    known = await DBOS.list_workflows_async(
        workflow_ids=list(runs), load_input=False, load_output=False
    )
    return {runs[each.workflow_id]: each.status for each in known}


async def how_it_died(runs: Runs, row: RunRow, status: str | None) -> tuple[str, str] | None:
    """Problem and next step of a dead run, None for a live one.

    `status` is what the engine said of its attempt a while ago: None if it did not know it then.
    """
    if status is None:
        if _is_young(row) or await _may_be_queued_yet(row):
            return None
        # Asked last: who was to queue it may have done that, and ended, since the first look.
        status = (await _statuses([row])).get(row.id)
    if status in _ALIVE:
        return None
    now = await runs.get(row.id)
    if now.finished_at is not None or now.attempt != row.attempt:
        return None  # it came to its own end while we looked
    return messages.refusals.never_queued() if status is None else messages.refusals.attempt_died()


def _is_young(row: RunRow) -> bool:
    return time.time() - row.updated_at < _UNQUEUED_SECONDS


async def _may_be_queued_yet(row: RunRow) -> bool:
    """Whether an intake of its subject or its own last attempt is still at work."""
    before = await DBOS.get_workflow_status_async(attempt_id(row.id, row.attempt - 1))
    if before is not None and before.status in _ALIVE:
        return True
    intakes = await DBOS.list_workflows_async(
        queue_name=queue.INTAKE_QUEUE, status=_ALIVE, load_output=False
    )
    return any(each.name != queue.INTAKE or _subject(each.input) == row.subject for each in intakes)


def _subject(given: Any) -> str | None:
    arguments = given["args"] if given else ()
    if not arguments:
        return None
    trigger = Trigger.recorded(arguments[0])
    return subject_key(trigger.repository, trigger.number)


async def _close_run(services: Services, row: RunRow, told: tuple[str, str]) -> None:
    run, (problem, next_step) = row.input, told
    try:
        kept_at = await _put_in_order(services, run)
        if row.stop_asked_by:
            ending = Report(outcome=Outcome.STOPPED, kept_at=kept_at)
        else:
            ending = Report(
                outcome=Outcome.ERROR, problem=problem, next_step=next_step, kept_at=kept_at
            )
        await report.report(services, run, row.attempt, ending)
    except RetryableError as absence:
        log.warning(log_events.DEAD_RUN_WAITING, run=row.id, why=str(absence))
        return
    except UserError as refusal:
        # The repository or the installation is gone: nobody is there to be told.
        log.warning(log_events.DEAD_RUN_NOT_REPORTED, run=row.id, why=str(refusal))
        await services.runs.finish(run.id, Outcome.ERROR)
    await services.save_counts(row.id)
    log.warning(log_events.DEAD_RUN_CLOSED, run=row.id, why=problem)


async def _put_in_order(services: Services, run: RunInput) -> str:
    """Leave no check run open and bring the work to a safe place, whose name is returned.

    What is refused of it (the App may have lost a permission) keeps nothing else from being done.
    """
    try:
        await verify.complete_open_check_runs(services, run)
    except UserError as refusal:
        log.warning(log_events.DEAD_RUN_CHECKS_LEFT_OPEN, run=run.id, why=str(refusal))
    try:
        return await checkpoint.salvage(services, run)
    except UserError as refusal:
        log.warning(log_events.DEAD_RUN_WORK_KEPT_LOCALLY, run=run.id, why=str(refusal))
        return ""
