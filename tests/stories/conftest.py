"""One house for all stories; the few that kill or starve the product open one of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

from tests.support import postgres
from tests.support.house import AS_FLEET, House, houses_are_fleets, open_house
from tests.support.postgres import Postgres


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house() -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a story that failed what Honk itself failed at; the house is gone when it ends."""
    report = yield
    shared = getattr(item, "funcargs", {}).get("house")
    if report.failed and isinstance(shared, House):
        report.sections.append(("Honk's own failures", shared.own_failures()))
    return report


@pytest.fixture(scope="session", autouse=True)
def _fleet() -> Iterator[None]:
    if not AS_FLEET:
        yield
        return
    # Not the one that stories ask for by name: they stop it and start it again.
    with postgres.running() as server, houses_are_fleets(server):
        yield


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server
