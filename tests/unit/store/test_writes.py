"""One token bucket for each installation, for all workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.writes import Writes


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(name="clock")
def _clock() -> Clock:
    return Clock()


@pytest.fixture(name="workers", params=["sqlite", "postgres"])
async def _workers(
    request: pytest.FixtureRequest, tmp_path: Path, clock: Clock
) -> AsyncIterator[tuple[Writes, Writes]]:
    """Two processes' views of the same buckets."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'honk.db'}"
    else:
        url = request.getfixturevalue("postgres").database()
    databases = [Database(url), Database(url)]
    databases[0].migrate()
    yield Writes(databases[0], 60, clock), Writes(databases[1], 60, clock)
    for database in databases:
        database.close()


async def test_what_one_has_written_another_may_not(workers: tuple[Writes, Writes]) -> None:
    one, other = workers
    assert await other.allow(7, keep_back=0.9)
    await one.spend(7, 20)
    assert not await other.allow(7, keep_back=0.75)
    assert await other.allow(7, keep_back=0.5)
    # Another installation's bucket is its own.
    assert await other.allow(8, keep_back=0.9)


async def test_what_had_to_be_done_is_a_debt_that_ends(
    workers: tuple[Writes, Writes], clock: Clock
) -> None:
    one, other = workers
    await one.spend(7, 10_000)
    assert not await other.allow(7)
    clock.now += 115
    assert await other.allow(7, keep_back=0.85)
    assert not await other.allow(7, keep_back=0.95)
