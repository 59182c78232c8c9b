"""A step of a run: done once and recorded, or, after a crash, done again until it is.

What a step returns is a `Value` and is stored as plain JSON. What goes wrong in a step is stored
too, as words, so that a replay tells the same story.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from dbos import DBOS

from app import tracing
from app.domain import words
from app.domain.values import Value
from app.errors import RetryableError, UserError
from app.runs.shift import safe_point

log = structlog.get_logger()
T = TypeVar("T")
V = TypeVar("V", bound=Value)

# Together about ten minutes: longer than most outages, shorter than a person's patience.
_WAITS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 180.0)


class OurBugError(Exception):
    """A step failed in a way nobody foresaw. The log holds the traceback under `reference`."""

    def __init__(self, step: str, reference: str) -> None:
        super().__init__(f"{step} failed; reference {reference}")
        self.step = step
        self.reference = reference


class Nothing(Value):
    """What a step returns that is done for its effect."""


async def step(name: str, returns: type[V], function: Callable[[], Awaitable[V]]) -> V:
    """Do one recorded step of the workflow that is running.

    Raises UserError as the step did, or OurBugError for anything else. Where the worker's shift
    is over it does not return.
    """
    await safe_point()

    async def recorded() -> dict[str, Any]:
        return await _told(name, function)

    answer = await DBOS.run_step_async({"name": name}, recorded)
    if "value" in answer:
        return returns.recorded(answer["value"])
    if "user_error" in answer:
        raise UserError(answer["user_error"], next_step=answer["next_step"])
    raise OurBugError(name, answer["bug"])


async def _told(name: str, function: Callable[[], Awaitable[V]]) -> dict[str, Any]:
    try:
        with tracing.span(f"step {name}"):
            value = await _patiently(name, function)
    except UserError as problem:
        return {"user_error": problem.message, "next_step": problem.next_step}
    except Exception as problem:
        # The one place where the unforeseen ends: it is logged whole and told as ours.
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            log.warning("a step found the disk full", step=name, why=str(problem))
            message, next_step = words.disk_is_full()
            return {"user_error": message, "next_step": next_step}
        reference = f"{type(problem).__name__} in {name}"
        log.exception("a step failed", step=name)
        return {"bug": reference}
    return {"value": value.model_dump(mode="json")}


async def _patiently(name: str, function: Callable[[], Awaitable[V]]) -> V:
    """Try again while a service is away; in the end say so."""
    try:
        return await tried_again(function, _WAITS, "a step waits for a service", step=name)
    except RetryableError as problem:
        raise UserError(
            f"{problem} It stayed away although Honk tried again for several minutes.",
            next_step="Put the label `honk` on again later.",
        ) from None


async def tried_again(
    function: Callable[[], Awaitable[T]], waits: Sequence[float], what_waits: str, **named: str
) -> T:
    """Try again after each of the waits, in seconds, or what the service itself asks for.

    The log tells `what_waits`, `named`. Raises RetryableError as the last try did.
    """
    for wait in waits:
        try:
            return await function()
        except RetryableError as problem:
            pause = max(wait, problem.retry_after or 0)
            log.warning(what_waits, why=str(problem), seconds=pause, **named)
            await asyncio.sleep(pause)
    return await function()
