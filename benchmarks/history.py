"""Does a run cost more when ten thousand were there before it than when ten were?

`ONLY=history make bench`. Two harnesses on one database kind: one stays at ten runs, the other gets
a longer and longer past (`benchmarks/past.py`): rows and pins as a real run leaves them, all of the
repository that is worked on, and the refs on GitHub of one in a hundred (OPEN=1: of all). In turns
each does the same small run; what is compared are the medians. What the database does is counted
where nothing else on the machine is seen in it: SQLite's steps, and the rows that Postgres reads.
At the end each statement that a run asks is explained.

Writes docs/pictures/run-cost.svg.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from app.store.database import Database
from benchmarks.past import Past
from benchmarks.plot import Line, plot
from benchmarks.processes import ticks
from tests.support import postgres
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

SIZES = (10, 100, 1_000, 10_000)
ROUNDS = 4
LAST_ROUNDS = 8
WARM_UPS = 2
PICTURE = Path(__file__).parents[1] / "docs/pictures/run-cost.svg"

_RECORDED_SECONDS = 0.6
_GROWING = ("runs", "turns", "reports", "results", "messages", "images", "deliveries")
_ENGINES = ("workflow_status", "workflow_input", "workflow_output", "operation_outputs")
_TOLD = 12

Asked = dict[str, dict[str, Any]]


@dataclass
class Cost:
    """What one run took. `read`: hundreds of SQLite's steps, or Postgres's rows.

    Some statements are asked again and again by the clock: a run that takes longer, on a machine
    that is busy, has more of them. What each of them reads does not depend on that.
    """

    seconds: float
    processor: float
    calls: float
    statements: float
    database: float
    read: float
    read_by_each: float


class Place:
    """A harness and its database's statistics."""

    def __init__(self, harness: Harness, database: Database, recording: Path) -> None:
        self.harness = harness
        self.database = database
        self.asked: Asked = {}
        self._recording = recording
        self._repository = ""

    async def warm(self) -> None:
        self._repository = (await self.harness.subject()).repository
        for _ in range(WARM_UPS):
            await self.run()

    def past(self) -> Past:
        """A history made from the last run, in GitHub's repository and in the worker's mirror."""
        ours = self.harness.github.world.repository(self._repository).git.path
        mirror = self.harness.home / "honk/mirrors" / f"{self._repository.lower()}.git"
        return Past(self.database.engine, ours, mirror)

    async def run(self) -> Cost:
        """One more run, from its label to its last message."""
        assert self.harness.honk is not None
        pid = self.harness.honk.process.pid
        issue = await self.harness.github.open_issue(self._repository, "olivia", "Wrong", "It is.")
        subject = Subject(self.harness, self._repository, issue.number)
        self.harness.model.scripts[subject.name] = script([FIX], [FINISH])
        asked, read = self._asked(), self._rows_read()
        busy, began = ticks(pid, children=True), time.perf_counter()
        await subject.label()
        await subject.settled()
        seconds = time.perf_counter() - began
        processor = (ticks(pid, children=True) - busy) / os.sysconf("SC_CLK_TCK")
        await asyncio.sleep(_RECORDED_SECONDS)
        self.asked = _since(asked, self._asked())
        statements = sum(each["count"] for each in self.asked.values())
        read = self._rows_read() - read + sum(each["steps"] for each in self.asked.values())
        return Cost(
            seconds=seconds,
            processor=processor,
            calls=self._calls(subject),
            statements=statements,
            database=sum(each["seconds"] for each in self.asked.values()),
            read=read,
            read_by_each=read / statements,
        )

    def _asked(self) -> Asked:
        found: Asked = json.loads(self._recording.read_text())
        return found

    def _calls(self, subject: Subject) -> int:
        query = "SELECT api_calls + token_requests FROM runs WHERE subject = :subject"
        with self.database.engine.connect() as connection:
            found = connection.execute(sa.text(query), {"subject": subject.name.lower()})
            return int(found.scalar_one())

    def _rows_read(self) -> int:
        """As counted by Postgres: sessions report within about a second."""
        if self.database.is_sqlite:
            return 0
        query = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) FROM pg_stat_user_tables"
        with self.database.engine.connect() as connection:
            return int(connection.execute(sa.text(query)).scalar_one())


def _since(before: Asked, after: Asked) -> Asked:
    found = {}
    for statement, seen in after.items():
        old = before.get(statement, {"count": 0, "seconds": 0.0, "steps": 0})
        fresh = {name: seen[name] - old[name] for name in ("count", "seconds", "steps")}
        if fresh["count"]:
            found[statement] = {**fresh, "parameters": seen["parameters"]}
    return found


def main() -> None:
    """Print and plot what a run costs at each size on both databases, and what grows."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="honk-bench-") as folder:
        urls = [f"sqlite:///{folder}/{name}.db" for name in ("few", "many")]
        found["SQLite"] = asyncio.run(_measure("SQLite", urls, Path(folder)))
    with postgres.running() as server, tempfile.TemporaryDirectory(prefix="honk-bench-") as folder:
        urls = [server.database(), server.database()]
        found["Postgres"] = asyncio.run(_measure("Postgres", urls, Path(folder)))
    PICTURE.write_text(_picture(found))


Ratios = dict[int, dict[str, float]]


async def _measure(name: str, urls: list[str], folder: Path) -> Ratios:
    ratios: Ratios = {}
    async with AsyncExitStack() as stack:
        few, many = [
            await _open(stack, url, folder / f"recording-{number}")
            for number, url in enumerate(urls)
        ]
        few_past, past = few.past(), many.past()
        await asyncio.to_thread(few_past.grow, SIZES[0])
        for size in SIZES:
            await asyncio.to_thread(past.grow, size)
            rounds = LAST_ROUNDS if size == SIZES[-1] else ROUNDS
            costs = [(await few.run(), await many.run()) for _ in range(rounds)]
            here = _medians([each[0] for each in costs]), _medians([each[1] for each in costs])
            ratios[size] = {what: here[1][what] / max(here[0][what], 1e-9) for what in here[0]}
            _tell(name, size, *here)
        _tell_what_grows(few, many)
        _tell_scans(many)
    return ratios


async def _open(stack: AsyncExitStack, url: str, recording: Path) -> Place:
    harness = await stack.enter_async_context(
        open_harness(module="benchmarks.recording", DATABASE_URL=url, RECORDING=str(recording))
    )
    database = Database(url)
    stack.callback(database.close)
    place = Place(harness, database, recording)
    await place.warm()
    return place


def _medians(costs: list[Cost]) -> dict[str, float]:
    return {
        each.name: statistics.median(getattr(cost, each.name) for cost in costs)
        for each in fields(Cost)
    }


def _tell(name: str, size: int, few: Mapping[str, float], many: Mapping[str, float]) -> None:
    parts = [f"{what} {many[what]:,.2f} ({many[what] / max(few[what], 1e-9):.2f})" for what in few]
    print(f"{name} {size:6,} runs before (times what it is at ten): {'   '.join(parts)}")


def _tell_what_grows(few: Place, many: Place) -> None:
    """Statements that cost more with the longer history, sorted by their cost in one run."""
    grown = []
    for statement, seen in many.asked.items():
        old = few.asked.get(statement)
        if old is not None:
            per = [
                (each["steps"] / each["count"], each["seconds"] / each["count"] * 1e3)
                for each in (old, seen)
            ]
            grown.append((per[1][0] - per[0][0], per[1][1] - per[0][1], seen["count"], statement))
    for steps, milliseconds, count, statement in sorted(grown, reverse=True)[:_TOLD]:
        if steps > 1 or milliseconds > 1:
            text = " ".join(statement.split())
            print(
                f"  {steps * 100:+,.0f} steps {milliseconds:+.2f} ms, {count} times: {text[:150]}"
            )


def _tell_scans(place: Place) -> None:
    """A run's queries that scan an entire table that grows with the number of runs."""
    for statement, seen in place.asked.items():
        if not statement.lstrip().upper().startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            continue
        for scan in _scans(place.database, statement, seen["parameters"]):
            print(f"  {scan}, {seen['count']} times a run: {' '.join(statement.split())[:150]}")


def _scans(database: Database, statement: str, parameters: Any) -> list[str]:
    word = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
    given = tuple(parameters) if isinstance(parameters, list) else parameters
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"{word} {statement}", given).all()
        connection.rollback()
    lines = [str(row[-1]) for row in rows]
    pattern = re.compile(
        r"\bSCAN (\w+)(?! USING)" if database.is_sqlite else r"\bSeq Scan on (\w+)"
    )
    found = [(line, match[1]) for line in lines if (match := pattern.search(line))]
    return [line.strip() for line, table in found if table in (*_GROWING, *_ENGINES)]


def _picture(found: Mapping[str, Ratios]) -> str:
    words = {
        "seconds": "time",
        "processor": "processor",
        "calls": "calls to GitHub",
        "read_by_each": "read by a statement",
    }
    panels = {
        name: [
            Line(label, [(size, ratios[size][what]) for size in ratios])
            for what, label in words.items()
        ]
        for name, ratios in found.items()
    }
    return plot("What a run costs, in times of what it costs at ten", "runs before it", panels)


if __name__ == "__main__":
    main()
