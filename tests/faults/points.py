"""What the parts of the bench share: points to try, some concurrently, and their table."""

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
"""Seconds to wait for a visible effect: some faults are silences of minutes."""

WRITTEN = Path("docs/faults.md")

_HEAD = """# Fault injection

`make faults` injects each fault below, checks what people see on GitHub, and writes this page.
[operations.md](operations.md#the-fault-bench) describes the parts and how to run them.

| result | meaning |
|---|---|
| ok, recovered | the run ended as usual, without help |
| continued | the run ended with an explanation, and `/honk continue` finished it |
| not met | the run made no such call this time |
| **FAILED** | people saw something wrong; listed below the table |
"""


@dataclass(frozen=True)
class Point:
    """One place in a run and the fault to inject there. `slow`: it waits rather than computes."""

    where: str
    what: str
    slow: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class WrongError(AssertionError):
    """The fault had an effect that people should not see."""


def demand(good: object, otherwise: str) -> None:
    """Raises WrongError with the message `otherwise` unless `good`."""
    if not good:
        raise WrongError(otherwise)


async def demand_the_usual_end(subject: Subject) -> None:
    """One pull request, one status comment, one of each ending, one correct check run, one commit.

    An unreachable commit object, which a lost response leaves behind, does not count.
    """
    demand(len(subject.pulls) == 1, f"{len(subject.pulls)} pull requests")
    demand("**Done.**" in subject.status, f"the status: {subject.status[:300]}")
    demand(
        "is ready for your review" in subject.last_words,
        f"the last comment: {subject.last_words[:300]}",
    )
    demand(subject.labels == ["honk:done"], f"labels: {subject.labels}")
    demand(subject.check.conclusion == "success", f"the check run: {subject.check.conclusion}")
    repository = subject.harness.github.world.repository(subject.repository)
    ours = (await subject.git("rev-list", "--branches", "--not", "main")).split()
    demand(len(ours) == 1, f"{len(ours)} commits were made")
    demand(ours[0] in repository.signed, "the commit is not signed")
    unfinished = [run for run in repository.check_runs() if run.status != "completed"]
    demand(not unfinished, f"{len(unfinished)} check runs were left open")


async def over(harness: Harness, subject: Subject, *, endings: int = 1) -> None:
    """Wait until `endings` attempts have ended, on GitHub and in the worker."""
    await subject.settled(endings=endings)
    run = subject.status.partition("<!-- honk:run=")[2].partition(" ")[0]

    def logged() -> bool:
        lines = harness.log().splitlines()
        ends = [line for line in lines if log_events.ATTEMPT_ENDED in line and f"run={run}" in line]
        return len(ends) >= endings

    await harness.until(logged, f"the worker is not done with {subject.repository}")


Survive = Callable[[Point], Awaitable[str]]


async def go_through(
    points: Sequence[Point],
    survive: Survive,
    ledger: Ledger,
    *,
    ends: float,
    at_once: int = AT_ONCE,
) -> None:
    """Try the points that are not in the ledger yet, some concurrently, until the time `ends`.

    `survive` returns the result in a word, and raises AssertionError for a failure.
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
    """A failure as recorded in the ledger."""
    first = str(problem).splitlines()[0] if str(problem) else "assertion"
    return f"FAILED: {first}"


def is_bad(result: str) -> bool:
    """Whether a result in the ledger is a failure."""
    return result.startswith("FAILED")


def table(title: str, points: Sequence[Point], ledger: Ledger) -> str:
    """A part's section: the result of each point, the totals, and each failure."""
    wheres = list(dict.fromkeys(point.where for point in points))
    whats = list(dict.fromkeys(point.what for point in points))
    # The longer list becomes the rows.
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
    total += f", {left} not tried yet." if left else "."
    return [total, *(f"- {name}: {result}" for name, result in bad.items())]


def write_down(section: str) -> None:
    """Replace a part's section in docs/faults.md."""
    title = section.splitlines()[0]
    there = WRITTEN.read_text() if WRITTEN.exists() else _HEAD
    head, *sections = there.split("\n## ")
    kept = {f"## {each.splitlines()[0]}": f"## {each}".rstrip() + "\n" for each in sections}
    kept[title] = section
    WRITTEN.write_text("\n".join([head.rstrip() + "\n", *kept.values()]))
