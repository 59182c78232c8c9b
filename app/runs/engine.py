"""The workflow engine: DBOS Transact on our database, with safeguards (docs/design.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from dbos import DBOS, DBOSClient, DBOSConfig

from app.runs import queue
from app.store.database import Database


def migrate(database: Database, *, concurrency: int) -> None:
    """Create or migrate all tables, ours and the engine's, and register the queues.

    `concurrency` is the number of attempts each worker runs at once. Raises UserError on a newer
    schema. Processes that start together take turns.
    """
    with database.exclusively("migrate", wait=True):
        database.migrate()
        DBOS.migrate(database.url)
        with queue.client(database) as client:
            _register_queues(client, concurrency)


@asynccontextmanager
async def running(database: Database, *, executor: str) -> AsyncIterator[None]:
    """Process the queues while the context is open.

    The database must be migrated and the workflows registered before.
    """
    _configure(database, executor=executor)
    DBOS.launch()
    try:
        yield
    finally:
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=0)
        # DBOS replaced asyncio.to_thread's executor with its own, which it has shut down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def _configure(database: Database, *, executor: str) -> None:
    queue.refuse_pickle()
    _route_engine_log()
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


def _register_queues(client: DBOSClient, concurrency: int) -> None:
    """Register the queues before DBOS starts, since it looks for new queues only once a second.

    The queue of attempts has no global limit: with one, workers that dequeue at the same time
    conflict and DBOS polls less and less often. Admission keeps that queue short.
    """
    client.register_queue(
        queue.INTAKE_QUEUE,
        worker_concurrency=queue.INTAKE_WORKER_LIMIT,
        polling_interval_sec=queue.INTAKE_POLL_SECONDS,
    )
    client.register_queue(
        queue.RUNS_QUEUE,
        worker_concurrency=concurrency,
        partition_concurrency=1,
        polling_interval_sec=queue.RUNS_POLL_SECONDS,
    )


def _route_engine_log() -> None:
    """Send DBOS's log through ours: it installs its own console handler unless it finds one."""
    logger = logging.getLogger("dbos")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = True
