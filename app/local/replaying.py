"""Replays a recorded run: the product gets its turns again, from the same commit.

The model's answers come from the record; tools, setup and tests run again. GitHub is simulated, so
nothing can be published.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from app.domain.replay import ReplayComparison, compare
from app.domain.run import RESUMABLE
from app.domain.transcript import RecordedTurn, read_turn
from app.errors import UserError
from app.local import checkout as checkouts
from app.local.instance import Glimpse, LocalHonk, local_honk
from app.playground.model import ModelScript, ScriptedTurn, StopReason
from app.store.database import Database
from app.store.reports import Reports
from app.store.runs import RunRow
from app.store.turns import Turns

_NAME = "replay"
_USUAL_ENDS = frozenset({"", "end_turn", "tool_use"})


async def replay(
    database: Database, row: RunRow, source: Path, watch: Callable[[Glimpse], None]
) -> ReplayComparison:
    """Replay a finished run. `source` is a repository that has its base commit.

    Raises UserError for a run that cannot be replayed, and without that commit.
    """
    then = [read_turn(record, at) for record, at in await Turns(database, row.id).stored()]
    _check_replayable(row, then)
    assert row.base_sha is not None
    if await checkouts.resolve(source, row.base_sha) is None:
        raise UserError(
            f"{source} does not have the commit {row.base_sha}, from which the run began.",
            next_step="Fetch it there, or name another clone with --repo PATH.",
        )
    folder = Path(tempfile.mkdtemp(prefix="honk-replay-"))
    try:
        trigger = row.input.trigger
        await checkouts.make_bare(source, folder / "source.git", row.base_sha, "main")
        environment = {**os.environ, "HONK_ENGINE": row.input.engine, "HONK_MODEL": row.input.model}
        async with local_honk({_NAME: script_of(then)}, environment=environment) as honk:
            issue = await honk.start(_NAME, folder / "source.git", trigger.title, trigger.body)
            now, last = await _played(honk, issue, row, watch)
            reports = (await Reports(database).of(row.id, row.attempt), await honk.report(last))
            verdicts = [report.verdict if report else None for report in reports]
            return compare(then, now, (verdicts[0], verdicts[1]))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _played(
    honk: LocalHonk, issue: Any, row: RunRow, watch: Callable[[Glimpse], None]
) -> tuple[list[RecordedTurn], RunRow]:
    """The new turns and the new run. Where the recorded run was continued, this one is, too."""
    now: list[RecordedTurn] = []
    attempt = 1
    while True:
        async for glimpse in honk.follow(issue, attempt=attempt):
            now = now + [turn for turn in glimpse.turns if turn.seq >= len(now)]
            watch(glimpse)
        last = glimpse.row
        if attempt >= row.attempt or last.outcome not in RESUMABLE:
            return now, last
        attempt += 1
        await honk.comment(issue, "/honk continue")


def _check_replayable(row: RunRow, turns: Sequence[RecordedTurn]) -> None:
    """Raises UserError."""
    trigger = row.input.trigger
    if row.finished_at is None:
        raise UserError(
            f"The run {row.id} is still in progress.", next_step="Replay it when it has ended."
        )
    if row.input.mode != "work" or not any(turn.role == "assistant" for turn in turns):
        raise UserError(f"In the run {row.id} no agent changed files, so there is no replay.")
    if trigger.is_pull_request:
        raise UserError(
            f"The run {row.id} was about a pull request; only runs of issues can be replayed."
        )
    if row.base_sha is None or row.start_tree is not None:
        raise UserError(
            f"The run {row.id} moved to another base while it worked, since others had pushed.",
            next_step="Such a run cannot be replayed.",
        )


def script_of(turns: Sequence[RecordedTurn]) -> ModelScript:
    """The recorded answers as a script. Thinking is left out: its signatures would be invalid."""
    return ModelScript(tuple(_scripted(turn) for turn in turns if turn.role == "assistant"))


def _scripted(turn: RecordedTurn) -> ScriptedTurn:
    known = turn.stop_reason in get_args(StopReason) and turn.stop_reason not in _USUAL_ENDS
    values: dict[str, Any] = {
        "say": turn.text,
        "use": [{call.name: call.arguments} for call in turn.calls],
        "stop": turn.stop_reason if known else None,
    }
    return ScriptedTurn.model_validate(values)
