"""Months go by: what is old is forgotten and swept away, and everything still works."""

from __future__ import annotations

import copy
import dataclasses
import os
import time
from pathlib import Path

from app import log_events
from app.playground.github.deliveries import SimulatedDelivery
from tests.support.house import FINISH, FIX, House, Subject, open_house_of_one_worker, script

DAY = 86_400


async def test_what_is_old_is_forgotten_and_swept_away() -> None:
    async with open_house_of_one_worker() as house:
        (machine,) = house.machines
        house.model.scripts["olivia/old#1"] = house.model.scripts["olivia/old#2"] = script(
            [FIX], [FINISH]
        )
        subject = await house.subject(name="old")
        await subject.label()
        await subject.settled()
        mirror = machine / "mirrors" / "olivia" / "old.git"
        assert mirror.is_dir()
        left = machine / "workspaces" / "abcdefghij-verify" / "tree"

        await _months_later(house, 100, left)
        assert _count(house, "runs") == _count(house, "turns") == _count(house, "results") == 0
        assert _workflows(house) == 1
        assert not left.exists()
        assert not mirror.exists()

        # The run is forgotten; that it was asked for is not.
        house.github.world.webhooks.send_again(_asked(house))
        await house.github.drained()
        assert house.github.world.webhooks.log[-1].status_code == 200

        await _months_later(house, 100, left)
        assert _workflows(house) == 0
        await _send_what_was_said_months_ago(house)
        await house.until(
            lambda: "it was asked too long ago" in house.log(), "the old request was heard"
        )

        issue = await house.github.open_issue("olivia/old", "olivia", "Again", "It subtracts.")
        again = Subject(house, "olivia/old", issue.number)
        house.model.scripts[f"olivia/old#{issue.number}"] = script([FIX], [FINISH])
        await again.label()
        await again.settled()
        assert again.labels == ["honk:done"]
        assert len(subject.ours) == 2
        assert mirror.is_dir()


async def _months_later(house: House, days: int, left: Path) -> None:
    """Stop, let everything that is on this machine become older, and start again."""
    await house.stop()
    (machine,) = house.machines
    cleaned = house.log().count(log_events.DISK_CLEANED)
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
        house.sql(statement, ago=days * DAY)
    await house.start()
    await house.until(
        lambda: house.log().count(log_events.DISK_CLEANED) == cleaned + 1, "nothing was cleaned"
    )


def _asked(house: House) -> SimulatedDelivery:
    (found,) = [
        each
        for each in house.github.world.webhooks.log
        if each.action == "labeled" and each.status_code == 202
    ]
    return found


async def _send_what_was_said_months_ago(house: House) -> None:
    payload = copy.deepcopy(_asked(house).payload)
    payload["issue"]["updated_at"] = "2020-01-02T03:04:05Z"
    house.github.world.webhooks.send_again(dataclasses.replace(_asked(house), payload=payload))
    await house.github.drained()
    assert house.github.world.webhooks.log[-1].status_code == 202


def _count(house: House, table: str) -> int:
    ((number,),) = house.sql(f"SELECT count(*) FROM {table}")  # noqa: S608
    return int(number)


def _workflows(house: House) -> int:
    ((number,),) = house.sql(
        "SELECT count(*) FROM workflow_status WHERE name IN ('intake', 'attempt')"
    )
    return int(number)
