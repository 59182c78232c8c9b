"""When a failed call is made again: every rule of Honk, and the loop that follows them.

A module that calls a service decides which of its failures are worth another attempt; how often
and after how long is a `RetryRule` below. Two schedules are not rules of this kind: requests that
wait in the database (`app/domain/pending.py`), and workflows of a killed worker, which the engine
recovers (`app/runs/workflow.py`).
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from app.errors import RetryableError

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RetryRule:
    """How often a failed call is made again, and how long to wait before each attempt.

    All times are in seconds. `waits` has one entry for each retry; each is multiplied by a random
    factor from the range `jitter`. A service that names a time in Retry-After is left alone for
    at least that long, or for exactly that long with `retry_after_wins`. No wait may exceed
    `longest_wait`, nor all of them together `longest_total`: the call fails instead.
    """

    waits: tuple[float, ...]
    jitter: tuple[float, float] = (1.0, 1.0)
    retry_after_wins: bool = False
    longest_wait: float = math.inf
    longest_total: float = math.inf

    @property
    def attempts(self) -> int:
        """How often the call is made at most, the first attempt included."""
        return len(self.waits) + 1


def exponential(first: float, retries: int, longest: float = math.inf) -> tuple[float, ...]:
    """Waits that double from `first` up to `longest` seconds."""
    return tuple(min(first * 2**number, longest) for number in range(retries))


# GitHub. Jitter keeps the runs of a worker from coming back all at once.
_GITHUB_JITTER = (0.75, 1.25)

GITHUB_CALL = RetryRule(exponential(0.5, 3), _GITHUB_JITTER)
"""A call that may be repeated: no answer, a 5xx, or GraphQL's own failure."""

GITHUB_RATE_LIMIT = RetryRule((0.0, 0.0, 0.0), longest_wait=5.0)
"""A rate limit. For more than a few seconds the step waits instead, which can be stopped."""

GITHUB_CREDENTIALS = RetryRule((0.0,))
"""A 401: the call is repeated with a new token."""

GITHUB_REPLICA_LAG = RetryRule((1.0,))
"""A 404 or 409 that a replica may give for what was written a moment ago."""

GITHUB_WRITE = RetryRule(exponential(0.5, 3), _GITHUB_JITTER)
"""A write of unknown outcome: after each wait, its effect is looked for before it is repeated."""

GITHUB_ANNOTATIONS = RetryRule(exponential(0.5, 2), _GITHUB_JITTER)
"""A batch of annotations of unknown outcome."""

GITHUB_MERGEABILITY = RetryRule(exponential(0.5, 3), _GITHUB_JITTER)
"""The mergeability of a pull request, which GitHub computes in the background."""

GITHUB_MERGE = RetryRule(exponential(0.5, 8, longest=15.0), _GITHUB_JITTER)
"""A merge that GitHub has accepted: about a minute until it is done."""

GITHUB_DOWNLOAD = RetryRule(exponential(0.5, 2), _GITHUB_JITTER)
"""Logs, images and Git LFS files."""

# Slack. What is still missing is sent at the next look, so this only bridges a short failure.
SLACK_CALL = RetryRule(exponential(0.5, 2), _GITHUB_JITTER, longest_wait=5.0)
"""A call to Slack: no answer, a server error, or a rate limit of a few seconds."""

# Setup's network.
NAME_LOOKUP = RetryRule(exponential(0.25, 3))
"""A lookup that the resolver dropped. A name that does not exist is not looked up again."""

# The model.
MODEL = RetryRule(
    exponential(0.5, 5, longest=60.0), (0.5, 1.0), retry_after_wins=True, longest_wait=60.0
)
"""One turn of the model: no answer, a broken stream, an overload, a rate limit."""

# Runs. GitHub's limits start over every hour; `longest_total` is enough to wait for that once.
_LIMIT_ONCE = 4000.0

NEVER = RetryRule(())

STEP = RetryRule((1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 180.0), longest_total=_LIMIT_ONCE)
"""A step of a run: about ten minutes, longer than most outages."""

TRANSCRIPT = RetryRule((0.5, 1.0, 2.0, 4.0, 8.0), longest_total=_LIMIT_ONCE)
"""Recording a turn while the database is away."""

LABEL = RetryRule((2.0, 5.0, 15.0, 30.0), longest_total=_LIMIT_ONCE)
"""The label that shows how a run ended."""


class Retries:
    """The retries of one call under a rule, for loops that do more than repeat a function."""

    def __init__(self, rule: RetryRule, sleep: Sleep = asyncio.sleep) -> None:
        self._rule = rule
        self._sleep = sleep
        self._waited = 0.0
        self.used = 0

    @property
    def left(self) -> int:
        """How many retries the rule still allows."""
        return len(self._rule.waits) - self.used

    def next_wait(self, retry_after: float | None = None) -> float | None:
        """Use up one retry: the seconds to wait before it, None when the rule allows none.

        `retry_after` is what the service asked for, in seconds.
        """
        if not self.left:
            return None
        wait = self._rule.waits[self.used] * random.uniform(*self._rule.jitter)  # noqa: S311
        if retry_after is not None:
            wait = retry_after if self._rule.retry_after_wins else max(wait, retry_after)
        if wait > self._rule.longest_wait or self._waited + wait > self._rule.longest_total:
            return None
        self.used += 1
        self._waited += wait
        return wait

    async def pause(self, retry_after: float | None = None) -> bool:
        """Wait before the next attempt; False, at once, when the rule allows none."""
        wait = self.next_wait(retry_after)
        if wait is None:
            return False
        await self._sleep(wait)
        return True


async def retry(
    function: Callable[[], Awaitable[T]],
    rule: RetryRule,
    *,
    sleep: Sleep = asyncio.sleep,
    event: str = "",
    **context: str,
) -> T:
    """Call a function until it raises no RetryableError, as often as the rule allows.

    Each retry is logged as `event`, if there is one, with `context`. Raises the RetryableError of
    the last attempt, and at once whatever else the function raises.
    """
    retries = Retries(rule)
    while True:
        try:
            return await function()
        except RetryableError as problem:
            wait = retries.next_wait(problem.retry_after)
            if wait is None:
                raise
            if event:
                _log.warning(event, why=str(problem), seconds=wait, **context)
        await sleep(wait)
