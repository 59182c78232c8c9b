"""Reading GitHub's delivery log: all of it, each entry once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.playground.github import GitHub
from app.runs import queue
from app.runs.reconcile import Reconciler, ReconcileResult
from app.store.database import Database
from app.store.schema import deliveries
from tests.support.app_on_github import OURS, REPO, app_on_github


@dataclass
class Bench:
    github: GitHub
    reconciler: Reconciler
    database: Database

    async def look(self) -> ReconcileResult:
        await self.github.drained()
        return await self.reconciler.reconcile()

    @property
    def triggers(self) -> list[str]:
        """The ids of what was accepted in."""
        with queue.client(self.database) as client:
            return [each.workflow_id for each in client.list_workflows(name=queue.INTAKE)]


@pytest.fixture(name="bench")
async def _bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with app_on_github(tmp_path, {"olivia": "admin"}) as found:
        reconciler = Reconciler(found.database, found.app, found.queue, OURS)
        yield Bench(found.github, reconciler, found.database)


async def test_every_page_is_read_and_every_entry_once(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "olivia", "/honk mend it")
    for number in range(110):
        await bench.github.comment(REPO, 1, "olivia", f"talk {number}")

    assert await bench.look() == ReconcileResult(inspected=111, accepted=1)
    assert len(bench.triggers) == 1
    assert await bench.look() == ReconcileResult(inspected=0, accepted=0)


async def test_a_redelivery_is_the_same_delivery(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "olivia", "/honk mend it")
    assert (await bench.look()).accepted == 1
    bench.github.world.webhooks.send_again(bench.github.world.webhooks.log[-1])
    assert await bench.look() == ReconcileResult(inspected=0, accepted=0)


@pytest.mark.parametrize(("answer", "inspected"), [(202, 0), (204, 0), (200, 1), (503, 1)])
async def test_only_our_own_receivers_answers_are_trusted(
    bench: Bench, answer: int, inspected: int
) -> None:
    await bench.github.comment(REPO, 1, "olivia", "/honk mend it")
    await bench.github.drained()
    bench.github.world.webhooks.log[-1].status_code = answer
    assert (await bench.look()).inspected == inspected


async def test_what_was_seen_is_forgotten_with_the_log(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "olivia", "talk")
    await bench.look()
    old = sa.update(deliveries).values(seen_at=1.0)
    bench.database.transact(lambda connection: connection.execute(old))
    await bench.look()

    count = sa.select(sa.func.count()).select_from(deliveries)
    assert bench.database.transact(lambda connection: connection.execute(count).scalar()) == 0
