"""Old records are deleted, on both databases; live and recent ones are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app.domain.retention import DAY
from app.runs import engine, queue, upkeep
from app.store.database import Database
from app.store.history import History
from app.store.schema import messages, results, runs, turns

NOW = 1_800_000_000.0
BEFORE = NOW - 90 * DAY
OLD, YOUNG = NOW - 100 * DAY, NOW - 10 * DAY


@pytest.fixture(name="database", params=["sqlite", "postgres"])
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    else:
        database = Database(request.getfixturevalue("postgres").database())
    engine.migrate(database, concurrency=1)
    yield database
    database.close()


def _run(name: str, asked: float, ended: float | None) -> dict[str, Any]:
    times = {"asked_at": asked, "created_at": asked, "updated_at": asked, "finished_at": ended}
    known = {"id": name, "trigger_id": name, "subject": f"o/n#{name}", "repository": "o/n"}
    rest = {"number": 1, "installation_id": 1, "actor": "o", "input": {}, "phase": "working"}
    return {**known, **rest, **times}


def _ids(database: Database, column: sa.Column[Any]) -> list[str]:
    query = sa.select(column).order_by(column)
    return list(database.transact(lambda c: c.execute(query).scalars().all()))


async def test_runs_that_ended_long_ago_go_with_all_that_is_theirs(database: Database) -> None:
    rows = [
        *(_run(f"old{number:03}", OLD, OLD + 60) for number in range(250)),
        _run("live", OLD, None),
        _run("long", OLD, YOUNG),
        _run("young", YOUNG, YOUNG + 60),
    ]

    def fill(connection: sa.Connection) -> None:
        connection.execute(sa.insert(runs), rows)
        for name in ("old000", "old249", "live", "young"):
            turn: dict[str, Any] = {"run_id": name, "seq": 0, "record": {}, "created_at": OLD}
            connection.execute(sa.insert(turns).values(**turn))
            said = {"id": f"said-{name}", "run_id": name, "author": "o", "text": "x"}
            connection.execute(sa.insert(messages).values(**said, created_at=OLD))
        for sha, at in (("a", OLD), ("b", YOUNG)):
            known = {"repository": "o/n", "commit_sha": sha, "environment": "e", "results": {}}
            connection.execute(sa.insert(results).values(**known, created_at=at))

    database.transact(fill)
    assert await History(database).forget(BEFORE) == 250

    assert _ids(database, runs.c.id) == ["live", "long", "young"]
    assert _ids(database, turns.c.run_id) == ["live", "young"]
    assert _ids(database, messages.c.run_id) == ["live", "young"]
    assert _ids(database, results.c.commit_sha) == ["b"]
    assert await History(database).forget(BEFORE) == 0


def test_the_engines_records_go_when_they_are_old_and_ended(database: Database) -> None:
    with queue.client(database) as client:
        for name in ("old", "waiting", "young"):
            client.enqueue(
                {
                    "workflow_name": queue.INTAKE,
                    "queue_name": queue.INTAKE_QUEUE,
                    "workflow_id": name,
                    "app_version": queue.APPLICATION_VERSION,
                },
                {"n": 1},
            )
        table = "workflow_status" if database.is_sqlite else "dbos.workflow_status"
        _set(database, table, ["old", "young"], "status = 'SUCCESS'")
        _set(database, table, ["old", "waiting"], f"created_at = {int(OLD * 1000)}")
        _set(database, table, ["young"], f"created_at = {int(YOUNG * 1000)}")

        assert upkeep.forget_named(client, [queue.ATTEMPT], BEFORE) == 0
        assert upkeep.forget_named(client, [queue.INTAKE], BEFORE) == 1
        left = {each.workflow_id for each in client.list_workflows(load_input=False)}
    assert left == {"waiting", "young"}


def _set(database: Database, table: str, names: list[str], change: str) -> None:
    which = ", ".join(f"'{name}'" for name in names)
    text = f"UPDATE {table} SET {change} WHERE workflow_uuid IN ({which})"  # noqa: S608
    database.transact(lambda connection: connection.execute(sa.text(text)))
