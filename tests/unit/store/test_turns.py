"""A transcript that goes back to the last turn whose work was saved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.domain.values import RunId
from app.store.database import Database
from app.store.schema import runs
from app.store.turns import Turns

RUN = RunId("run")


@pytest.fixture(name="turns")
async def _turns(tmp_path: Path) -> AsyncIterator[Turns]:
    """The assignment, three turns of the model that change the work, the last not yet answered."""
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    row = {column.name: "0" for column in runs.columns if not column.nullable}
    numbers = ("number", "installation_id", "asked_at", "created_at", "updated_at")
    database.transact(
        lambda connection: connection.execute(
            sa.insert(runs).values(**{**row, "id": RUN, "input": {}, **dict.fromkeys(numbers, 0)})
        )
    )
    turns = Turns(database, RUN)
    for seq, snapshot in enumerate([None, None, "one", None, "two", None]):
        by_model = bool(seq % 2)
        await turns.record(seq, {"seq": seq}, cost_usd=1.0, snapshot=snapshot, by_model=by_model)
    yield turns
    database.close()


async def _left(turns: Turns) -> list[int]:
    return [record["seq"] for record in await turns.load()]


async def test_what_came_after_the_saved_tree_is_forgotten(turns: Turns) -> None:
    assert await turns.rewind_to("one") == 3
    assert await _left(turns) == [0, 1, 2]
    assert await turns.last_snapshot() == "one"


async def test_where_nothing_was_saved_the_first_change_is_made_again(turns: Turns) -> None:
    assert await turns.rewind_to("base") == 5
    assert await _left(turns) == [0]
    assert await turns.last_snapshot() is None
