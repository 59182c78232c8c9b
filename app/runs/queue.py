"""The two queues, and how triggers enter the first. The web process uses this module, so it must
not import workflows.

Each trigger is one `intake` workflow named by the trigger's id, so that a repeated trigger is one
intake. Each attempt of a run is one `attempt` workflow; attempts of one subject run one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

from dbos import DBOS, DBOSClient, EnqueueOptions
from dbos import _error as dbos_error
from dbos import _serialization as dbos_serialization
from dbos._dbos import _get_dbos_instance
from sqlalchemy.exc import DBAPIError

from app.domain.run import RunInput, attempt_id, subject_of
from app.domain.trigger import Signal, Trigger
from app.errors import UserError
from app.store.database import Database, away
from app.store.pending import Request

APPLICATION = "honk"
APPLICATION_VERSION = "honk-1"
"""Constant, so that the engine recovers attempts that another version of Honk began."""
HISTORY = "2"
"""The version of the workflow's recorded steps. Change it with their names, order or results,
unless the change goes through `DBOS.patch`: an attempt that another version began then ends with an
explanation and keeps its work. tests/stories/workflow_history.json holds the steps."""
INTAKE = "intake"
SIGNAL = "signal"
ATTEMPT = "attempt"
INTAKE_QUEUE = "intake"
RUNS_QUEUE = "runs"
INTAKE_POLL_SECONDS = 0.1
"""How often a worker polls for triggers: a person is waiting for the acknowledgment."""
RUNS_POLL_SECONDS = 0.3
"""How often it polls for attempts, whose requesters were acknowledged; each poll costs idle
workers."""
IDLE_INTAKE_POLL_SECONDS = 0.4
IDLE_RUNS_POLL_SECONDS = 1.0
"""The same while no worker has anything to do (`app.runs.pace`)."""
INTAKE_CONCURRENCY = 32
"""Triggers that one worker handles at once."""
INTAKE_WORKER_LIMIT = 128
"""Triggers that one worker dequeues, including those waiting for a service."""
_UNTIL_ADMITTED = 10 * 365 * 86_400.0


class _JsonOnly(dbos_serialization.DBOSPortableJSONSerializer):
    """DBOS's portable JSON; the class name distinguishes its rows from other formats."""


SERIALIZER = _JsonOnly()


def refuse_pickle() -> None:
    """Refuse to read values in DBOS's default format, which are pickles."""

    def refuse(_data: str) -> NoReturn:
        raise ValueError("a pickled value in the database was refused")

    dbos_serialization.DBOSDefaultSerializer.deserialize = refuse  # type: ignore[method-assign, assignment]


@contextmanager
def client(database: Database) -> Iterator[DBOSClient]:
    """A DBOS client: it enqueues and registers but runs nothing."""
    refuse_pickle()
    opened = DBOSClient(
        system_database_engine=database.engine,
        dbos_system_schema=None if database.is_sqlite else "dbos",
        serializer=SERIALIZER,
        application_name=APPLICATION,
        lazy=True,
        retry_connection_errors=False,
    )
    try:
        yield opened
    finally:
        opened.destroy()


@contextmanager
def trigger_queue(database: Database) -> Iterator[TriggerQueue]:
    """The web process's access to the engine while the context is open."""
    with client(database) as opened:
        yield TriggerQueue(opened)


class TriggerQueue:
    """Enqueues triggers durably."""

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    async def check(self) -> None:
        """Raises UserError when the queues do not exist, RetryableError without the database."""
        try:
            found = await asyncio.to_thread(self._client.retrieve_queue, INTAKE_QUEUE)
        except DBAPIError as problem:
            raise away(problem) from None
        if found is None:
            raise UserError(
                "The database has no queues yet.", next_step="Run `honk migrate` first."
            )

    async def oldest_enqueued_at(self) -> float | None:
        """When the oldest waiting trigger was enqueued, in seconds since 1970; None when none
        waits.

        Raises RetryableError when the database is unavailable.
        """
        try:
            waiting = await asyncio.to_thread(
                self._client.list_workflows,
                queue_name=INTAKE_QUEUE,
                status="ENQUEUED",
                limit=1,
                load_input=False,
                load_output=False,
            )
        except DBAPIError as problem:
            raise away(problem) from None
        return waiting[0].created_at / 1000 if waiting and waiting[0].created_at else None

    async def knows(self, ids: Sequence[str]) -> bool:
        """Whether a trigger with one of these ids was enqueued before.

        Raises RetryableError when the database is unavailable.
        """
        try:
            found = await asyncio.to_thread(
                self._client.list_workflows,
                workflow_ids=[f"intake:{each}" for each in ids],
                limit=1,
                load_input=False,
                load_output=False,
            )
        except DBAPIError as problem:
            raise away(problem) from None
        return bool(found)

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        """Insert the trigger durably. Raises RetryableError when the database is unavailable."""
        options: EnqueueOptions = {
            "workflow_name": SIGNAL if isinstance(trigger, Signal) else INTAKE,
            "queue_name": INTAKE_QUEUE,
            "workflow_id": intake_id(trigger),
            "workflow_id_reuse_policy": "reject",
            "app_version": APPLICATION_VERSION,
        }
        payload: dict[str, Any] = trigger.model_dump(mode="json")
        try:
            await asyncio.to_thread(self._client.enqueue, options, payload)
        except dbos_error.DBOSWorkflowIDInUseError:
            return "known"
        except DBAPIError as problem:
            raise away(problem) from None
        return "accepted"


async def enqueue_again(request: Request, tries: int) -> None:
    """Enqueue a retry of a request; the same retry enqueued twice runs once.

    Raises RetryableError when the database is unavailable.
    """
    try:
        await DBOS.enqueue_workflow_with_options_async(
            {
                "workflow_name": SIGNAL if request.kind == "signal" else INTAKE,
                "queue_name": INTAKE_QUEUE,
                "workflow_id": f"intake:{request.id}~{tries}",
                "app_version": APPLICATION_VERSION,
            },
            request.payload,
            tries,
        )
    except DBAPIError as problem:
        raise away(problem) from None


async def enqueue_attempt(run: RunInput, number: int) -> None:
    """Queue an attempt until it is admitted, from inside a workflow; repeated calls have no
    effect."""
    await DBOS.enqueue_workflow_with_options_async(
        {
            "workflow_name": ATTEMPT,
            "queue_name": RUNS_QUEUE,
            "workflow_id": attempt_id(run.id, number),
            "queue_partition_key": partition(run),
            "delay_seconds": _UNTIL_ADMITTED,
            "app_version": APPLICATION_VERSION,
        },
        run.model_dump(mode="json"),
        number,
    )


async def poll_at(*, busy: bool) -> None:
    """Have all workers poll the queues often, or as seldom as idle ones may.

    DBOS reads a queue's interval again before each poll. Raises RetryableError when the database is
    unavailable.
    """
    for name, often, seldom in (
        (INTAKE_QUEUE, INTAKE_POLL_SECONDS, IDLE_INTAKE_POLL_SECONDS),
        (RUNS_QUEUE, RUNS_POLL_SECONDS, IDLE_RUNS_POLL_SECONDS),
    ):
        try:
            polled = await DBOS.retrieve_queue_async(name)
            seconds = often if busy else seldom
            if polled is not None and await polled.get_polling_interval_sec_async() != seconds:
                await polled.set_polling_interval_sec_async(seconds)
        except DBAPIError as problem:
            raise away(problem) from None


async def release_attempt(attempt: str) -> None:
    """Release a queued attempt to the first worker with a free slot.

    Raises RetryableError when the database is unavailable.
    """
    try:
        await DBOS.set_workflow_delay_async(attempt, delay_seconds=0)
        # DBOS checks for expired delays only once a second; people are waiting.
        await asyncio.to_thread(_system_database().transition_delayed_workflows)
    except DBAPIError as problem:
        raise away(problem) from None


def hand_over(database: Database, executor: str) -> int:
    """Put a worker's unfinished workflows back in their queues; return how many there were.

    The worker must no longer run any of them.
    """
    with client(database) as opened:
        left = opened.list_workflows(
            executor_id=executor, status="PENDING", load_input=False, load_output=False
        )
        for queue_name in {each.queue_name for each in left}:
            theirs = [each.workflow_id for each in left if each.queue_name == queue_name]
            opened.resume_workflows(theirs, queue_name=queue_name)
    return len(left)


async def cancel_attempt(attempt: str) -> bool:
    """Cancel a queued attempt, from inside a step; False when it has started."""
    status = await DBOS.get_workflow_status_async(attempt)
    if status is None or status.status not in ("DELAYED", "ENQUEUED"):
        return False
    await DBOS.cancel_workflow_async(attempt)
    return True


def _system_database() -> Any:
    """A private attribute of DBOS, whose version is pinned; tests/unit/runs checks what we use."""
    return _get_dbos_instance()._sys_db


def partition(run: RunInput) -> str:
    """The queue partition of a run: one attempt runs at a time in each."""
    return subject_of(run.trigger)


def intake_id(trigger: Trigger | Signal) -> str:
    """The workflow id of a trigger's intake."""
    return f"intake:{trigger.id}"
