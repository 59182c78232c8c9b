"""The kill matrix: the worker dies before, during and after every recorded step of a run.

Whatever the point, people see one pull request, one status comment, one ending, the right check
run; no commit is made twice, and no turn of the model is asked for more than once more.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.dying import FOLDER, WHENS
from tests.faults.points import demand_the_usual_end
from tests.support import postgres
from tests.support.harness import (
    FINISH,
    FIX,
    Fleet,
    Harness,
    Subject,
    open_fleet,
    open_harness,
    script,
)

MODULE = "tests.faults.dying"
SCRIPT = script([FIX], {"bash": {"command": "echo half"}}, [{"verify": {}}], [FINISH])


@dataclass(frozen=True)
class Point:
    """One place to die: the nth time that a workflow of this kind comes to this step."""

    workflow: str
    step: str
    nth: int
    when: str

    def __str__(self) -> str:
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.workflow}: {self.when} {self.step}{nth}"


@dataclass
class Bench:
    """A harness whose workers die at given points and are restarted."""

    harness: Harness
    folder: Path
    _runs: int = 0

    async def points(self) -> list[Point]:
        """Every point that an undisturbed run comes to, in order."""
        (self.folder / "steps").unlink(missing_ok=True)
        subject = await self._run()
        await self._over(subject)
        await self._check(subject, extra_turns=0)
        steps = [json.loads(line) for line in (self.folder / "steps").read_text().splitlines()]
        return [Point(kind, name, nth, when) for kind, name, nth in steps for when in WHENS]

    async def survives(self, point: Point, *, times: int = 1) -> Subject:
        """Kill the worker there. Raises AssertionError when people could see it."""
        async with self._started_again():
            subject = await self._dies(point, times=times)
            # A step that died while it logged its end logs it again.
            await self._over(subject)
        await self._check(subject, extra_turns=times)
        return subject

    async def dies_for_good(self, point: Point) -> Subject:
        """Let a run kill its worker as many times as it may."""
        async with self._started_again():
            return await self._dies(point, times=3)

    async def _dies(self, point: Point, *, times: int) -> Subject:
        told = [point.workflow, point.step, point.nth, point.when]
        (self.folder / "killed").write_text("")
        (self.folder / "point").write_text(json.dumps({"point": told, "times": times}))
        try:
            subject = await self._run()
            # People may see the end before the last step of it is over.
            await self.harness.until(lambda: self.deaths >= times, "it did not die there")
            assert self.deaths == times, f"it died {self.deaths} times"
        finally:
            (self.folder / "point").unlink()
        return subject

    @property
    def deaths(self) -> int:
        """How many times it died at the given point; 0 without one."""
        if not (self.folder / "point").exists():
            return 0
        return len((self.folder / "killed").read_text().splitlines())

    async def _run(self) -> Subject:
        self._runs += 1
        # All of one length: none is the beginning of another.
        subject = await self.harness.subject(plays=SCRIPT, name=f"run-{self._runs:04}")
        await subject.label()
        await subject.settled()
        return subject

    async def _over(self, subject: Subject) -> None:
        """Wait until the worker, too, is done with it."""
        (run,) = re.findall(r"<!-- honk:run=(\w+) -->", subject.status)
        ended = re.compile(rf"attempt_ended.*run={run}")
        await self.harness.until(lambda: bool(ended.search(self.harness.log())), "it never ended")

    @asynccontextmanager
    async def _started_again(self) -> AsyncIterator[None]:
        """Restart dead processes immediately, like a supervisor."""
        keeper = asyncio.create_task(self._keep_alive())
        try:
            yield
            await self._start_the_dead()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)

    async def _keep_alive(self) -> None:
        while True:
            await self._start_the_dead()
            await asyncio.sleep(0.05)

    async def _start_the_dead(self) -> None:
        harness = self.harness
        if isinstance(harness, Fleet):
            for worker in [each for each in harness.workers if each.process.poll() is not None]:
                harness.workers.remove(worker)
                await harness.add_worker()
        elif harness.honk is not None and harness.honk.process.poll() is not None:
            await harness.stop()
            await harness.start()

    async def _check(self, subject: Subject, *, extra_turns: int) -> None:
        await demand_the_usual_end(subject)
        asked = sum(subject.repository in str(body) for body in self.harness.model.requests)
        assert asked <= len(SCRIPT.turns) + extra_turns, f"the model was asked {asked} times"


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[Bench]:
    """`honk serve`, started again after each death."""
    given = {FOLDER: str(folder), "HONK_LEASE_SECONDS": "2"}
    async with open_harness(module=MODULE, **given) as harness:
        yield Bench(harness, folder)


@asynccontextmanager
async def on_postgres(folder: Path) -> AsyncIterator[Bench]:
    """`honk web` and three workers, which take over a dead one's runs."""
    given = {FOLDER: str(folder)}
    with postgres.running() as server:
        async with open_fleet(server.database(), workers=3, module=MODULE, settings=given) as fleet:
            yield Bench(fleet, folder)
