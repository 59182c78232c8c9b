"""Chaos: three workers on Postgres, with random failures while they work.

A worker is killed; a worker is stopped for longer than its lease and then resumes, when other
workers have its runs; Postgres is restarted. Dead workers are replaced immediately. Whatever the
combination, every run ends correctly: as usual, or, if it killed its worker three times, with a
message that says so, and as usual after `/honk continue`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from app import log_events, messages
from app.runs.worker_leases import EXIT_CUT_OFF
from tests.faults.points import WrongError, demand, demand_the_usual_end, is_bad
from tests.support import postgres
from tests.support.harness import FINISH, FIX, Fleet, Subject, Worker, open_fleet, script
from tests.support.ledger import Ledger, Row
from tests.support.postgres import Postgres

TITLE = "Chaos"
SEED = 1
BATCHES, RUNS = 25, 12

LEASE = 2.0
"""Seconds: short, so that much can happen."""
_PATIENT = 150.0
_LOG_SHOWN = 8_000
"""Characters of the log to show if a worker exited unexpectedly."""

FILES = {
    "calc.py": b"def add(a, b):\n    return a - b\n",
    "test_calc.py": (
        b"import unittest\n\nfrom calc import add\n\n\n"
        b"class Adds(unittest.TestCase):\n"
        b"    def test_add(self):\n        self.assertEqual(add(2, 3), 5)\n"
    ),
    ".github/honk.yml": b"verify: [unittest]\n",
}
"""A project whose tests take a tenth of a second."""


def _thinks(tool: dict[str, Any]) -> dict[str, Any]:
    return {"use": [tool], "seconds": 0.3}


SCRIPT = script(
    _thinks(FIX), _thinks({"bash": {"command": "echo half"}}), [{"verify": {}}], _thinks(FINISH)
)

Kind = Literal["kill", "stop", "restart"]
KINDS: tuple[Kind, ...] = ("kill", "stop", "restart")

_SETTLED = [["honk:done"], ["honk:failed"], ["honk:needs-you"]]
_AT_WORK = (
    "SELECT 1 FROM workflow_status WHERE name IN ('intake', 'attempt') "
    "AND status IN ('ENQUEUED', 'PENDING', 'DELAYED') "
    "UNION ALL SELECT 1 FROM runs WHERE finished_at IS NULL"
)


@dataclass(frozen=True)
class Trouble:
    """A failure, `after` seconds after the previous one.

    `victim` and `lasts` are always drawn: a number between 0 and 1 that selects a busy worker; and
    seconds, longer than a lease.
    """

    kind: Kind
    after: float
    victim: float = 0.5
    lasts: float = 2 * LEASE


def drawn(seed: int, batch: int) -> list[Trouble]:
    """A batch's failures: the same for the same seed."""
    lot = random.Random(f"{seed}/{batch}")
    return [
        Trouble(
            lot.choices(KINDS, (3, 2, 1))[0],
            after=lot.uniform(0.5, 5.0),
            victim=lot.random(),
            lasts=lot.uniform(1.2, 3.0) * LEASE,
        )
        for _ in range(lot.randint(3, 6))
    ]


@dataclass
class Told:
    """How a batch went."""

    struck: Counter[Kind] = field(default_factory=Counter)
    replaced: int = 0
    """Replaced workers: killed ones, and those that exited because they lost their lease."""
    ended: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def row(self) -> Row:
        """Cells for the table; the last is the overall result."""
        counts = [*(self.struck[kind] for kind in KINDS), self.replaced]
        counts += [self.ended[how] for how in ("as usual", "continued")]
        verdict = f"FAILED: {'; '.join(self.wrong)}" if self.wrong else "ok"
        return [*map(str, counts), verdict]


@dataclass
class Bench:
    """A fleet whose dead workers are replaced, and the server under it."""

    fleet: Fleet
    server: Postgres
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _stopped: list[Worker] = field(default_factory=list)

    async def batch(self, troubles: Sequence[Trouble], *, runs: int = RUNS) -> Told:
        """Start some runs concurrently, and inject failures until they have ended; return how they
        ended.
        """
        told, over = Told(), asyncio.Event()
        subjects = [await self._subject() for _ in range(runs)]
        for subject in subjects:
            await subject.label()
        await self.fleet.github.drained()
        keeper = asyncio.create_task(self._replace_the_dead(told))
        striking = asyncio.create_task(self._strike(troubles, told, over))
        try:
            await self._rest(subjects)
            over.set()
            # Resume stopped workers: what they do then is checked, too.
            await striking
            await self._continue([each for each in subjects if each.labels != ["honk:done"]])
            for subject in subjects:
                await self._look_at(subject, told)
        finally:
            striking.cancel()
            keeper.cancel()
            await asyncio.gather(striking, keeper, return_exceptions=True)
        return told

    async def _subject(self) -> Subject:
        # All of one length: none is the beginning of another.
        name = f"run-{next(self._names):04}"
        return await self.fleet.subject(plays=SCRIPT, name=name, files=FILES)

    async def _strike(self, troubles: Sequence[Trouble], told: Told, over: asyncio.Event) -> None:
        going_on = []
        for trouble in troubles:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(over.wait(), trouble.after)
            if over.is_set():
                break
            told.struck[trouble.kind] += 1
            if trouble.kind == "restart":
                await asyncio.to_thread(self.server.restart)
                continue
            victim = await self._victim(trouble)
            if trouble.kind == "kill":
                victim.process.kill()
            else:
                going_on.append(asyncio.create_task(self._stop_for(victim, trouble.lasts)))
        await asyncio.gather(*going_on)

    async def _victim(self, trouble: Trouble) -> Worker:
        """One of the workers that are ready and not stopped; wait if there is none."""

        def at_work() -> list[Worker]:
            able = [each for each in self.fleet.workers if each not in self._stopped]
            return [each for each in able if each.is_alive and each.is_ready]

        await self.fleet.until(lambda: bool(at_work()), "no worker is there")
        there = at_work()
        return there[int(trouble.victim * len(there))]

    async def _stop_for(self, victim: Worker, seconds: float) -> None:
        """Stop it for longer than its lease. It resumes when other workers have its runs."""
        self._stopped.append(victim)
        victim.process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            victim.process.send_signal(signal.SIGCONT)
        # It sees that and ends itself, unless its runs could not be taken over in between.
        with contextlib.suppress(subprocess.TimeoutExpired):
            await victim.ended(within=LEASE)
        self._stopped.remove(victim)

    async def _replace_the_dead(self, told: Told) -> None:
        """Restart dead workers like a supervisor, including those that exited or found no Postgres
        at start.
        """
        workers = self.fleet.workers
        while True:
            for worker in [each for each in workers if not each.is_alive]:
                code = worker.process.poll()
                if worker.is_ready and code not in (-signal.SIGKILL, EXIT_CUT_OFF):
                    told.wrong.append(f"a worker ended with {code}")
                    sys.stderr.write(worker.log[-_LOG_SHOWN:])
                told.replaced += 1
                workers.remove(worker)
                self.fleet.start_worker()
            await asyncio.sleep(0.2)

    async def _rest(self, subjects: Sequence[Subject], *, endings: int = 1) -> None:
        """Wait for that many endings, and until neither Honk nor the engine has work."""

        def left() -> list[str]:
            return [
                f"{each.name} {each.labels}"
                for each in subjects
                if each.endings < endings or each.labels not in _SETTLED
            ]

        try:
            await self.fleet.until(lambda: not left(), "not all have ended")
        except AssertionError:
            raise WrongError(f"it does not end: {', '.join(left())}") from None
        await self.fleet.github.drained()
        end = time.monotonic() + self.fleet.patience
        while await asyncio.to_thread(self.fleet.sql, _AT_WORK):
            demand(time.monotonic() < end, "the engine is still at work")
            await asyncio.sleep(0.25)

    async def _continue(self, dead: Sequence[Subject]) -> None:
        """A run that its worker's deaths have ended says so, and resumes on request."""
        # The attempt itself, or the intake that was to start it.
        honest = [messages.refusals.attempt_died()[0], messages.refusals.never_queued()[0]]
        for subject in dead:
            told = [each for each in honest if each in subject.status]
            demand(told and told[0] in subject.last_words, f"{subject.name}: {subject.last_words}")
            demand(subject.labels == ["honk:failed"], f"{subject.name}: {subject.labels}")
            await subject.comment("/honk continue")
        await self._rest(dead, endings=2)

    async def _look_at(self, subject: Subject, told: Told) -> None:
        """The usual ending, one comment per ending, and no repeated turn except those that a death
        lost.
        """
        ends = subject.endings
        try:
            await demand_the_usual_end(subject)
            comments = sum("<!-- honk:" in each.body for each in subject.ours)
            # The status comment, and one for each end, except where a review was requested.
            told_there = "<!-- honk:end=" in subject.status
            demand(comments == 1 + ends - told_there, f"{comments} comments were made")
            asked, allowed = len(subject.requests), len(SCRIPT.turns) + self._turns_lost(subject)
            demand(asked <= allowed, f"{asked} turns, where {allowed} are to be expected")
        except AssertionError as problem:
            told.wrong.append(f"{subject.name}: {str(problem).splitlines()[0]}")
        else:
            told.ended["as usual" if ends == 1 else "continued"] += 1

    def _turns_lost(self, subject: Subject) -> int:
        """The turn in progress at each death, and the turns whose work was not pushed."""
        run = subject.status.partition("<!-- honk:run=")[2].partition(" ")[0]
        said = [line for line in self.fleet.log().splitlines() if f"run={run}" in line]
        starts = sum(log_events.ATTEMPT_STARTED in line for line in said)
        return starts - 1 + sum(map(int, re.findall(r"records_lost=(\d+)", "\n".join(said))))


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    """`honk web` and three workers with short leases on a Postgres of their own."""
    given = {"HONK_LEASE_SECONDS": str(LEASE), "HONK_CONCURRENCY": "4"}
    with postgres.running() as server:
        async with open_fleet(server.database(), workers=3, settings=given) as fleet:
            fleet.patience = _PATIENT
            yield Bench(fleet, server)


async def go_on(ledger: Ledger, seed: int, ends: float) -> None:
    """Run the batches that are not in the ledger yet, until the time `ends`.

    The log of a failed batch is stored next to the ledger, and the next batch starts with new
    processes.
    """
    todo = [name for name in _batches(seed) if name not in ledger.rows]
    while todo and time.monotonic() < ends:
        async with opened() as bench:
            good = True
            while good and todo and time.monotonic() < ends:
                name = todo.pop(0)
                row = await _row(bench, drawn(seed, _batches(seed).index(name)))
                ledger.write(name, row)
                good = not is_bad(row[-1])
            if not good:
                (ledger.folder / f"{name}.log").write_text(bench.fleet.log())


async def _row(bench: Bench, troubles: Sequence[Trouble]) -> Row:
    try:
        return (await bench.batch(troubles)).row()
    except AssertionError as problem:
        return Told(wrong=[str(problem).splitlines()[0]]).row()


def results(ledger: Ledger, seed: int) -> list[str]:
    """The result of each batch; empty for one that has not run."""
    return [ledger.rows.get(name, [""])[-1] for name in _batches(seed)]


def section(ledger: Ledger, seed: int) -> str:
    """The failures in each batch and how its runs ended, then the totals."""
    names = [name for name in _batches(seed) if name in ledger.rows]
    rows = [ledger.rows[name] for name in names]
    heads = ["killed", "stopped", "Postgres restarted", "workers replaced"]
    heads += ["ended as usual", "continued"]
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(len(heads))]
    made = f"Made from commit {ledger.commit} with seed {seed}: {len(names)} of {BATCHES} batches"
    lines = [f"## {TITLE}", "", f"{made}, {RUNS} runs each.", ""]
    lines += [f"| | {' | '.join(heads)} | |", "|---" * (len(heads) + 2) + "|"]
    for name, row in zip(names, rows, strict=True):
        good = "**FAILED**" if is_bad(row[-1]) else row[-1]
        lines.append(f"| {name} | {' | '.join([*row[:-1], good])} |")
    lines.append(f"| total | {' | '.join([*sums, ''])} |")
    lines += [
        "",
        *(f"- {n}: {row[-1]}" for n, row in zip(names, rows, strict=True) if is_bad(row[-1])),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _batches(seed: int) -> list[str]:
    return [f"seed {seed}, batch {number + 1:02}" for number in range(BATCHES)]
