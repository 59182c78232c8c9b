"""One house for all stories; the few that kill or starve the product open one of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.house import House, open_house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home = tmp_path_factory.mktemp("house")
    for parent in (home, *home.parents[:2]):
        parent.chmod(0o711)
    async with open_house(home) as opened:
        yield opened
