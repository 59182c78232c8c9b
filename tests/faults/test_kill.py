"""The kill matrix in its short form; `make faults ONLY=kill` goes through all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app import log_events
from app.domain.policy import Policy
from app.domain.run import branch_name
from app.playground.github.faults import UNICORN
from tests.faults.kill import Bench, Point, on_sqlite

SHORT = [
    Point("intake", "acknowledge", 1, "during"),
    Point("attempt", "commit", 1, "during"),
    Point("attempt", "publish", 1, "during"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="bench")
async def _bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    folder: Path = tmp_path_factory.mktemp("faults")
    async with on_sqlite(folder) as bench:
        yield bench


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("point", SHORT, ids=str)
async def test_killed_there_it_does_not_show(bench: Bench, point: Point) -> None:
    await bench.survives(point)


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_announced_and_never_queued_is_not_left_waiting(bench: Bench) -> None:
    subject = await bench.dies_for_good(Point("intake", "acknowledge", 1, "during"))

    assert subject.labels == ["honk:failed"]
    assert "failed to start it" in subject.status


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_what_kills_its_worker_three_times_stops_and_says_so(bench: Bench) -> None:
    """And waits with the message while GitHub is unavailable."""
    faults = bench.harness.github.faults
    dying = asyncio.create_task(bench.dies_for_good(Point("attempt", "verify", 1, "during")))
    await bench.harness.until(lambda: bench.deaths == 3, "it did not die three times")
    faults.answer("*", "^/repos/", 502, UNICORN, times=None)
    await bench.harness.until(
        lambda: log_events.DEAD_RUN_WAITING in bench.harness.log(), "it did not wait"
    )
    faults.clear()
    subject = await dying

    assert subject.labels == ["honk:failed"]
    assert "crashed more than once" in subject.status
    assert "**Failed.**" in subject.status
    assert subject.pulls == []
    repository = bench.harness.github.world.repository(subject.repository)
    (check,) = repository.check_runs()
    assert (check.status, check.conclusion, check.title) == ("completed", "cancelled", "Not judged")


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_published_and_not_written_down_is_not_made_again(bench: Bench) -> None:
    subject = await bench.dies_for_good(Point("attempt", "verify", 1, "during"))
    # The state after the worker died right after creating the branch.
    query = "SELECT head_sha FROM runs WHERE repository = :repository"
    ((sha,),) = bench.harness.sql(query, repository=subject.repository)
    branch = branch_name(Policy(), subject.number, subject.issue.title)
    await subject.git("update-ref", f"refs/heads/{branch}", sha)

    await subject.comment("/honk continue")
    await bench.harness.until(lambda: subject.labels == ["honk:done"], "it did not go on")
    assert (await subject.git("rev-list", "--branches", "--not", "main")).split() == [sha]
    (pull,) = subject.pulls
    assert pull.pull is not None
    assert pull.pull.head == branch
