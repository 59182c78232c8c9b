"""What every part of the bench has: points to go through, some at once, and the table of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app import log_events
from tests.support.harness import Harness, Subject
from tests.support.ledger import Ledger

AT_ONCE = 4
SLOW_AT_ONCE = 12
PATIENT = 420.0
"""Seconds to wait for what anybody is to see: some faults are silences of minutes."""

WRITTEN = Path("docs/faults.md")

_HEAD = """# What went wrong, and what people saw of it

`make faults` prints this; [operations.md](operations.md#the-fault-bench) tells how to run it.
"""


@dataclass(frozen=True)
class Point:
    """One place in a run, and what goes wrong there. `slow`: by waiting, not by work."""

    where: str
    what: str
    slow: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class WrongError(AssertionError):
    """People could see the fault in a way that they should not."""


def demand(good: object, otherwise: str) -> None:
    """Raises WrongError with the words unless it is good."""
    if not good:
        raise WrongError(otherwise)


async def demand_the_usual_end(subject: Subject) -> None:
    """One pull request, one status comment, one ending each, one right check run, one commit.

    A commit object that no branch leads to, as a lost answer leaves behind, nobody can see.
    """
    demand(len(subject.pulls) == 1, f"{len(subject.pulls)} pull requests")
    demand("**Done.**" in subject.status, f"the status: {subject.status[:300]}")
    demand("is ready for your review" in subject.last_words, f"told: {subject.last_words[:300]}")
    demand(subject.labels == ["honk:done"], f"labels: {subject.labels}")
    demand(subject.check.conclusion == "success", f"the check run: {subject.check.conclusion}")
    repository = subject.harness.github.world.repository(subject.repository)
    ours = (await subject.git("rev-list", "--branches", "--not", "main")).split()
    demand(len(ours) == 1, f"{len(ours)} commits were made")
    demand(ours[0] in repository.signed, "the commit is not signed")
    unfinished = [run for run in repository.check_runs() if run.status != "completed"]
    demand(not unfinished, f"{len(unfinished)} check runs were left open")


async def over(harness: Harness, subject: Subject, *, endings: int = 1) -> None:
    """Wait until so many attempts have ended, for people and for the worker."""
    await subject.settled(endings=endings)
    run = subject.status.partition("<!-- honk:run=")[2].partition(" ")[0]

    def told() -> bool:
        lines = harness.log().splitlines()
        ends = [line for line in lines if log_events.ATTEMPT_ENDED in line and f"run={run}" in line]
        return len(ends) >= endings

    await harness.until(told, f"the worker is not done with {subject.repository}")


Survive = Callable[[Point], Awaitable[str]]


async def go_through(
    points: Sequence[Point],
    survive: Survive,
    ledger: Ledger,
    *,
    ends: float,
    at_once: int = AT_ONCE,
) -> None:
    """Go through what is not in the ledger yet, some at once, until the clock says `ends`.

    `survive` gives back in a word how the run took it, and raises AssertionError when it did not.
    """
    rooms = {False: asyncio.Semaphore(at_once), True: asyncio.Semaphore(SLOW_AT_ONCE)}

    async def one(point: Point) -> None:
        async with rooms[point.slow]:
            if time.monotonic() < ends:
                ledger.write(str(point), [await _result(survive, point)])

    await asyncio.gather(*(one(point) for point in points if str(point) not in ledger.rows))


async def _result(survive: Survive, point: Point) -> str:
    try:
        return await survive(point)
    except AssertionError as problem:
        return failed(problem)


def failed(problem: AssertionError) -> str:
    """A failure as it stands in the ledger."""
    first = str(problem).splitlines()[0] if str(problem) else "assertion"
    return f"FAILED: {first}"


def is_bad(result: str) -> bool:
    """Whether a result in the ledger is a failure."""
    return result.startswith("FAILED")


def table(title: str, points: Sequence[Point], ledger: Ledger) -> str:
    """The points where a fault had another effect than usual, the totals, and each failure."""
    wheres = list(dict.fromkeys(point.where for point in points))
    whats = list(dict.fromkeys(point.what for point in points))
    # The longer list goes downwards.
    rows, columns = (wheres, whats) if len(wheres) > len(whats) else (whats, wheres)
    known = {str(point) for point in points}

    def cell(row: str, column: str) -> str:
        where, what = (row, column) if rows is wheres else (column, row)
        name = str(Point(where, what))
        if name not in known:
            return ""
        result = ledger.rows.get(name, ["not yet"])[-1]
        return "**FAILED**" if is_bad(result) else result

    lines = [f"## {title}", "", f"Made from commit {ledger.commit}.", ""]
    lines += ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {row} | " + " | ".join(cell(row, each) for each in columns) + " |" for row in rows
    ]
    return "\n".join([*lines, "", *_totals(points, ledger)]) + "\n"


def _totals(points: Sequence[Point], ledger: Ledger) -> list[str]:
    done = {str(p): ledger.rows[str(p)][-1] for p in points if str(p) in ledger.rows}
    bad = {name: result for name, result in done.items() if is_bad(result)}
    kinds = sorted({result for result in done.values() if not is_bad(result)})
    counts = [f"{sum(r == kind for r in done.values())} {kind}" for kind in kinds]
    total = f"{len(points)} points: {', '.join([*counts, f'{len(bad)} failed'])}"
    left = len(points) - len(done)
    total += f", {left} not gone through yet." if left else "."
    return [total, *(f"- {name}: {result}" for name, result in bad.items())]


def write_down(section: str) -> None:
    """Put a part's section in the place of its former one in docs/faults.md."""
    title = section.splitlines()[0]
    there = WRITTEN.read_text() if WRITTEN.exists() else _HEAD
    head, *sections = there.split("\n## ")
    kept = {f"## {each.splitlines()[0]}": f"## {each}".rstrip() + "\n" for each in sections}
    kept[title] = section
    WRITTEN.write_text("\n".join([head.rstrip() + "\n", *kept.values()]))
