"""A step of a run: done once and recorded, or, after a crash, done again until it is.

What a step returns is a `Value` and is stored as plain JSON. What goes wrong in a step is stored
too, as words, so that a replay tells the same story.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import structlog
from dbos import DBOS

from app import log_events, messages, tracing
from app.domain.pending import Cause
from app.domain.values import Value
from app.errors import RetryableError, UserError
from app.github.refusals import BadCredentialsError, MissingPermissionError, NoTokenError
from app.runs.graceful_shutdown import safe_point, sleep

log = structlog.get_logger()
T = TypeVar("T")
V = TypeVar("V", bound=Value)

# Together about ten minutes: longer than most outages, shorter than a person's patience.
_WAITS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 180.0, 180.0)
_LONGEST_SECONDS = 4000.0
"""All waits of one step: GitHub's limits begin anew each hour, and that is waited for once."""


class InternalError(Exception):
    """A step failed in a way nobody foresaw. The log holds the traceback under `reference`."""

    def __init__(self, step: str, reference: str) -> None:
        super().__init__(f"{step} failed; reference {reference}")
        self.step = step
        self.reference = reference


class StepFailedError(UserError):
    """A step said what is wrong; `cause` is what kept it from being done."""

    def __init__(self, message: str, *, next_step: str, details: str, cause: Cause) -> None:
        super().__init__(message, next_step=next_step, details=details)
        self.cause = cause


class StayedAwayError(UserError):
    """A service was away for longer than a step waits."""


class StoppedError(Exception):
    """Somebody asked the run to stop while a step of it waited for a service that stays away."""


class ReleasableSemaphore:
    """So many at work in here at once. Who waits for a service is outside meanwhile."""

    def __init__(self, places: int) -> None:
        self._places = asyncio.Semaphore(places)

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Wait for a place and have it, but for the waits that `outside` marks."""
        await self._places.acquire()
        place = _Place(self._places)
        token = _place.set(place)
        try:
            yield
        finally:
            _place.reset(token)
            place.leave()


class _Place:
    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._is_held = True

    def leave(self) -> None:
        if self._is_held:
            self._is_held = False
            self._places.release()

    async def come_back(self) -> None:
        await self._places.acquire()
        self._is_held = True


_place: ContextVar[_Place | None] = ContextVar("place", default=None)


@asynccontextmanager
async def released() -> AsyncIterator[None]:
    """Whoever waits in here leaves its place in the room to others."""
    place = _place.get()
    if place is None:
        yield
        return
    place.leave()
    yield
    await place.come_back()


class NoResult(Value):
    """What a step returns that is done for its effect."""


async def step(
    name: str,
    returns: type[V],
    function: Callable[[], Awaitable[V]],
    stop: asyncio.Event | None = None,
) -> V:
    """Do one recorded step of the workflow that is running.

    When `stop` is set while the step waits for a service it is tried at once, for the last time.
    Raises StepFailedError as the step said, StoppedError when that was in vain, or OurBugError for
    anything else. Where the worker's shift is over it does not return.
    """
    await safe_point()

    async def recorded() -> dict[str, Any]:
        return await _told(name, function, stop)

    answer = await DBOS.run_step_async({"name": name}, recorded)
    if "value" in answer:
        return returns.recorded(answer["value"])
    if "user_error" in answer:
        raise StepFailedError(
            answer["user_error"],
            next_step=answer["next_step"],
            # A version before this one recorded neither.
            details=answer.get("details", ""),
            cause=answer.get("cause", "refused"),
        )
    if "stopped" in answer:
        raise StoppedError(name)
    raise InternalError(name, answer["bug"])


async def _told(
    name: str, function: Callable[[], Awaitable[V]], stop: asyncio.Event | None
) -> dict[str, Any]:
    try:
        with tracing.span(f"step {name}"):
            value = await retry_or_fail(name, function, stop)
    except UserError as problem:
        return _failed(problem, _cause(problem))
    except StoppedError:
        # A version that does not know this end yet knows the other.
        return {"stopped": True, "bug": f"stopped in {name}"}
    except Exception as problem:
        # The one place where the unforeseen ends: it is logged whole and told as ours.
        if isinstance(problem, OSError) and problem.errno in (errno.ENOSPC, errno.EDQUOT):
            log.warning(log_events.STEP_DISK_FULL, step=name, why=str(problem))
            message, next_step = messages.refusals.disk_is_full()
            return _failed(UserError(message, next_step=next_step), "disk")
        reference = f"{type(problem).__name__} in {name}"
        log.exception(log_events.STEP_FAILED, step=name)
        return {"bug": reference}
    return {"value": value.model_dump(mode="json")}


def _failed(problem: UserError, cause: Cause) -> dict[str, Any]:
    return {
        "user_error": problem.message,
        "next_step": problem.next_step,
        "details": problem.details,
        "cause": cause,
    }


def _cause(problem: UserError) -> Cause:
    match problem:
        case StayedAwayError():
            return "github"
        case BadCredentialsError():
            return "credentials"
        case MissingPermissionError():
            return "permission"
        case NoTokenError():
            return "installation"
        case _:
            return "refused"


async def retry_or_fail(
    name: str, function: Callable[[], Awaitable[T]], stop: asyncio.Event | None = None
) -> T:
    """Try again while a service is away; in the end say so, by UserError.

    When `stop` is set meanwhile it waits no more, and tries for the last time; raises StoppedError
    when that was in vain.
    """
    # What is done after a stop is done as patiently as anything.
    stop = None if stop is None or stop.is_set() else stop

    async def pause(seconds: float) -> None:
        _end_if_stopped(name, stop)
        async with released():
            await sleep(seconds, stop)

    try:
        return await retry(function, _WAITS, log_events.STEP_WAITING, pause, step=name)
    except RetryableError as problem:
        _end_if_stopped(name, stop)
        raise StayedAwayError(
            f"{problem} It stayed away although Honk tried again for several minutes.",
            next_step="Comment `/honk continue` later, to go on from there.",
        ) from None


def _end_if_stopped(name: str, stop: asyncio.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise StoppedError(name)


async def retry(
    function: Callable[[], Awaitable[T]],
    waits: Sequence[float],
    event: str,
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    **named: str,
) -> T:
    """Try again after each of the waits, in seconds, or what the service itself asks for.

    The log tells `event`, `named`. Raises RetryableError as the last try did.
    """
    waited = 0.0
    for wait in waits:
        try:
            return await function()
        except RetryableError as problem:
            seconds = max(wait, problem.retry_after or 0)
            waited += seconds
            if waited > _LONGEST_SECONDS:
                raise
            log.warning(event, why=str(problem), seconds=seconds, **named)
            await pause(seconds)
    return await function()
