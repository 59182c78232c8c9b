from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.store.database import Database
from tests.support import postgres
from tests.support.postgres import Postgres


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server


@pytest.fixture(name="database", params=["sqlite", "postgres"])
async def _database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A test of this runs once on each kind of database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'honk.db'}"
    else:
        url = request.getfixturevalue("postgres").database()
    database = Database(url)
    database.migrate()
    yield database
    database.close()
