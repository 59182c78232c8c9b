"""The model's faults: each turn of a run, one after the other, with each of the service's failures.

Temporary failures are retried, cut-off answers continued, long conversations compacted: people see
the usual ending. Failures that only a person can fix end with a message and a final label, the work
is saved, and `/honk continue` resumes it. No turn is ever paid for twice.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.playground.model import ScriptedTurn
from tests.faults.points import PATIENT, Point, demand, demand_the_usual_end, over
from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

SCRIPT = script([FIX], {"bash": {"command": "echo half"}}, [{"verify": {}}], [FINISH])
TITLE = "Model faults"


@dataclass(frozen=True)
class Failure:
    """`plays` is what the turn is instead, `hits` times.

    `adds`: the failed turn stays in the conversation. `says`: what a person reads when it ends
    the attempt; `fits_from` is the first turn from which on there is something to leave out, so
    that what is too long does not.
    """

    plays: dict[str, Any]
    hits: int = 1
    adds: bool = False
    says: str = ""
    fits_from: int | None = None
    slow: bool = False

    def ends_at(self, turn: int) -> bool:
        """Whether an attempt ends if this turn fails, counted from 0."""
        return bool(self.says) and (self.fits_from is None or turn < self.fits_from)


def _fault(name: str, **more: Any) -> Failure:
    return Failure({"fault": name, "times": 99}, **more)


def _limit(retry_after: float, **more: Any) -> Failure:
    return Failure({"fault": "status_429", "times": 99, "retry_after": retry_after}, **more)


def _says(words: str, stop: str, **more: Any) -> Failure:
    return Failure({"say": words, "use": (), "stop": stop}, **more)


_TOO_LONG = "no longer fits the model"
_REFUSAL = "This is nothing that I help with."

FAILURES = {
    "429, retry-after": _limit(0.2, hits=2),
    "429, a minute": _limit(61, slow=True),
    "529": _fault("status_529", hits=2),
    "529, for long": _fault("status_529", hits=7, slow=True),
    "500": _fault("status_500"),
    "502": _fault("status_502"),
    "503": _fault("status_503"),
    "408": _fault("status_408"),
    "stream cut": _fault("cut"),
    "stream ended early": _fault("early_end"),
    "error in the stream": _fault("error_event"),
    "silence": _fault("silence", slow=True),
    "pause_turn": _says("One moment.", "pause_turn", adds=True),
    "max_tokens in text": _says("First of all I shall", "max_tokens", adds=True),
    "max_tokens in a call": Failure({"stop": "max_tokens"}, adds=True),
    "prompt too long": _fault("prompt_too_long", says=_TOO_LONG, fits_from=2),
    "413": _fault("status_413", says=_TOO_LONG, fits_from=2),
    "context window exceeded": _says(
        "So", "model_context_window_exceeded", says=_TOO_LONG, fits_from=2
    ),
    "stale thinking": _fault("stale_thinking"),
    "refusal": _says(_REFUSAL, "refusal", says=_REFUSAL),
    "no credit": _fault("no_credit", says="is out of credit"),
    "401": _fault("status_401", says="rejected the key"),
    "403": _fault("status_403", says="does not have access"),
    "404": _fault("status_404", says="answered “not found”"),
    "400": _fault("status_400", says="refused the request (400)"),
}


@dataclass
class Struck:
    """Plays the script, except that one turn first fails."""

    failure: Failure
    turn: int
    hits: int = 0
    asked: Counter[int] = field(default_factory=Counter)

    def __call__(self, request: dict[str, Any]) -> ScriptedTurn:
        said = sum(message["role"] == "assistant" for message in request["messages"])
        turn = said - (self.hits if self.failure.adds else 0)
        self.asked[turn] += 1
        whole: ScriptedTurn = SCRIPT.turns[turn]
        if turn != self.turn or self.hits == self.failure.hits:
            return whole
        self.hits += 1
        struck: ScriptedTurn = ScriptedTurn.model_validate(whole.model_dump() | self.failure.plays)
        return struck


def points() -> list[Point]:
    """Every failure at every turn."""
    return [
        Point(f"turn {turn + 1}", what, failure.slow)
        for what, failure in FAILURES.items()
        for turn in range(len(SCRIPT.turns))
    ]


@dataclass
class Bench:
    """One harness for all; each point has a repository of its own."""

    harness: Harness
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def survives(self, point: Point) -> str:
        """Inject it. Returns "recovered" or "continued"; raises AssertionError if it ends wrong."""
        failure, turn = FAILURES[point.what], int(point.where.split()[1]) - 1
        struck = Struck(failure, turn)
        # All of one length: none is the beginning of another.
        name = f"turns-{next(self._numbers):04}"
        subject = await self.harness.subject(plays=struck, name=name)
        await subject.label()
        await over(self.harness, subject)
        demand(struck.hits == failure.hits, f"it was hit {struck.hits} times")
        if failure.ends_at(turn):
            await self._is_told(subject, failure, turn)
            await subject.comment("/honk continue")
            await over(self.harness, subject, endings=2)
        await demand_the_usual_end(subject)
        wanted = {n: 1 + failure.hits * (n == turn) for n in range(len(SCRIPT.turns))}
        demand(struck.asked == wanted, f"turns were asked for {dict(struck.asked)} times")
        return "continued" if failure.ends_at(turn) else "recovered"

    async def _is_told(self, subject: Subject, failure: Failure, turn: int) -> None:
        """It ended: both comments say why, the label is final, and the work is saved."""
        for words in (subject.status, subject.last_words):
            demand(failure.says in words, f"the reason is missing: {words[:300]}")
        demand(not subject.pulls, "there is a pull request")
        demand(subject.labels == ["honk:failed"], f"labels: {subject.labels}")
        if turn > 0:
            run = subject.status.partition("<!-- honk:run=")[2].partition(" ")[0]
            demand(f"refs/honk/{run}" in subject.status, f"no work is kept: {subject.status[:300]}")
            kept = await subject.git("show", f"refs/honk/{run}:calc.py")
            demand("return a + b" in kept, "the work that is kept is not the work")


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    """With room for those that only wait."""
    async with open_harness(HONK_CONCURRENCY="40") as harness:
        harness.patience = PATIENT
        yield Bench(harness)
