"""The short form of `make trust`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cheats.harness import GREEN, Bench
from tests.cheats.honest import OWN, Own, judged
from tests.cheats.run import both
from tests.cheats.table import CHEATS, POLICY, PROJECT, SHORT, Cheat

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    yield await Bench.make(tmp_path_factory.mktemp("trust") / "python", PROJECT, POLICY)


@pytest.mark.parametrize("cheat", [each for each in CHEATS if each.name in SHORT])
async def test_a_cheat_gets_no_green_but_without_its_defence(cheat: Cheat, bench: Bench) -> None:
    caught, control = await both(cheat, bench)
    assert caught.conclusion != GREEN, caught
    assert control.conclusion == GREEN, control


@pytest.mark.parametrize("change", OWN)
async def test_an_honest_change_is_let_through(change: Own, tmp_path: Path) -> None:
    outcome = await judged(change, tmp_path / "honest")
    assert not outcome.draft, outcome
    assert len(outcome.flags) <= 1, outcome


async def test_every_short_row_is_in_the_table() -> None:
    assert set(SHORT) <= {cheat.name for cheat in CHEATS}
