"""The rows of runs, on each kind of database."""

from __future__ import annotations

from app.store.database import Database
from app.store.runs import Runs
from tests.support.runs import open_run


async def test_a_run_is_created_once(database: Database) -> None:
    run = await open_run(database, "aaaa", "acme/one", 1)
    runs = Runs(database)
    trigger = run.trigger.model_copy(update={"id": "another"})
    other = run.model_copy(update={"id": "bbbb", "trigger": trigger})
    opened = [await runs.open(other), await runs.open(other)]
    assert [(row.id, created) for row, created in opened] == [("bbbb", True), ("bbbb", False)]
