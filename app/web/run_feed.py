"""What is new on a run's page, for everybody who watches it.

One task for each watched run asks the database once for all watchers. Each watcher has a cursor:
the last turn it has. So a slow or reconnecting watcher gets what it lacks, in order and once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from app import log_events
from app.domain.transcript import read_turn
from app.domain.values import RunId
from app.errors import RetryableError
from app.store.database import Database
from app.store.messages import Messages, StoredMessage
from app.store.pulse import Pulse, pulse_of
from app.store.turns import Turns
from app.web.transcript import Step, StepReader

LIVE_SECONDS, ENDED_SECONDS = 0.2, 1.0
"""How often a watched run is looked at while it is live, and after it ended."""

WINDOW = 60
"""Turns that a page shows at first."""

_KEPT_STEPS = 200
_CATCH_UP_TURNS = 100

_CONTEXT_TURNS = 8
"""Turns before a cursor that are read again, to find the calls of later results."""

_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9]{1,15})", re.ASCII)

_log = structlog.get_logger(__name__)

Stored = Sequence[tuple[dict[str, Any], float]]
Parts = Mapping[str, str]
"""HTML of the page's changing parts by the id of their element."""


@dataclass(frozen=True)
class Cursor:
    """The last turn that a watcher has, and when that was stored (milliseconds since 1970).

    A turn may be recorded again after a crash: then its time differs.
    """

    seq: int = -1
    at: int = 0

    @classmethod
    def parse(cls, text: str) -> Cursor | None:
        """Read what `str` writes; None for anything else."""
        found = _CURSOR.fullmatch(text)
        return cls(int(found[1]) - 1, int(found[2])) if found else None

    @classmethod
    def at_end(cls, steps: Sequence[Step]) -> Cursor:
        """The cursor of someone who has these steps."""
        return cls(steps[-1].last, milliseconds(steps[-1].at)) if steps else cls()

    def __str__(self) -> str:
        return f"{self.seq + 1}.{self.at}"


def milliseconds(seconds: float) -> int:
    """A moment in whole milliseconds, as cursors have it."""
    return int(seconds * 1000)


@dataclass
class Sight:
    """What a feed has seen of its run."""

    pulse: Pulse
    last_seq: int = -1  # the last turn that was read, and when it was stored
    last_at: float = 0.0
    steps: list[Step] = field(default_factory=list)
    first: int = 0  # the first turn that `steps` cover
    version: int = 0
    part_versions: dict[tuple[bool, str], int] = field(default_factory=dict)
    parts: dict[bool, dict[str, str]] = field(default_factory=lambda: {True: {}, False: {}})
    rewound: int = 0


MakeParts = Callable[[RunId, Pulse], Awaitable[Mapping[bool, Parts]]]
"""The parts of a run's page, for those who may act (True) and for those who only read."""


class RunFeed:
    """Watches one run."""

    def __init__(
        self, database: Database, run: RunId, make_parts: MakeParts, secrets: frozenset[str]
    ) -> None:
        self._database = database
        self._run = run
        self._make_parts = make_parts
        self._secrets = secrets
        self._turns = Turns(database, run)
        self._changed = asyncio.Condition()
        self._people: dict[str, StoredMessage] = {}
        self.sight: Sight | None = None
        self.is_closed = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, stop: asyncio.Event) -> None:
        """Look until `end` is called; when `stop` is set, wake all watchers so that they leave."""
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._close(stop))]

    def end(self) -> None:
        """Stop looking."""
        for task in self._tasks:
            task.cancel()

    async def _close(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self.is_closed = True
        async with self._changed:
            self._changed.notify_all()

    async def _watch(self) -> None:
        while True:
            try:
                if await self._look():
                    async with self._changed:
                        self._changed.notify_all()
            except RetryableError as problem:
                _log.warning(log_events.PAGE_UNAVAILABLE, run=self._run, why=str(problem))
            pulse = self.sight.pulse if self.sight else None
            is_over = pulse is not None and pulse.finished_at is not None
            await asyncio.sleep(ENDED_SECONDS if is_over else LIVE_SECONDS)

    async def changed(self, since: int, seconds: float) -> bool:
        """Wait until there is something newer than version `since`; False after `seconds`."""

        def is_newer() -> bool:
            return self.sight is not None and self.sight.version > since

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: is_newer() or self.is_closed)
        return is_newer()

    async def since(self, cursor: Cursor) -> AsyncIterator[Step]:
        """The steps that a watcher with this cursor lacks, in order; an unfinished one again."""
        sight = self.sight
        assert sight is not None
        seq = cursor.seq
        while seq + 1 < sight.first:
            begin = seq - _CONTEXT_TURNS
            stored = await self._turns.stored(after=begin, limit=_CATCH_UP_TURNS)
            for step in await asyncio.to_thread(self._steps, stored):
                if step.last > seq:
                    yield step
            last = int(stored[-1][0]["seq"]) if stored else seq
            if last <= seq:
                break
            seq = last
        for step in list(sight.steps):
            if step.last > seq:
                yield step

    async def knows(self, cursor: Cursor) -> bool:
        """Whether the run still has the cursor's turn as the watcher has it."""
        if cursor.seq < 0:
            return True
        at = await self._turns.stored_at(cursor.seq)
        return at is not None and milliseconds(at) == cursor.at

    async def _look(self) -> bool:
        """Look once; whether something is new."""
        sight = self.sight
        found = await pulse_of(self._database, self._run, sight.last_seq if sight else -1)
        if found is None:
            return False
        pulse = found.model_copy(update={"known_at": 0.0})
        if sight is None:
            sight = Sight(pulse, first=_window_start(pulse))
        elif found.known_at != sight.last_at:
            # Turns were deleted, and perhaps recorded again: a worker resumed the run.
            sight.rewound = sight.version + 1
            sight.steps, sight.first = [], _window_start(pulse)
        elif pulse == sight.pulse:
            return False
        await self._refresh(sight, pulse)
        self.sight = sight
        return True

    async def _refresh(self, sight: Sight, pulse: Pulse) -> None:
        said = await Messages(self._database).of(self._run)
        self._people = {each.id: each for each in said}
        await self._read_turns(sight)
        parts = await self._make_parts(self._run, pulse)
        sight.pulse = pulse
        sight.version += 1
        for may_act, made in parts.items():
            for name, html in made.items():
                if sight.parts[may_act].get(name) != html:
                    sight.parts[may_act][name] = html
                    sight.part_versions[may_act, name] = sight.version

    async def _read_turns(self, sight: Sight) -> None:
        begin = sight.steps[-1].key if sight.steps else sight.first
        stored = await self._turns.stored(after=begin - 1)
        new = await asyncio.to_thread(self._steps, stored)
        older = [each for each in sight.steps if each.key < begin]
        kept = [*older, *new][-_KEPT_STEPS:]
        if len(kept) < len(older) + len(new):
            sight.first = kept[0].key
        sight.steps = kept
        sight.last_seq, sight.last_at = -1, 0.0
        if stored:
            record, sight.last_at = stored[-1]
            sight.last_seq = int(record["seq"])

    def _steps(self, stored: Stored) -> list[Step]:
        turns = [read_turn(record, at) for record, at in stored]
        return StepReader(self._secrets, self._people).steps(turns)


def _window_start(pulse: Pulse) -> int:
    return max(0, pulse.last_seq + 1 - WINDOW)


class RunFeeds:
    """The feeds of all watched runs; a feed ends with its last watcher."""

    def __init__(
        self,
        database: Database,
        make_parts: MakeParts,
        secrets: frozenset[str],
        stop: asyncio.Event,
    ) -> None:
        """When `stop` is set, all watchers leave."""
        self._database = database
        self._make_parts = make_parts
        self._secrets = secrets
        self._stop = stop
        self._feeds: dict[RunId, RunFeed] = {}
        self._watchers: Counter[RunId] = Counter()

    @property
    def watchers(self) -> int:
        """How many there are, of all runs."""
        return self._watchers.total()

    @asynccontextmanager
    async def watching(self, run: RunId) -> AsyncIterator[RunFeed]:
        """The run's feed while the context is open."""
        feed = self._feeds.get(run)
        if feed is None:
            feed = RunFeed(self._database, run, self._make_parts, self._secrets)
            self._feeds[run] = feed
            feed.start(self._stop)
        self._watchers[run] += 1
        try:
            yield feed
        finally:
            self._watchers[run] -= 1
            if not self._watchers[run]:
                del self._watchers[run]
                self._feeds.pop(run).end()
