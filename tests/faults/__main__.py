"""`make faults`: inject one fault after the other, and check what people see of each.

Each part stops within ten minutes and resumes when it is called again; progress is kept in
.cache/faults for each commit. Its table goes into docs/faults.md.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import functools
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.faults import chaos, deliveries, github, kill, machine, model, slack
from tests.faults.points import Point, go_through, is_bad, table, write_down
from tests.support.ledger import Ledger

_CACHE = Path(".cache/faults")
_DATABASES: dict[str, Callable[[Path], AbstractAsyncContextManager[kill.Bench]]] = {
    "sqlite": kill.on_sqlite,
    "postgres": kill.on_postgres,
}
_TITLES = {
    "kill": "Kill matrix",
    "model": model.TITLE,
    "github": github.TITLE,
    "slack": slack.TITLE,
    "chaos": chaos.TITLE,
    "deliveries": deliveries.TITLE,
    "machine": machine.TITLE,
}
_SECONDS = 420.0
"""One call of a part starts no new point after this time."""


async def _kill(ledger: Ledger, databases: Sequence[str], ends: float) -> list[Point]:
    points: list[Point] = []
    for name in databases:
        with tempfile.TemporaryDirectory() as folder:
            async with _DATABASES[name](Path(folder)) as bench:
                told = {_named(each, name): each for each in await bench.points()}
                points += told
                survive = functools.partial(_dies_unseen, bench, told)
                await go_through(list(told), survive, ledger, ends=ends, at_once=1)
    return points


def _named(point: kill.Point, database: str) -> Point:
    nth = f" ({point.nth})" if point.nth > 1 else ""
    return Point(f"{point.workflow}: {point.step}{nth}", f"{point.when}, {database}")


async def _dies_unseen(bench: kill.Bench, told: dict[Point, kill.Point], point: Point) -> str:
    await bench.survives(told[point])
    return "ok"


async def _model(ledger: Ledger, ends: float) -> list[Point]:
    points = model.points()
    async with model.opened() as bench:
        await go_through(points, bench.survives, ledger, ends=ends)
    return points


async def _github(ledger: Ledger, ends: float) -> list[Point]:
    async with github.opened() as bench:
        points = await bench.points()
        alone = [point for point in points if bench.needs_the_harness_alone(point)]
        others = [point for point in points if point not in alone]
        await go_through(others, bench.survives, ledger, ends=ends)
        await go_through(
            [dataclasses.replace(each, slow=False) for each in alone],
            bench.survives,
            ledger,
            ends=ends,
            at_once=1,
        )
    return points


async def _slack(ledger: Ledger, ends: float) -> list[Point]:
    async with slack.opened() as bench:
        points = await bench.points()
        alone = [point for point in points if bench.needs_slack_alone(point)]
        others = [point for point in points if point not in alone]
        await go_through(others, bench.survives, ledger, ends=ends)
        await go_through(alone, bench.survives, ledger, ends=ends, at_once=1)
    return points


async def _machine(ledger: Ledger, ends: float) -> list[Point]:
    points = machine.points()
    await go_through(points, machine.survives, ledger, ends=ends)
    return points


async def _go_on(
    name: str, ledger: Ledger, databases: Sequence[str], seed: int
) -> tuple[str, list[str]]:
    """Resume a part. Returns its section of the document and each point's result, "" if not run."""
    ends = time.monotonic() + _SECONDS
    if name == "chaos":
        await chaos.go_on(ledger, seed, ends)
        return chaos.section(ledger, seed), chaos.results(ledger, seed)
    if name == "deliveries":
        await deliveries.go_on(ledger)
        return deliveries.section(ledger), [row[-1] for row in ledger.rows.values()]
    if name == "kill":
        points = await _kill(ledger, databases, ends)
    else:
        parts = {"model": _model, "github": _github, "slack": _slack, "machine": _machine}
        points = await parts[name](ledger, ends)
    results = [ledger.rows.get(str(point), [""])[-1] for point in points]
    return table(_TITLES[name], points, ledger), results


def _part(name: str, ledger: Ledger, databases: Sequence[str], seed: int) -> int:
    """Resume a part. Returns 0 when everything passed, 1 when something failed, 3 if incomplete."""
    section, results = asyncio.run(_go_on(name, ledger, databases, seed))
    print(section)
    write_down(section)
    if any(is_bad(result) for result in results):
        return 1
    if not all(results):
        print(f"Incomplete. To resume, call it again with ONLY={name}.")
        return 3
    return 0


def main() -> int:
    """Run the parts. Returns the worst exit code."""
    parser = argparse.ArgumentParser(prog="make faults")
    parser.add_argument("--only", choices=list(_TITLES), help="one part, not all")
    parser.add_argument("--on", choices=list(_DATABASES), help="the kill matrix on one database")
    parser.add_argument("--seed", type=int, default=chaos.SEED, help="seed of the random faults")
    parser.add_argument("--again", action="store_true", help="start over")
    given = parser.parse_args()
    # Like Ctrl-C, so that everything that was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    databases = [given.on] if given.on else list(_DATABASES)
    codes = []
    for name in [given.only] if given.only else list(_TITLES):
        ledger = Ledger(_CACHE / name, again=given.again)
        codes.append(_part(name, ledger, databases, given.seed))
    return 1 if 1 in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
