"""Frequent queries read only current runs, however many ended before."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app.domain.values import RunId
from app.store.database import Database
from app.store.runs import Runs
from app.store.schema import runs, workers
from tests.support.postgres import Postgres

ENDED = 3_000
ASKED: dict[str, Callable[[Runs], Awaitable[object]]] = {
    "settling": lambda store: store.alive(),
    "admission": lambda store: store.next_to_admit(leave_out=()),
    "stops": lambda store: store.to_stop(),
    "the queue": lambda store: store.queued(5),
    "a subject's runs": lambda store: store.of_subject("o/r#7"),
    "a subject's live runs": lambda store: store.alive_on("o/r#7"),
    "a number's live runs": lambda store: store.alive_by_id(1, 7),
    "a commit's runs": lambda store: store.of_commit("o/r", "0" * 40),
    "a pull request's runs": lambda store: store.of_pull("o/r", 7),
    "the run": lambda store: store.find("r7"),
    "a day's money": lambda store: store.spent_since(time.time() - 3600.0),
    "a slot": lambda store: store.admitted(RunId("waiting"), 1),
}


@pytest.fixture(name="database", scope="module", params=["sqlite", "postgres"])
def _database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    if request.param == "sqlite":
        database = Database(f"sqlite:///{tmp_path_factory.mktemp('store') / 'honk.db'}")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        database = Database(postgres.database())
    database.migrate()
    _live_through(database)
    yield database
    database.close()


def _live_through(database: Database) -> None:
    """Runs of one repository that ended, each an hour after the one before, and one that waits."""
    begun = time.time() - (ENDED + 1) * 3600.0
    with database.engine.begin() as connection:
        ended = [_row(f"r{n}", n, begun + n * 3600.0, ended=True) for n in range(ENDED)]
        connection.execute(sa.insert(runs), ended)
        waiting = _row("waiting", ENDED, time.time(), ended=False)
        connection.execute(sa.insert(runs), [waiting])
        worker = {"id": "worker", "slots": 1, "started_at": time.time()}
        connection.execute(sa.insert(workers), [worker])
    if not database.is_sqlite:
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql("ANALYZE runs")


def _row(name: str, number: int, at: float, *, ended: bool) -> dict[str, object]:
    return {
        "id": name,
        "trigger_id": f"trigger {name}",
        "subject": f"o/r#{number}",
        "repository": "o/r",
        "number": number,
        "installation_id": 5,
        "actor": "olivia",
        "input": {"request": "words " * 100},
        "phase": "finished" if ended else "queued",
        "published_sha": f"{number:040}" if ended else None,
        "pull_number": number if ended else None,
        "asked_at": at,
        "admitted_at": at if ended else None,
        "created_at": at,
        "updated_at": at,
        "finished_at": at if ended else None,
    }


@pytest.mark.parametrize("what", ASKED)
async def test_it_reads_nothing_of_what_ended(database: Database, what: str) -> None:
    asked: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, given: Any, *_rest: Any) -> None:
        asked.append((statement, given))

    event.listen(database.engine, "before_cursor_execute", listen)
    try:
        # The rows here are too bare to be runs; what matters is how they were looked for.
        with contextlib.suppress(ValueError):
            await ASKED[what](Runs(database))
    finally:
        event.remove(database.engine, "before_cursor_execute", listen)
    assert any("runs" in statement for statement, _ in asked)
    walked = [plan for statement, given in asked for plan in _walks(database, statement, given)]
    assert walked == []


def _walks(database: Database, statement: str, given: Any) -> list[str]:
    """Lines of the query plan that scan all runs."""
    word = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{word} {statement}", given).all()
        connection.rollback()
    lines = [str(row[-1]) for row in rows]
    if database.is_sqlite:
        return [x for x in lines if x.startswith("SCAN runs") and "runs_alive" not in x]
    return [line for line in lines if "Seq Scan on runs" in line]
