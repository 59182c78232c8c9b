"""The machine's faults during a run: a changed clock, a full disk, an unavailable database.

The run continues by itself when the machine recovers. If it cannot, it ends with a message that
names the cause, and `/honk continue` resumes it. Each point has its own machine, that is, its own
harness.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import struct
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.playground.model import ScriptedTurn
from tests.faults.points import PATIENT, Point, demand, demand_the_usual_end, over
from tests.support import postgres
from tests.support.harness import FINISH, FIX, Harness, Subject, open_fleet, open_harness, script
from tests.support.postgres import Postgres

TITLE = "Machine faults"
SCRIPT = script([FIX], {"bash": {"command": "echo half"}}, [{"verify": {}}], [FINISH])
HEARING = "the request"
MOMENTS = {HEARING: -1, "the first edit": 0, "the agent's tests": 2, "the commit and its tests": 3}
"""The moments of a failure: at the request, or after a turn of the model."""

_DISK = "64m"
_HOUR = 3600
_LONGER_THAN_PATIENCE = 35.0
"""Seconds: longer than a statement waits for SQLite's lock."""


@dataclass(frozen=True)
class Machine:
    """A harness, and the failure that lasts for the context."""

    harness: Harness
    trouble: Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True)
class Trouble:
    """It lasts `seconds`, unless it ends the attempt earlier; `says` is the message then.

    `logged` must be in the product's log: otherwise the failure had no effect. `needs` names what
    this machine lacks for it; empty if nothing.
    """

    opened: Callable[[], AbstractAsyncContextManager[Machine]]
    seconds: float = 0.0
    logged: str = ""
    says: str = ""
    needs: Callable[[], str] = lambda: ""


@asynccontextmanager
async def _postgres_restarted() -> AsyncIterator[Machine]:
    with postgres.running() as server:
        given = {"HONK_LEASE_SECONDS": "12"}
        async with open_fleet(server.database(), workers=1, settings=given) as fleet:
            yield Machine(fleet, lambda: _stopped(server))


@asynccontextmanager
async def _stopped(server: Postgres) -> AsyncIterator[None]:
    await asyncio.to_thread(server.stop)
    try:
        yield
    finally:
        await asyncio.to_thread(server.start)


@asynccontextmanager
async def _sqlite_locked() -> AsyncIterator[Machine]:
    async with open_harness() as harness:
        yield Machine(harness, lambda: _locked(harness.home / "honk" / "honk.db"))


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Another connection is in the middle of a transaction that changes something."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30, check_same_thread=False)
    try:
        await asyncio.to_thread(connection.execute, "BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


@asynccontextmanager
async def _database_on_a_small_disk() -> AsyncIterator[Machine]:
    with _small_disk() as disk:
        path = disk / "honk.db"
        async with open_harness(DATABASE_URL=f"sqlite:///{path}") as harness:

            @asynccontextmanager
            async def no_room() -> AsyncIterator[None]:
                # SQLite would first reuse the space that it has already allocated.
                await asyncio.to_thread(_give_room_back, path)
                async with _filled(disk):
                    yield

            yield Machine(harness, no_room)


def _give_room_back(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@asynccontextmanager
async def _home_on_a_small_disk() -> AsyncIterator[Machine]:
    with _small_disk() as disk, tempfile.TemporaryDirectory(prefix="honk-database-") as other:
        database = f"sqlite:///{other}/honk.db"
        async with open_harness(HONK_HOME=str(disk), DATABASE_URL=database) as harness:
            yield Machine(harness, lambda: _filled(disk))


@contextmanager
def _small_disk() -> Iterator[Path]:
    """A file system in memory, which only root may mount."""
    folder = Path(tempfile.mkdtemp(prefix="honk-disk-"))
    words = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0711", "tmpfs", str(folder)]
    subprocess.run(words, check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


@asynccontextmanager
async def _filled(disk: Path) -> AsyncIterator[None]:
    """Not one byte more fits on the disk."""
    path = disk / "somebody-elses"
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass
    try:
        yield
    finally:
        path.unlink()


def _clock_set(hours: int) -> Callable[[], AbstractAsyncContextManager[Machine]]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Machine]:
        with tempfile.TemporaryDirectory(prefix="honk-clock-") as name:
            ahead, library = Path(name, "ahead"), Path(name, "wall_clock.so")
            ahead.write_bytes(struct.pack("l", 0))
            source = Path(__file__).with_name("wall_clock.c")
            words = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
            await asyncio.to_thread(subprocess.run, words, check=True)
            given = {"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(ahead)}
            async with open_harness(**given) as harness:
                yield Machine(harness, lambda: _set(ahead, hours * _HOUR))

    return opened


@asynccontextmanager
async def _set(ahead: Path, seconds: int) -> AsyncIterator[None]:
    """It stays as it was set."""
    with ahead.open("r+b") as file:
        file.write(struct.pack("l", seconds))
    yield


def _root() -> str:
    return "" if os.geteuid() == 0 else "needs root"


def _compiler() -> str:
    return "" if shutil.which("cc") else "needs cc"


TROUBLES = {
    "Postgres away for 4 s": Trouble(_postgres_restarted, seconds=4, logged="is unavailable"),
    "SQLite locked for 35 s": Trouble(
        _sqlite_locked, seconds=_LONGER_THAN_PATIENCE, logged="database is locked"
    ),
    "database's disk full for 4 s": Trouble(
        _database_on_a_small_disk, seconds=4, logged="disk is full", needs=_root
    ),
    "HONK_HOME's disk full": Trouble(
        _home_on_a_small_disk,
        seconds=20,
        logged="disk_full",
        says="disk is full",
        needs=_root,
    ),
    "clock set an hour ahead": Trouble(_clock_set(1), needs=_compiler),
    "clock set back an hour": Trouble(_clock_set(-1), needs=_compiler),
}


@dataclass
class Struck:
    """Plays the script. A turn whose tools failed is played again, after a question to a person."""

    turn: int
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    asked: Counter[int] = field(default_factory=Counter)

    def __call__(self, request: dict[str, Any]) -> ScriptedTurn:
        done, failure = _progress(request["messages"])
        # An agent that is continued after its last turn reports again that it is done.
        turn = min(done, len(SCRIPT.turns) - 1)
        self.asked[turn] += 1
        if failure:
            return ScriptedTurn(use=({"ask": {"question": f"May I go on? {failure}"}},))
        played: ScriptedTurn = SCRIPT.turns[turn]
        if turn != self.turn or self.reached.is_set():
            return played
        self.reached.set()
        return played.model_copy(update={"seconds": 1.5})


def _progress(messages: list[dict[str, Any]]) -> tuple[int, str]:
    """How many turns of the script have done what they should, and how the last one failed."""
    good, failure, uses = 0, "", ""
    for message in messages:
        blocks = [each for each in message["content"] if isinstance(each, dict)]
        results = [each for each in blocks if each["type"] == "tool_result"]
        if message["role"] == "assistant":
            uses = next((each["name"] for each in blocks if each["type"] == "tool_use"), "")
        elif results and uses != "ask":
            failed = [str(each["content"]) for each in results if each.get("is_error")]
            good, failure = good + (not failed), "; ".join(failed)
        else:
            failure = ""
    return good, failure


def points() -> list[Point]:
    """Every failure at every moment."""
    return [
        Point(moment, what, slow=trouble.seconds >= _LONGER_THAN_PATIENCE)
        for what, trouble in TROUBLES.items()
        for moment in MOMENTS
    ]


async def survives(point: Point) -> str:
    """Inject it. Returns "recovered", "continued", or what is missing here to try it.

    Raises AssertionError when it has another effect.
    """
    trouble = TROUBLES[point.what]
    if missing := trouble.needs():
        return missing
    async with trouble.opened() as machine:
        harness = machine.harness
        harness.patience = PATIENT
        struck = Struck(MOMENTS[point.where])
        subject = await harness.subject(plays=struck)
        await _come_to(point.where, subject, struck)
        async with machine.trouble():
            await _last(subject, trouble.seconds)
        await over(harness, subject)
        demand(trouble.logged in harness.log(), "nothing of it was noticed")
        ended = "**Done.**" not in subject.status
        if ended:
            _demand_the_cause(subject, trouble)
            await subject.comment("/honk continue")
            await over(harness, subject, endings=2)
        await demand_the_usual_end(subject)
        often = {turn: count for turn, count in struck.asked.items() if count > 2}
        demand(not often, f"turns were asked for {often} times")
        return "continued" if ended else "recovered"


async def _come_to(moment: str, subject: Subject, struck: Struck) -> None:
    """Begin, and wait for the moment; each lasts long enough for something to go wrong in it."""
    harness, faults = subject.harness, subject.harness.github.faults
    if moment != HEARING:
        await subject.label()
        await harness.until(struck.reached.is_set, "the model was not asked")
        return
    slow = faults.answer("GET", "/permission$", 0, delay=2.0)
    await subject.label()
    await harness.until(lambda: slow not in faults.answers, "no permission was requested")


async def _last(subject: Subject, seconds: float) -> None:
    """Until the time is over, or the attempt."""
    end = time.monotonic() + seconds

    def is_over() -> bool:
        return time.monotonic() > end or any("<!-- honk:end=" in c.body for c in subject.ours)

    await subject.harness.until(is_over, "it neither ended nor timed out")


def _demand_the_cause(subject: Subject, trouble: Trouble) -> None:
    """The messages say what was wrong, and how to continue."""
    demand(trouble.says, f"it ended the attempt: {subject.status[:300]}")
    for words in (subject.status, subject.last_words):
        demand(trouble.says in words, f"the reason is missing: {words[:300]}")
        demand("/honk continue" in words, f"the next step is missing: {words[:300]}")
    demand(subject.labels == ["honk:failed"], f"labels: {subject.labels}")
