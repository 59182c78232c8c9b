"""What Honk uses of the engine beyond its public interface: a new version has to pass here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
import sqlalchemy as sa
from dbos import DBOS, EnqueueOptions

from app.runs import engine, queue
from app.store.database import Database
from tests.support.postgres import Postgres

pytestmark = pytest.mark.slow

_DEAD = "dead"


@pytest.fixture
def database(postgres: Postgres) -> Iterator[Database]:
    opened = Database(postgres.database())
    engine.migrate(opened, concurrency=2)
    yield opened
    opened.close()
    DBOS.destroy(destroy_registry=True)


async def _until(happened: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await happened():  # noqa: ASYNC110 - another thread makes it so
            await asyncio.sleep(0.05)


async def _enqueue(database: Database, *, delayed: bool = False) -> None:
    options: EnqueueOptions = {
        "workflow_name": queue.ATTEMPT,
        "queue_name": queue.RUNS_QUEUE,
        "workflow_id": "a",
        "queue_partition_key": "a",
        "app_version": queue.APPLICATION_VERSION,
    }
    if delayed:
        options["delay_seconds"] = 1e6
    with queue.client(database) as client:
        await client.enqueue_async(options)


async def _is(key: str, status: str) -> bool:
    found = await DBOS.get_workflow_status_async(key)
    return found is not None and found.status == status


async def test_what_a_dead_executor_left_is_done_by_another(database: Database) -> None:
    done: list[str] = []

    @DBOS.workflow(name=queue.ATTEMPT)
    async def attempt() -> None:
        assert DBOS.workflow_id is not None
        done.append(DBOS.workflow_id)

    async with engine.running(database, executor="alive"):
        await _enqueue(database)
        await _until(lambda: _is("a", "SUCCESS"))
        left = "UPDATE dbos.workflow_status SET status = 'PENDING', executor_id = :dead"
        database.transact(lambda connection: connection.execute(sa.text(left), {"dead": _DEAD}))

        assert len(await asyncio.to_thread(DBOS._recover_pending_workflows, [_DEAD])) == 1
        assert await asyncio.to_thread(DBOS._recover_pending_workflows, [_DEAD]) == []
        await _until(lambda: _is("a", "SUCCESS"))
    assert done == ["a", "a"]


async def test_what_waits_to_be_admitted_is_released_at_once_and_only_then(
    database: Database,
) -> None:
    @DBOS.workflow(name=queue.ATTEMPT)
    async def attempt() -> None:
        pass

    async with engine.running(database, executor="alive"):
        await _enqueue(database, delayed=True)
        await asyncio.sleep(0.5)
        assert await _is("a", "DELAYED")
        await queue.release_attempt("a")
        assert not await _is("a", "DELAYED")
        await _until(lambda: _is("a", "SUCCESS"))


async def test_what_was_taken_out_of_the_queue_is_not_released(database: Database) -> None:
    @DBOS.workflow(name=queue.ATTEMPT)
    async def attempt() -> None:
        raise AssertionError("it was cancelled")

    async with engine.running(database, executor="alive"):
        await _enqueue(database, delayed=True)
        assert await queue.cancel_attempt("a")
        await queue.release_attempt("a")
        await asyncio.sleep(0.5)
        assert await _is("a", "CANCELLED")


async def test_what_is_handed_over_has_not_died(database: Database) -> None:
    started = asyncio.Event()

    @DBOS.workflow(name=queue.ATTEMPT)
    async def attempt() -> None:
        started.set()
        await asyncio.Event().wait()

    async with engine.running(database, executor="leaving"):
        await _enqueue(database)
        await started.wait()
    assert queue.hand_over(database, "leaving") == 1
    with queue.client(database) as client:
        (left,) = client.list_workflows()
    assert (left.status, left.queue_name, left.queue_partition_key) == ("ENQUEUED", "runs", "a")
    assert left.recovery_attempts == 0


async def test_how_often_the_queues_are_polled_can_be_changed(database: Database) -> None:
    @DBOS.workflow(name=queue.ATTEMPT)
    async def attempt() -> None:
        pass

    async with engine.running(database, executor="alive"):
        for busy in (False, True, True):
            await queue.poll_at(busy=busy)
            found = [await _interval(name) for name in (queue.INTAKE_QUEUE, queue.RUNS_QUEUE)]
            often = [queue.INTAKE_POLL_SECONDS, queue.RUNS_POLL_SECONDS]
            seldom = [queue.IDLE_INTAKE_POLL_SECONDS, queue.IDLE_RUNS_POLL_SECONDS]
            assert found == (often if busy else seldom)
        await _enqueue(database)
        await _until(lambda: _is("a", "SUCCESS"))


async def _interval(name: str) -> float:
    found = await DBOS.retrieve_queue_async(name)
    assert found is not None
    return await found.get_polling_interval_sec_async()
