"""How much memory does a worker need for each run that waits for its model?

`ONLY=capacity make bench`. One `honk serve` on SQLite; each run has made a turn, whose command ran
in its sandbox, and waits for the next one. Sandboxes are counted apart: what is shared is divided
among those that share it (PSS).
"""

from __future__ import annotations

import asyncio
import functools
import os
from dataclasses import dataclass

from benchmarks.processes import MIB, below, pss, ticks
from tests.support.harness import Harness, Subject, open_harness, script

STEPS = (0, 1, 10, 20, 40)
_HELD_SECONDS = 900.0


@dataclass
class Measured:
    """One line: KiB of the worker itself, then KiB and number of its descendant processes."""

    runs: int
    worker: int
    below: int
    processes: int
    processor: float


def main() -> None:
    """Print a line for each number of runs."""
    found = asyncio.run(_measure())
    print("runs   worker MiB   per run MiB   sandboxes MiB (processes)   processor %")
    first = found[1]
    for each in found:
        beyond = each.runs - first.runs
        per_run = f"{(each.worker - first.worker) / MIB / beyond:.1f}" if beyond > 0 else "-"
        print(
            f"{each.runs:4}   {each.worker / MIB:10.0f}   {per_run:>11}   "
            f"{each.below / MIB:13.0f} ({each.processes:4})        {each.processor:11.1f}"
        )


async def _measure() -> list[Measured]:
    async with open_harness(HONK_CONCURRENCY=str(max(STEPS))) as harness:
        subject = await harness.subject()
        plays = script(
            [{"bash": {"command": "true"}}],
            {"use": [{"bash": {"command": "true"}}], "seconds": _HELD_SECONDS},
        )
        issues = [subject]
        for _ in range(max(STEPS) - 1):
            opened = await harness.github.open_issue(
                subject.repository, "olivia", "Wrong", "It is."
            )
            issues.append(Subject(harness, subject.repository, opened.number))
        for each in issues:
            harness.model.scripts[f"{each.repository}#{each.number}"] = plays
        found = []
        for before, runs in zip((0, *STEPS), STEPS, strict=False):
            for each in issues[before:runs]:
                await each.label()
            await harness.until(functools.partial(_all_wait, harness, runs), "not all of them wait")
            found.append(await _now(harness, runs))
        return found


def _all_wait(harness: Harness, runs: int) -> bool:
    return len(harness.model.requests) >= 2 * runs


async def _now(harness: Harness, runs: int) -> Measured:
    assert harness.honk is not None
    pid = harness.honk.process.pid
    await asyncio.sleep(3)
    busy = ticks(pid)
    await asyncio.sleep(10)
    processor = (ticks(pid) - busy) / os.sysconf("SC_CLK_TCK") / 10 * 100
    sandboxes = below(pid)
    total = sum(map(pss, sandboxes))
    return Measured(runs, pss(pid), total, len(sandboxes), processor)


if __name__ == "__main__":
    main()
