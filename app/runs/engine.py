"""The engine: DBOS Transact on our database, with the guard rails it needs (docs/design.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSConfig

from app.runs import queue
from app.store.database import Database

# Above any real number of attempts at once: the partition's limit of one is only kept when a limit
# for the whole queue is set too.
_WHOLE_QUEUE = 100_000


def migrate(database: Database) -> None:
    """Create or update every table, ours and the engine's, and register the queues."""
    database.migrate()
    _configure(database, executor="migrate")
    DBOS.listen_queues([])
    DBOS.launch()
    try:
        _register_queues(concurrency=1, overwrite=False)
    finally:
        DBOS.destroy(workflow_completion_timeout_sec=0)


@asynccontextmanager
async def running(database: Database, *, concurrency: int, executor: str) -> AsyncIterator[None]:
    """Work on the queues while the context is open; workflows must be registered before.

    `concurrency` is how many attempts run at once in this worker.
    """
    _configure(database, executor=executor)
    DBOS.launch()
    try:
        await asyncio.to_thread(_register_queues, concurrency=concurrency, overwrite=True)
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)


def _configure(database: Database, *, executor: str) -> None:
    queue.refuse_pickle()
    _speak_through_our_log()
    config: DBOSConfig = {
        "name": queue.APPLICATION,
        "system_database_url": database.url,
        "system_database_engine": database.engine,
        "serializer": queue.SERIALIZER,
        "application_version": queue.APPLICATION_VERSION,
        "executor_id": executor,
        "log_level": "WARNING",
        "enable_otlp": False,
        "notification_listener_polling_interval_sec": 0.25,
    }
    DBOS(config=config)


def _register_queues(*, concurrency: int, overwrite: bool) -> None:
    conflict = "always_update" if overwrite else "never_update"
    DBOS.register_queue(
        queue.INTAKE_QUEUE,
        worker_concurrency=queue.INTAKE_AT_ONCE,
        polling_interval_sec=queue.POLL_SECONDS,
        on_conflict=conflict,  # type: ignore[arg-type]
    )
    DBOS.register_queue(
        queue.RUNS_QUEUE,
        worker_concurrency=concurrency,
        global_concurrency=_WHOLE_QUEUE,
        partition_concurrency=1,
        polling_interval_sec=queue.POLL_SECONDS,
        on_conflict=conflict,  # type: ignore[arg-type]
    )


def _speak_through_our_log() -> None:
    """The engine logs to a console of its own unless it finds a handler: give it a mute one."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = True
