"""Which runs are dead, and which only look like it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from dbos import DBOS

from app.domain import words
from app.domain.run import attempt_id
from app.runs import engine, queue
from app.runs.settling import how_it_died
from app.store.database import Database
from app.store.runs import RunRow, Runs
from app.store.schema import runs
from tests.support.postgres import Postgres
from tests.support.runs import open_run


@pytest.fixture(name="database")
async def _database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.database())
    engine.migrate(database, concurrency=1)
    async with engine.running(database, executor="one"):
        yield database
    database.close()
    DBOS.destroy(destroy_registry=True)


async def _opened_long_ago(database: Database) -> RunRow:
    run = await open_run(database, "run", "acme/one", 1)
    past = sa.update(runs).values(updated_at=0.0)
    database.transact(lambda connection: connection.execute(past))
    return await Runs(database).get(run.id)


async def test_a_run_that_nobody_queued_is_dead(database: Database) -> None:
    row = await _opened_long_ago(database)
    assert await how_it_died(Runs(database), row, None) == words.never_queued()


async def test_a_run_that_was_queued_since_somebody_looked_is_alive(database: Database) -> None:
    row = await _opened_long_ago(database)
    with queue.client(database) as client:
        await client.enqueue_async(
            {
                "workflow_name": queue.ATTEMPT,
                "queue_name": queue.RUNS_QUEUE,
                "workflow_id": attempt_id(row.id, row.attempt),
                "queue_partition_key": "a",
                "delay_seconds": 1e6,
                "app_version": queue.APPLICATION_VERSION,
            }
        )
    assert await how_it_died(Runs(database), row, None) is None
