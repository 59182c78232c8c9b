"""The two queues, and how a trigger gets into the first. Web uses it: it imports no workflow.

Each trigger is one `intake` workflow, named by the trigger's id, so the same trigger twice is one
intake. Each attempt of a run is one `attempt` workflow, one at a time per subject.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

from dbos import DBOS, DBOSClient, EnqueueOptions
from dbos import _error as dbos_error
from dbos import _serialization as dbos_serialization
from dbos._dbos import _get_dbos_instance
from sqlalchemy.exc import DBAPIError

from app.domain.run import RunInput, attempt_id, subject_key
from app.domain.trigger import Signal, Trigger
from app.errors import UserError
from app.store.database import Database, away
from app.store.pending import Request

APPLICATION = "honk"
# Changes of a workflow go through DBOS.patch, so that runs under way survive a deployment.
APPLICATION_VERSION = "honk-1"
INTAKE = "intake"
SIGNAL = "signal"
ATTEMPT = "attempt"
INTAKE_QUEUE = "intake"
RUNS_QUEUE = "runs"
INTAKE_POLL_SECONDS = 0.1
"""How often a worker looks for triggers: somebody waits to see that they were heard."""
RUNS_POLL_SECONDS = 0.3
"""How often it looks for attempts, whose people were answered; each look costs an idle worker."""
INTAKE_AT_ONCE = 32
"""Triggers that one worker hears at once."""
INTAKE_TAKEN = 128
"""Triggers that one worker has, with those that wait for a service until they are heard."""
_UNTIL_ADMITTED = 10 * 365 * 86_400.0


class _JsonOnly(dbos_serialization.DBOSPortableJSONSerializer):
    """The engine's portable JSON; its name tells rows apart from any other format."""


SERIALIZER = _JsonOnly()


def refuse_pickle() -> None:
    """Rows in the engine's default format are pickles: never read one, whoever wrote it."""

    def refuse(_data: str) -> NoReturn:
        raise ValueError("a pickled value in the database was refused")

    dbos_serialization.DBOSDefaultSerializer.deserialize = refuse  # type: ignore[method-assign, assignment]


@contextmanager
def client(database: Database) -> Iterator[DBOSClient]:
    """The engine from outside: it enqueues and registers, and runs nothing."""
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
    """The web process's end of the engine, for as long as the context is open."""
    with client(database) as opened:
        yield TriggerQueue(opened)


class TriggerQueue:
    """Takes triggers in: durable before it answers."""

    def __init__(self, client: DBOSClient) -> None:
        self._client = client

    async def check(self) -> None:
        """Raises UserError when the queues are not there, RetryableError without the database."""
        try:
            found = await asyncio.to_thread(self._client.retrieve_queue, INTAKE_QUEUE)
        except DBAPIError as problem:
            raise away(problem) from None
        if found is None:
            raise UserError(
                "The queues are not in the database yet.", next_step="Run `honk migrate` first."
            )

    async def oldest(self) -> float | None:
        """When the trigger that waits longest to be heard was taken in, in seconds since 1970.

        Raises RetryableError when the database is away.
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

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        """One durable insert. Raises RetryableError when the database is away."""
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
    """Take a request in once more; the same try twice is one.

    Raises RetryableError when the database is away.
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
    """Let an attempt wait to be admitted, from inside a workflow; the same attempt twice is one."""
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


async def release_attempt(attempt: str) -> None:
    """Let an attempt that waits go to the first worker with a free slot.

    Raises RetryableError when the database is away.
    """
    try:
        await DBOS.set_workflow_delay_async(attempt, delay_seconds=0)
        # The engine looks for expired delays once a second; people are waiting.
        await asyncio.to_thread(_system_database().transition_delayed_workflows)
    except DBAPIError as problem:
        raise away(problem) from None


def hand_over(database: Database, executor: str) -> int:
    """Put what a worker leaves unfinished back in its queue, as if it had not begun to die.

    The worker must be at work on none of it any more. Returns how many workflows these were.
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
    """Take an attempt out of the queue, from inside a step; False when it has begun."""
    status = await DBOS.get_workflow_status_async(attempt)
    if status is None or status.status not in ("DELAYED", "ENQUEUED"):
        return False
    await DBOS.cancel_workflow_async(attempt)
    return True


def _system_database() -> Any:
    """Private to the engine, whose version is exact; tests/unit/runs hold it to what is used."""
    return _get_dbos_instance()._sys_db


def partition(run: RunInput) -> str:
    """One attempt at a time for each of these."""
    return subject_key(run.trigger.repository, run.trigger.number)


def intake_id(trigger: Trigger | Signal) -> str:
    """The engine's name for the intake of this trigger."""
    return f"intake:{trigger.id}"
