"""Reading GitHub's delivery log: all of it, each entry once."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from app.domain.trigger import AppIdentity
from app.github.client import GitHubApp
from app.playground.github import GitHub, serve
from app.playground.pages import github_with_pages
from app.playground.run import APP_ID, registration
from app.runs import engine, queue
from app.runs.reconcile import Reconciler, ReconcileResult
from app.store.database import Database
from app.store.schema import deliveries

REPO = "olivia/calc"


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
    github = github_with_pages(tmp_path / "github", registration(tmp_path))
    github.add_user("olivia")
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    engine.migrate(database, concurrency=1)
    key = SecretStr((tmp_path / "app.pem").read_text())
    async with contextlib.AsyncExitStack() as stack:
        url = await stack.enter_async_context(serve(github, port=0))
        app = GitHubApp(str(APP_ID), key, f"{url}/api/v3", url)
        stack.push_async_callback(app.close)
        triggers = stack.enter_context(queue.trigger_queue(database))
        await github.add_repository(REPO, files={"a": b"a"}, permissions={"olivia": "admin"})
        await github.open_issue(REPO, "olivia", "Broken", "It is.")
        ours = AppIdentity(app_id=APP_ID, slug="honk")
        yield Bench(github, Reconciler(database, app, triggers, ours), database)
    database.close()


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
