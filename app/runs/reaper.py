"""The reaper: ends runs that have no live attempt, at start and on a timer.

A run is dead when its attempt ended without a report, crashed its worker three times, or was never
queued although nothing that could queue it is running any more.
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
from app.domain.run import Outcome, RunInput, attempt_id, subject_of
from app.domain.trigger import Trigger
from app.domain.values import RunId
from app.errors import HonkError, RetryableError, UserError
from app.runs import queue
from app.runs.attempt import Attempt
from app.runs.services import Services
from app.runs.steps import checkpoint, complete_check, report
from app.store.database import away
from app.store.runs import RunRow, Runs

log = structlog.get_logger()

REAP_SECONDS = 5.0

_ALIVE = ["ENQUEUED", "PENDING", "DELAYED"]
_UNQUEUED_SECONDS = 10.0


async def keep_reaping(services: Services) -> None:
    """Reap until cancelled; outages of GitHub or the database only delay it."""
    while True:
        try:
            await reap(services)
        except HonkError as problem:
            log.warning(log_events.REAPER_WAITING, why=str(problem))
        await asyncio.sleep(REAP_SECONDS)


async def reap(services: Services) -> None:
    """End every dead run; one that fails now does not block the others.

    Raises RetryableError when the database is unavailable.
    """
    try:
        async with services.database.alone("settle") as ours:
            if ours:
                await _reap_dead_runs(services)
    except DBAPIError as problem:
        # DBOS's own queries raise the driver's exceptions.
        raise away(problem) from None


async def _reap_dead_runs(services: Services) -> None:
    rows = await services.runs.alive()
    statuses = await _statuses(rows)
    for row in rows:
        await _reap_if_dead(services, row, statuses.get(row.id))


async def _reap_if_dead(services: Services, row: RunRow, status: str | None) -> None:
    """End a dead run. A failure is logged, and the run is checked again next time."""
    try:
        if status is None and await services.pending.find(row.trigger_id):
            return  # its intake is tried again
        problem_text = await dead_run_problem(services.runs, row, status)
        if problem_text is not None:
            await _close_run(services, row, problem_text)
    except (RetryableError, DBAPIError):
        raise
    except Exception as problem:
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            log.warning(log_events.DEAD_RUN_WAITS_FOR_DISK, run=row.id, why=str(problem))
        else:
            log.exception(log_events.DEAD_RUN_NOT_CLOSED, run=row.id)


async def _statuses(rows: list[RunRow]) -> dict[RunId, str]:
    """The workflow status of each run's current attempt, where DBOS knows it."""
    runs = {attempt_id(row.id, row.attempt): row.id for row in rows}
    if not runs:
        return {}
    known = await DBOS.list_workflows_async(
        workflow_ids=list(runs), load_input=False, load_output=False
    )
    return {runs[each.workflow_id]: each.status for each in known}


async def dead_run_problem(runs: Runs, row: RunRow, status: str | None) -> tuple[str, str] | None:
    """The problem and next step of a dead run; None for a live one.

    `status` is an earlier workflow status of its attempt: None when DBOS did not know it then.
    """
    if status is None:
        if _is_recent(row) or await _may_still_be_queued(row):
            return None
        # Query again: the workflow that queues the attempt may have done so and ended since the
        # first query.
        status = (await _statuses([row])).get(row.id)
    if status in _ALIVE:
        return None
    now = await runs.get(row.id)
    if now.finished_at is not None or now.attempt != row.attempt:
        return None  # it ended by itself in the meantime
    return messages.refusals.never_queued() if status is None else messages.refusals.attempt_died()


def _is_recent(row: RunRow) -> bool:
    return time.time() - row.updated_at < _UNQUEUED_SECONDS


async def _may_still_be_queued(row: RunRow) -> bool:
    """Whether an intake of its subject, or its previous attempt, is still running and may queue
    it."""
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
    return subject_of(trigger)


async def _close_run(services: Services, row: RunRow, problem_text: tuple[str, str]) -> None:
    run, (problem, next_step) = row.input, problem_text
    try:
        kept_at = await _secure_work(services, run)
        if row.stop_asked_by:
            ending = Report(outcome=Outcome.STOPPED, kept_at=kept_at)
        else:
            ending = Report(
                outcome=Outcome.ERROR, problem=problem, next_step=next_step, kept_at=kept_at
            )
        await report.report(Attempt(services, run, row.attempt), ending)
    except RetryableError as outage:
        log.warning(log_events.DEAD_RUN_WAITING, run=row.id, why=str(outage))
        return
    except UserError as refusal:
        # The repository or the installation is gone, so no notification is possible.
        log.warning(log_events.DEAD_RUN_NOT_REPORTED, run=row.id, why=str(refusal))
        await services.runs.finish(run.id, Outcome.ERROR)
    await services.save_counts(row.id)
    log.warning(log_events.DEAD_RUN_CLOSED, run=row.id, why=problem)


async def _secure_work(services: Services, run: RunInput) -> str:
    """Complete open check runs and save the work; return where it is, or nothing.

    A refusal, for example because the App lost a permission, does not stop the rest.
    """
    try:
        await complete_check.complete_open_check_runs(services, run)
    except UserError as refusal:
        log.warning(log_events.DEAD_RUN_CHECKS_LEFT_OPEN, run=run.id, why=str(refusal))
    try:
        return await checkpoint.salvage(services, run)
    except UserError as refusal:
        log.warning(log_events.DEAD_RUN_WORK_KEPT_LOCALLY, run=run.id, why=str(refusal))
        return ""
