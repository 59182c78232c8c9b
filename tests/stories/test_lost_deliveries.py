"""Missed deliveries are fetched from GitHub's log, because GitHub does not resend them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from app import log_events
from app.playground.run import environment
from app.runs import engine
from app.store.database import Database
from tests.support import forked
from tests.support.harness import FINISH, FIX, Worker, open_fleet, open_harness, script
from tests.support.postgres import Postgres


@pytest.mark.slow
async def test_what_was_asked_while_honk_was_away_is_done_when_it_is_back() -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await harness.stop()
        await subject.label()
        await harness.github.drained()
        assert [
            each.status for each in harness.github.world.webhooks.log if each.action == "labeled"
        ] == ["failed to connect to host"]

        await harness.start()
        await subject.settled()
        assert subject.labels == ["honk:done"]
        assert len(subject.pulls) == 1

        # Sent again, it is the same request.
        (lost,) = [
            each
            for each in harness.github.world.webhooks.log
            if each.action == "labeled"
            and each.payload["label"]["name"] == "honk"
            and each.status_code == 502
        ]
        harness.github.world.webhooks.send_again(lost)
        await harness.github.drained()
        assert harness.github.world.webhooks.log[-1].status_code == 200


@pytest.mark.slow
async def test_a_single_worker_reads_the_delivery_log() -> None:
    async with open_fleet(None, workers=1, receivers=0, settings={"HONK_INTAKE": "log"}) as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        await subject.comment("/honk status")
        await harness.until(
            lambda: any("<!-- honk:answer=" in each.body for each in subject.ours), "no answer"
        )

        assert subject.labels == ["honk:done"]
        assert len(subject.pulls) == 1


async def test_a_worker_that_can_read_the_log_no_more_does_not_look_alive(
    postgres: Postgres,
) -> None:
    address = postgres.database()
    database = Database(address)
    engine.migrate(database, concurrency=1)
    database.transact(lambda connection: connection.execute(sa.text("DROP TABLE deliveries")))
    database.close()
    async with open_fleet(address, workers=0, receivers=0) as fleet:
        path = fleet.home / "worker.log"
        with path.open("ab") as log:
            words, settings = ("app", "worker"), environment(fleet.settings)
            worker = Worker(forked.start_logging(words, settings, fleet.home, log), path)
        fleet.workers.append(worker)
        await worker.ended()

        assert log_events.WORKER_PART_FAILED in worker.log
