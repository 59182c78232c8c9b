from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.agent.engine import TurnRecord
from app.domain.values import RunId
from app.errors import RetryableError
from app.retrying import RetryRule
from app.runs.steps.work import StoredTranscript
from app.store.database import Database
from app.store.turns import Turns


class _AwayForNow(Turns):
    """The database is unavailable so often before it is there."""

    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(Database(f"sqlite:///{folder}/honk.db"), RunId("a-run"))
        self.times = times
        self.recorded: list[int] = []

    async def record(self, seq: int, *_: Any, **__: Any) -> None:
        if self.times:
            self.times -= 1
            raise RetryableError("The database is unavailable.")
        self.recorded.append(seq)


_SAID = TurnRecord(seq=1, role="assistant", content=[{"type": "text", "text": "Hm."}])


async def test_what_was_paid_for_outlasts_a_short_outage(tmp_path: Path) -> None:
    turns = _AwayForNow(tmp_path, 2)
    await StoredTranscript(turns, RetryRule((0.0, 0.0))).record(_SAID)
    assert turns.recorded == [1]


async def test_a_long_outage_is_reported(tmp_path: Path) -> None:
    turns = _AwayForNow(tmp_path, 9)
    with pytest.raises(RetryableError):
        await StoredTranscript(turns, RetryRule((0.0, 0.0))).record(_SAID)
    assert turns.recorded == []
