"""Polling GitHub for labels and comments: everything once, and the same as by webhook."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.domain.trigger import Ignored, from_event
from app.github import webhooks
from app.github.client import GitHubApp
from app.playground.github import GitHub
from app.runs import queue
from app.runs.polling import Poller
from app.store.database import Database
from tests.support.app_on_github import OURS, REPO, app_on_github


@dataclass
class Bench:
    github: GitHub
    app: GitHubApp
    queue: queue.TriggerQueue
    database: Database
    poller: Poller

    async def restart(self) -> None:
        """Another process polls on."""
        self.poller = Poller(self.database, self.app, self.queue, OURS)

    def triggers(self) -> list[dict[str, Any]]:
        """What was accepted."""
        with queue.client(self.database) as client:
            rows = client.list_workflows()
            return [row.input["args"][0] for row in rows if row.input]

    async def by_webhook(self, event: str, action: str) -> int:
        """Take the newest such delivery in as web does, 1 where it is new."""
        await self.github.drained()
        found = [
            each for each in self.github.deliveries if (each.event, each.action) == (event, action)
        ]
        body = json.dumps(found[-1].payload).encode()
        decided = from_event(event, webhooks.read(event, "application/json", body), OURS)
        assert not isinstance(decided, Ignored), decided
        return await self.queue.enqueue(decided) == "accepted"

    def asked(self, status: int) -> int:
        """How often a list was answered with this status."""
        lists = ("issues/events", "issues/comments", "pulls/comments")
        return sum(
            each.status == status and each.path.endswith(lists) for each in self.github.requests
        )


@pytest.fixture(name="bench")
async def _bench(tmp_path: Path) -> AsyncIterator[Bench]:
    people = {"olivia": "admin", "walter": "write"}
    async with app_on_github(tmp_path, people) as found:
        poller = Poller(found.database, found.app, found.queue, OURS)
        yield Bench(found.github, found.app, found.queue, found.database, poller)


async def test_a_label_and_a_comment_are_found_once(bench: Bench) -> None:
    assert await bench.poller.poll() == 0
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    await bench.github.comment(REPO, 1, "walter", "/honk fix it")
    await bench.github.comment(REPO, 1, "walter", "just talk")
    assert await bench.poller.poll() == 2
    assert await bench.poller.poll() == 0
    await bench.restart()
    assert await bench.poller.poll() == 0


async def test_nothing_new_costs_nothing(bench: Bench) -> None:
    await bench.poller.poll()
    spent = sum(each.used for each in bench.github.world.rates.values())
    for _ in range(3):
        await bench.poller.poll()
    assert bench.asked(304) == 9
    assert sum(each.used for each in bench.github.world.rates.values()) == spent


async def test_the_same_by_webhook_counts_once(bench: Bench) -> None:
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    assert await bench.by_webhook("issues", "labeled")
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    assert await bench.by_webhook("issue_comment", "created")
    assert await bench.poller.poll() == 0

    await bench.github.comment(REPO, 1, "olivia", "/honk stop")
    assert await bench.poller.poll() == 1
    assert not await bench.by_webhook("issue_comment", "created")


async def test_a_second_between_label_and_issue_is_the_same_label(bench: Bench) -> None:
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    await bench.github.drained()
    delivery = bench.github.deliveries[-1]
    issue = delivery.payload["issue"]
    at = issue["updated_at"]
    issue["updated_at"] = f"{at[:17]}{(int(at[17:19]) + 2) % 60:02}Z"
    if issue["updated_at"] < at:
        pytest.skip("the minute just ended")
    assert await bench.by_webhook("issues", "labeled")
    assert await bench.poller.poll() == 0


async def test_a_trigger_is_the_one_that_a_webhook_brings(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "walter", "/honk fix <b>\u202eit</b> `now`")
    await bench.github.drained()
    body = json.dumps(bench.github.deliveries[-1].payload).encode()
    told = from_event(
        "issue_comment", webhooks.read("issue_comment", "application/json", body), OURS
    )
    assert not isinstance(told, Ignored)
    assert await bench.poller.poll() == 1
    (found,) = bench.triggers()
    assert found == told.model_dump(mode="json")


async def test_what_happened_before_the_first_look(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "olivia", "/honk old")
    await bench.github.comment(REPO, 1, "olivia", "/honk new")
    bench.github.issue(REPO, 1).comments[0].created_at -= timedelta(hours=2)
    assert await bench.poller.poll() == 1


async def test_what_happened_while_nothing_polled(bench: Bench) -> None:
    assert await bench.poller.poll() == 0
    for number in range(120):
        await bench.github.comment(REPO, 1, "olivia", f"talk {number}")
    await bench.github.comment(REPO, 1, "olivia", "/honk first")
    for number in range(120):
        await bench.github.comment(REPO, 1, "olivia", f"talk {number}")
    await bench.restart()
    assert await bench.poller.poll() == 1


async def test_what_honk_writes_starts_nothing(bench: Bench) -> None:
    world = bench.github.world
    issue = bench.github.issue(REPO, 1)
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    issue.comments[-1].author = world.bot
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    issue.events[-1].actor = world.bot
    assert await bench.poller.poll() == 0
    reads = [each for each in bench.github.requests if each.path.endswith("/issues/1")]
    assert reads == []


@pytest.mark.parametrize("status", [403, 404, 410, 500])
async def test_one_repository_in_trouble_does_not_stop_the_others(
    bench: Bench, status: int
) -> None:
    await bench.github.add_repository("olivia/other", files={"a": b"a"}, permissions={})
    await bench.github.open_issue("olivia/other", "olivia", "Broken", "It is.")
    await bench.github.comment("olivia/other", 1, "olivia", "/honk fix it")
    bench.github.faults.answer("GET", "/repos/olivia/calc/", status, {"message": "x"}, times=None)
    assert await bench.poller.poll() == 1
    bench.github.faults.clear()
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    assert await bench.poller.poll() == 1


async def test_a_failure_half_way_loses_nothing(bench: Bench) -> None:
    await bench.poller.poll()
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    bench.github.faults.answer("GET", "/issues/1$", 500, {"message": "x"}, times=None)
    await bench.poller.poll()
    bench.github.faults.clear()
    await bench.poller.poll()
    assert len(bench.triggers()) == 2


@pytest.mark.parametrize("part", ["actor", "label", "created_at"])
async def test_an_entry_that_cannot_be_read_is_skipped(bench: Bench, part: str) -> None:
    await bench.poller.poll()
    await bench.github.add_label(REPO, 1, "honk", "olivia")
    event = bench.github.issue(REPO, 1).events[-1]
    event.more[part] = {"what": "ever"}
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    await bench.poller.poll()
    assert len(bench.triggers()) == 1


async def test_closing_ends_a_run_as_by_webhook(bench: Bench) -> None:
    await bench.github.add_label(REPO, 1, "honk:running", "olivia")
    await bench.github.close_issue(REPO, 1, "olivia")
    assert await bench.by_webhook("issues", "closed")
    assert await bench.poller.poll() == 0


async def test_uninstalled_and_archived_repositories_are_left_alone(bench: Bench) -> None:
    await bench.github.comment(REPO, 1, "olivia", "/honk fix it")
    bench.github.repository(REPO).archived = True
    assert await bench.poller.poll() == 0
    assert bench.asked(200) == 0
