"""Which checks wait in the background, and which were asked for."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import sqlalchemy as sa

from app.domain.command import Command
from app.domain.policy import Policy
from app.domain.trigger import MergeGroup
from app.domain.values import CommitSha
from app.runs.commands import check
from app.runs.services import Services
from app.store.database import Database
from app.store.runs import Runs
from app.store.schema import workers
from tests.support.postgres import Postgres
from tests.support.runs import check_trigger, open_run

_SHA = CommitSha("a" * 40)
_GROUP = MergeGroup(
    head_sha=_SHA, head_ref="gh-readonly-queue/main/pr-7-b", base_sha=_SHA, base_ref="main"
)
_ENGINES = SimpleNamespace(default="e")
_SERVICES = cast("Services", SimpleNamespace(model_id="m", model_id_max="x", engines=_ENGINES))


@pytest.mark.parametrize(
    ("asked", "background"),
    [
        ({}, True),
        ({"command": Command(name="test", task="")}, False),
        ({"merge_group": _GROUP}, False),
    ],
    ids=["pushed", "button", "merge queue"],
)
def test_only_what_no_one_asked_for_waits_in_the_background(
    asked: dict[str, Any], background: bool
) -> None:
    run = check.new_run(_SERVICES, check_trigger(**asked), Policy())
    assert (run.quiet, run.background) == (True, background)


async def test_a_free_slot_goes_to_the_check_that_a_person_asked_for(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    worker = {"id": "worker", "slots": 1, "started_at": time.time()}
    database.transact(lambda connection: connection.execute(sa.insert(workers), [worker]))
    for number in range(3):
        name = f"pushed{number}"
        await open_run(database, name, "acme/one", number + 1, quiet=True, background=True)
    await open_run(database, "asked", "acme/one", 7, quiet=True)
    assert await Runs(database).next_to_admit(leave_out=()) == [("asked", 1)]
    database.close()


@pytest.mark.slow
async def test_all_workers_order_their_requests_by_one_clock(postgres: Postgres) -> None:
    database = Database(postgres.database())
    server = sa.select(sa.func.clock_timestamp())

    def ask(connection: sa.Connection) -> datetime:
        found: datetime = connection.execute(server).scalar_one()
        return found

    before = await database.run(ask)
    moment = await database.moment()
    assert before < moment < await database.run(ask)
    database.close()
