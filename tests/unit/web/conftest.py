from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.unit.web.support import MemoryIntake, Site, running_site


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def running() -> AsyncIterator[Site]:
    """One server for a module: to stop it takes longer than most tests."""
    async with running_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    """The running server, with nothing taken in yet."""
    running.intake.__dict__.update(MemoryIntake().__dict__)
    running.ready = True
    return running
