"""Which runs are dead, which only look like it, and that each dead one comes to its end."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from dbos import DBOS
from pydantic import SecretStr
from structlog.testing import capture_logs

from app import messages
from app.domain.run import Outcome, attempt_id
from app.domain.values import RepoName, RunId, TreeSha
from app.errors import RetryableError
from app.git.mirror import Mirrors
from app.github.client import GitHubApp
from app.playground.run import registration
from app.runs import engine, queue
from app.runs.reaper import dead_run_problem, reap
from app.runs.services import Services
from app.store.database import Database
from app.store.runs import RunRow, Runs
from app.store.schema import runs
from tests.support.postgres import Postgres
from tests.support.runs import open_run, services
from tests.unit.github.scripted import Reply, ScriptedGitHub

pytestmark = pytest.mark.slow


@pytest.fixture(name="database")
async def _database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.database())
    engine.migrate(database, concurrency=1)
    async with engine.running(database, executor="one"):
        yield database
    database.close()
    DBOS.destroy(destroy_registry=True)


async def _opened_long_ago(
    database: Database, name: str = "run", number: int = 1, *, quiet: bool = False, **values: str
) -> RunRow:
    run = await open_run(database, name, "acme/one", number, quiet=quiet)
    past = sa.update(runs).where(runs.c.id == run.id).values(updated_at=0.0, **values)
    database.transact(lambda connection: connection.execute(past))
    return await Runs(database).get(run.id)


async def test_a_run_that_was_never_queued_is_dead(database: Database) -> None:
    row = await _opened_long_ago(database)
    assert await dead_run_problem(Runs(database), row, None) == messages.refusals.never_queued()


async def test_a_run_that_was_queued_since_somebody_looked_is_alive(database: Database) -> None:
    row = await _opened_long_ago(database)
    with queue.client(database) as client:
        await client.enqueue_async(
            {
                "workflow_name": queue.ATTEMPT,
                "queue_name": queue.RUNS_QUEUE,
                "workflow_id": attempt_id(row.id, row.attempt),
                "queue_partition_key": "a",
                "delay_seconds": 1e6,
                "app_version": queue.APPLICATION_VERSION,
            }
        )
    assert await dead_run_problem(Runs(database), row, None) is None


class Failing(Mirrors):
    """A cache that fails on demand."""

    problem: Exception | None = None

    async def tree_of(self, repo: RepoName, commit: str) -> TreeSha:
        if self.problem is not None:
            raise self.problem
        return TreeSha(_SHA)


_SHA = "1" * 40
"""A base and the work on it: nothing was changed, so nothing is to be kept."""


@pytest.fixture(name="github")
async def _github() -> AsyncIterator[ScriptedGitHub]:
    github = ScriptedGitHub()
    async with github.serve():
        yield github


@pytest.fixture(name="mirrors")
def _mirrors(tmp_path: Path) -> Failing:
    return Failing(tmp_path / "mirrors")


@pytest.fixture(name="worker")
async def _worker(
    database: Database, github: ScriptedGitHub, mirrors: Failing, tmp_path: Path
) -> AsyncIterator[Services]:
    key = SecretStr(registration(tmp_path).private_key_pem)
    app = GitHubApp("7", key, github.url, github.url)
    with services(database, tmp_path, app, mirrors) as parts:
        yield parts
    await app.close()


async def _ended(worker: Services, run: str) -> bool:
    return (await worker.runs.get(RunId(run))).finished_at is not None


@pytest.mark.parametrize(
    ("problem", "level"),
    [(OSError(errno.ENOSPC, "No space left"), "warning"), (LookupError("unforeseen"), "error")],
)
async def test_one_that_cannot_be_settled_keeps_no_other_waiting(
    worker: Services, mirrors: Failing, problem: Exception, level: str
) -> None:
    work = {"base_sha": _SHA, "start_tree": _SHA}
    await _opened_long_ago(worker.database, "first", 1, quiet=True, **work)
    await _opened_long_ago(worker.database, "second", 2, quiet=True)
    mirrors.problem = problem
    with capture_logs() as lines:
        await reap(worker)
    assert not await _ended(worker, "first")
    assert await _ended(worker, "second")
    told = [line for line in lines if line.get("run") == "first"]
    assert [line["log_level"] for line in told] == [level]
    assert told[0].get("exc_info", False) is (level == "error")

    mirrors.problem = None
    await reap(worker)
    assert await _ended(worker, "first")


async def test_trouble_of_the_database_is_no_trouble_of_one_run(
    worker: Services, mirrors: Failing
) -> None:
    work = {"base_sha": _SHA, "start_tree": _SHA}
    await _opened_long_ago(worker.database, "first", 1, quiet=True, **work)
    mirrors.problem = sa.exc.OperationalError("SELECT", {}, OSError("gone"))
    with pytest.raises(RetryableError, match="database is unavailable"):
        await reap(worker)


async def test_a_requester_who_lost_access_still_gets_a_reply(
    worker: Services, github: ScriptedGitHub
) -> None:
    """Its check run stays open, for it may not be touched; its report does not depend on that."""
    row = await _opened_long_ago(worker.database, quiet=True, head_sha=_SHA)
    path = f"/app/installations/{row.installation_id}/access_tokens"
    refused = Reply(422, {"message": "The permissions requested are not granted."})
    github.reply("POST", path, *[refused] * 4)
    await reap(worker)
    assert await _ended(worker, "run")
    report = await worker.reports.of(row.id, row.attempt)
    assert report is not None
    assert report.outcome is Outcome.ERROR
    assert (report.problem, report.next_step) == messages.refusals.never_queued()
