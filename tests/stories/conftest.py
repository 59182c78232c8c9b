"""One harness for all stories; the few that kill or starve the product open their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator

import pytest
import pytest_asyncio

from tests.support import postgres
from tests.support.harness import AS_FLEET, Harness, harnesses_are_fleets, open_harness
from tests.support.postgres import Postgres


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def harness() -> AsyncIterator[Harness]:
    async with open_harness() as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what Honk logged as its own failures with a failed story, before the harness ends."""
    report = yield
    shared = getattr(item, "funcargs", {}).get("harness")
    if report.failed and isinstance(shared, Harness):
        report.sections.append(("Honk's own failures", shared.own_failures()))
    return report


@pytest.fixture(scope="session", autouse=True)
def _fleet() -> Iterator[None]:
    if not AS_FLEET:
        yield
        return
    # Not the one that stories ask for by name: they stop it and start it again.
    with postgres.running() as server, harnesses_are_fleets(server):
        yield


@pytest.fixture(scope="session", name="postgres")
def _postgres() -> Iterator[Postgres]:
    with postgres.running() as server:
        yield server
