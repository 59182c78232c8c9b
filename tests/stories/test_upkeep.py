"""Months go by: old data is deleted, and everything still works."""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from pathlib import Path

import pytest

from app import log_events
from app.playground.github.deliveries import SimulatedDelivery
from tests.support.harness import (
    FINISH,
    FIX,
    Harness,
    Subject,
    open_harness_with_one_worker,
    script,
)

DAY = 86_400


@pytest.mark.slow
async def test_what_is_old_is_forgotten_and_swept_away() -> None:
    async with open_harness_with_one_worker() as harness:
        (machine,) = harness.machines
        harness.model.scripts["olivia/old#1"] = harness.model.scripts["olivia/old#2"] = script(
            [FIX], [FINISH]
        )
        subject = await harness.subject(name="old")
        await subject.label()
        await subject.settled()
        mirror = machine / "mirrors" / "olivia" / "old.git"
        assert mirror.is_dir()
        left = machine / "workspaces" / "abcdefghij-verify" / "tree"

        await _months_later(harness, 100, left)
        assert (
            _count(harness, "runs") == _count(harness, "turns") == _count(harness, "results") == 0
        )
        assert _workflows(harness) == 1
        assert not left.exists()
        assert not mirror.exists()

        # The run is deleted, but its request stays known.
        harness.github.world.webhooks.send_again(_asked(harness))
        await harness.github.drained()
        assert harness.github.world.webhooks.log[-1].status_code == 200

        await _months_later(harness, 100, left)
        assert _workflows(harness) == 0
        await _send_what_was_said_months_ago(harness)
        await harness.until(
            lambda: "the request is too old" in harness.log(), "the old request was heard"
        )

        issue = await harness.github.open_issue("olivia/old", "olivia", "Again", "It subtracts.")
        again = Subject(harness, "olivia/old", issue.number)
        harness.model.scripts[f"olivia/old#{issue.number}"] = script([FIX], [FINISH])
        await again.label()
        await again.settled()
        assert again.labels == ["honk:done"]
        assert len(subject.ours) == 1
        assert mirror.is_dir()


async def _months_later(harness: Harness, days: int, left: Path) -> None:
    """Stop, make everything on this machine older, and start again."""
    await harness.stop()
    (machine,) = harness.machines
    cleaned = harness.log().count(log_events.DISK_CLEANED)
    left.mkdir(parents=True)
    old = time.time() - days * DAY
    for path in (left.parent, *machine.glob("mirrors/*/*/honk.lock")):
        os.utime(path, (old, old))
    os.utime(machine / ".cleaned", (old, old))
    for statement in (
        "UPDATE runs SET created_at = created_at - :ago, finished_at = finished_at - :ago",
        "UPDATE results SET created_at = created_at - :ago",
        "UPDATE marks SET at = at - :ago WHERE name = 'cleaned'",
        "UPDATE workflow_status SET created_at = created_at - 1000.0 * :ago",
    ):
        harness.sql(statement, ago=days * DAY)
    await harness.start()
    await harness.until(
        lambda: harness.log().count(log_events.DISK_CLEANED) == cleaned + 1, "nothing was cleaned"
    )


def _asked(harness: Harness) -> SimulatedDelivery:
    (found,) = [
        each
        for each in harness.github.world.webhooks.log
        if each.action == "labeled" and each.status_code == 202
    ]
    return found


async def _send_what_was_said_months_ago(harness: Harness) -> None:
    payload = copy.deepcopy(_asked(harness).payload)
    payload["issue"]["updated_at"] = "2020-01-02T03:04:05Z"
    harness.github.world.webhooks.send_again(dataclasses.replace(_asked(harness), payload=payload))
    await harness.github.drained()
    assert harness.github.world.webhooks.log[-1].status_code == 202


def _count(harness: Harness, table: str) -> int:
    ((number,),) = harness.sql(f"SELECT count(*) FROM {table}")  # noqa: S608
    return int(number)


def _workflows(harness: Harness) -> int:
    ((number,),) = harness.sql(
        "SELECT count(*) FROM workflow_status WHERE name IN ('intake', 'attempt')"
    )
    return int(number)
