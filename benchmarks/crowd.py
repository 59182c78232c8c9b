"""What does one worker need for two hundred runs at once, and does its event loop stay free?

`ONLY=crowd make bench`. One `honk web` and one `honk worker` on Postgres, and ten accounts with the
App installed, since GitHub limits what one installation writes in a minute. The model answers after
two seconds, each turn runs a command in the run's own sandbox and gets two kilobytes of output.
Memory is the worker's own process (what it shares is divided among those that share it, PSS);
sandboxes are counted apart. How late the worker's loop comes round is its own figure,
`honk_process_loop_lag_seconds`; the floor is the same look in a process that does nothing else, at
the same time: what it sees is the machine.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import LAG_SAMPLE_SECONDS
from app.playground.model import ScriptedTurn
from benchmarks.processes import MIB, below, pss, ticks
from tests.support import postgres
from tests.support.harness import Fleet, Subject, never_twice, open_fleet

RUNS = int(os.environ.get("RUNS", "200"))
REPOSITORIES = 10
TURN_SECONDS = 2.0
TURNS_FIRST = 5
"""The number of turns of each run before memory is measured."""

WATCH_SECONDS = 60.0
PATIENCE_SECONDS = 900.0
_LATE = "honk_process_loop_lag_seconds"
_BOUND = 0.1


@dataclass
class Watched:
    """Measurements of the worker while no run starts or ends."""

    runs: int
    seconds: float
    memory: int  # KiB
    sandboxes: int  # KiB
    processes: int
    processor: float  # cores
    turns: int
    looks: int
    late: int
    floor_looks: int
    floor_late: int
    floor_worst: float  # seconds


def main() -> None:
    """Print the measurements with one run and with all."""
    with postgres.running() as server:
        asyncio.run(_measure(server.database()))


async def _measure(database: str) -> None:
    settings = {
        "HONK_CONCURRENCY": str(RUNS),
        "HONK_METRICS_PORT": "0",
        "HONK_WRITES_PER_MINUTE": "60",
    }
    async with open_fleet(database, workers=1, settings=settings) as fleet:
        fleet.patience = PATIENCE_SECONDS
        turns: Counter[str] = Counter()
        subjects = await _open(fleet, turns)
        await subjects[0].label()
        await _all_work(fleet, subjects[:1], turns)
        one = await _watch(fleet, turns, 1, WATCH_SECONDS / 4)
        _tell(one)
        began = time.perf_counter()
        before = await _lag(fleet)
        async with _floor() as floor:
            for subject in subjects[1:]:
                await subject.label()
            await _all_work(fleet, subjects, turns)
        after = await _lag(fleet)
        print(
            f"all {RUNS} at work after {time.perf_counter() - began:.0f} s; while they began the"
            f" loop was over {_BOUND * 1000:.0f} ms late {after[1] - before[1]} of"
            f" {after[0] - before[0]} times, the floor {floor.late} of {floor.looks} times"
        )
        whole = await _watch(fleet, turns, RUNS, WATCH_SECONDS)
        _tell(whole)
        beyond = (whole.memory - one.memory) / MIB / (RUNS - 1)
        print(f"{beyond:.2f} MiB of the worker for each run beyond the first")


async def _open(fleet: Fleet, turns: Counter[str]) -> list[Subject]:
    """An issue for each run, in several repositories; the model counts the turns."""
    subjects: list[Subject] = []
    for number in range(RUNS):
        if number < REPOSITORIES:
            subject = await fleet.subject(owner=f"account-{number}")
        else:
            name = subjects[number % REPOSITORIES].repository
            issue = await fleet.github.open_issue(name, "olivia", "Wrong", "It is.")
            subject = Subject(fleet, name, issue.number)
        fleet.model.scripts[subject.name] = _endless(subject.name, turns)
        subjects.append(subject)
    return subjects


def _endless(name: str, turns: Counter[str]) -> Any:
    def play(request: dict[str, Any]) -> ScriptedTurn:
        turns[name] += 1
        return never_twice("seq 1 500", request, seconds=TURN_SECONDS)

    return play


async def _all_work(fleet: Fleet, subjects: list[Subject], turns: Counter[str]) -> None:
    """Wait until each of them works. Raises AssertionError with a run's last status if one
    ended.
    """

    def all_do() -> bool:
        ended = [each for each in subjects if "honk:failed" in each.labels]
        assert not ended, f"{len(ended)} ended: {ended[0].ours[-1].body}"
        return all(turns[each.name] > TURNS_FIRST for each in subjects)

    await fleet.until(all_do, "not all of them work")
    # Nothing else uses them, and they would be most of this process's memory.
    fleet.model.requests.clear()


async def _watch(fleet: Fleet, turns: Counter[str], runs: int, seconds: float) -> Watched:
    pid = fleet.workers[0].process.pid
    began, busy, played = time.perf_counter(), ticks(pid), turns.total()
    looks, late = await _lag(fleet)
    async with _floor() as floor:
        await asyncio.sleep(seconds)
        looks_after, late_after = await _lag(fleet)
    passed = time.perf_counter() - began
    sandboxes = below(pid)
    return Watched(
        runs=runs,
        seconds=passed,
        memory=pss(pid),
        sandboxes=sum(map(pss, sandboxes)),
        processes=len(sandboxes),
        processor=(ticks(pid) - busy) / os.sysconf("SC_CLK_TCK") / passed,
        turns=turns.total() - played,
        looks=looks_after - looks,
        late=late_after - late,
        floor_looks=floor.looks,
        floor_late=floor.late,
        floor_worst=floor.worst,
    )


def _tell(seen: Watched) -> None:
    print(
        f"{seen.runs:4} runs: worker {seen.memory / MIB:.0f} MiB, {seen.processor:.2f} cores;"
        f" sandboxes {seen.sandboxes / MIB:.0f} MiB in {seen.processes} processes;"
        f" {seen.turns / seen.seconds:.1f} turns a second; loop over {_BOUND * 1000:.0f} ms late"
        f" {seen.late} of {seen.looks} times, the floor {seen.floor_late} of {seen.floor_looks}"
        f" (at worst {seen.floor_worst * 1000:.0f} ms)"
    )


# -- event loop lag


async def _lag(fleet: Fleet) -> tuple[int, int]:
    """The number of measurements, and how many exceeded the bound."""
    found = re.search(r"Metrics on (\S+)", fleet.workers[0].log)
    assert found is not None
    async with httpx.AsyncClient(timeout=30.0) as client:
        text = (await client.get(f"{found[1]}/metrics")).raise_for_status().text
    (family,) = (f for f in text_string_to_metric_families(text) if f.name == _LATE)
    counts = {
        sample.labels.get("le", ""): int(sample.value)
        for sample in family.samples
        if sample.name == f"{_LATE}_bucket"
    }
    return counts["+Inf"], counts["+Inf"] - counts[str(_BOUND)]


@dataclass
class _Seen:
    looks: int = 0
    late: int = 0
    worst: float = 0.0


@asynccontextmanager
async def _floor() -> AsyncIterator[_Seen]:
    """The same measurement in a separate process; its result is complete when the context exits."""
    seen = _Seen()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.crowd",
        "floor",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield seen
    finally:
        output, _ = await process.communicate(b"")
        lags = [float(each) for each in output.split()]
        seen.looks, seen.worst = len(lags), max(lags, default=0.0)
        seen.late = sum(lag > _BOUND for lag in lags)


async def _look() -> None:
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    lags = []
    print("ready", flush=True)
    while not ended.done():
        due = time.perf_counter() + LAG_SAMPLE_SECONDS
        await asyncio.sleep(LAG_SAMPLE_SECONDS)
        lags.append(time.perf_counter() - due)
    print(*lags)


if __name__ == "__main__":
    if sys.argv[1:] == ["floor"]:
        asyncio.run(_look())
    else:
        main()
