"""What pages read: lists of runs in one query, and how each run's last attempt ended."""

from __future__ import annotations

import sqlalchemy as sa

from app.domain.report import (
    Report,
)
from app.domain.run import Outcome
from app.domain.values import RunId
from app.store.database import Database
from app.store.history import History
from app.store.reports import Reports
from app.store.run_lists import RunFilter, RunLists
from app.store.runs import Runs
from app.store.schema import reports
from tests.support.runs import LARGE, open_run


async def test_lists_are_narrowed_and_go_on(database: Database) -> None:
    for number, repository in enumerate(["acme/one", "Acme/Two", "acme/one"], 1):
        await open_run(database, f"run{number}", repository, number)
    lists = RunLists(database)
    queued = await lists.live("queued", RunFilter(), 10)
    assert [line.id for line in queued] == ["run1", "run2", "run3"]
    assert await lists.live("running", RunFilter(), 10) == []
    for number in (1, 2, 3):
        outcome = Outcome.DONE if number == 3 else Outcome.ERROR
        await Runs(database).finish(RunId(f"run{number}"), outcome)
    window = await lists.finished(RunFilter(), 10)
    newest = window.lines
    assert window.older is None
    assert [line.id for line in newest] == ["run3", "run2", "run1"]
    assert newest[0].title == "title of run3 'ü"
    assert {line.repository_id for line in newest} == {LARGE}
    assert [line.mode for line in newest] == ["work"] * 3
    first = await lists.finished(RunFilter(), 2)
    assert first.older == newest[1].created_at
    rest = await lists.finished(RunFilter(), 2, before=first.older)
    assert [line.id for line in rest.lines] == ["run1"]
    for given, found in (
        (RunFilter(repository="acme/two"), ["run2"]),
        (RunFilter(actor=newest[0].actor.upper()), ["run3", "run2", "run1"]),
        (RunFilter(actor="nobody"), []),
        (RunFilter(outcome=Outcome.ERROR), ["run2", "run1"]),
        (RunFilter(repository="acme/one", outcome=Outcome.ERROR), ["run1"]),
        (RunFilter(text="OF RUN2 '"), ["run2"]),
        (RunFilter(text="#3"), ["run3"]),
        (RunFilter(text="100%_"), []),
        (RunFilter(label="no such label"), []),
    ):
        assert [line.id for line in (await lists.finished(given, 10)).lines] == found, given


async def test_a_report_is_that_of_the_last_attempt(database: Database) -> None:
    run = await open_run(database, "run", "acme/one", 1)
    kept = Reports(database)
    assert await kept.of(run.id, 1) is None
    await kept.put(run.id, 1, Report(outcome=Outcome.ERROR, problem="no"))
    await kept.put(run.id, 2, Report(outcome=Outcome.DONE))
    assert await kept.of(run.id, 1) is None
    found = await kept.of(run.id, 2)
    assert found is not None
    assert found.outcome is Outcome.DONE


async def test_a_report_of_another_version_is_none(database: Database) -> None:
    run = await open_run(database, "run", "acme/one", 1)
    row = {"run_id": run.id, "attempt": 1, "report": {"outcome": "wonderful"}}
    database.transact(lambda connection: connection.execute(sa.insert(reports).values(**row)))
    assert await Reports(database).of(run.id, 1) is None


async def test_a_report_goes_with_its_run(database: Database) -> None:
    run = await open_run(database, "run", "acme/one", 1)
    await Reports(database).put(run.id, 1, Report(outcome=Outcome.DONE))
    row = await Runs(database).finish(run.id, Outcome.DONE)
    assert await History(database).forget(row.updated_at + 10) == 1
    left = sa.select(sa.func.count()).select_from(reports)
    assert database.transact(lambda connection: connection.execute(left).scalar_one()) == 0
