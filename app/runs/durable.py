"""Recorded steps of a run: a finished step never runs again, an interrupted one reruns.

A step returns a `Value`, stored as plain JSON. A step's error is stored too, as text, so that a
replay ends the same way.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import structlog
from dbos import DBOS
from dbos._error import DBOSUnexpectedStepError
from pydantic import ValidationError

from app import log_events, messages, retrying, tracing
from app.domain.pending import Cause
from app.domain.values import Value
from app.errors import RetryableError, UserError
from app.github.refusals import BadCredentialsError, MissingPermissionError, NoTokenError
from app.retrying import retry
from app.runs.graceful_shutdown import safe_point, sleep

log = structlog.get_logger()
T = TypeVar("T")
V = TypeVar("V", bound=Value)


class InternalError(Exception):
    """An unexpected failure of a step. The log has the traceback under `reference`."""

    def __init__(self, step: str, reference: str) -> None:
        super().__init__(f"{step} failed; reference {reference}")
        self.step = step
        self.reference = reference


class StepFailedError(UserError):
    """A step failed with a message for the person; `cause` says what blocked it."""

    def __init__(self, message: str, *, next_step: str, details: str, cause: Cause) -> None:
        super().__init__(message, next_step=next_step, details=details)
        self.cause = cause


class ServiceUnavailableError(UserError):
    """A service was unavailable for longer than a step waits."""


class HistoryError(Exception):
    """The recorded steps of an attempt do not match this version of the workflow."""


class StoppedError(Exception):
    """The run was stopped while one of its steps waited for an unavailable service."""


class ReleasableSemaphore:
    """A semaphore whose permit is released while its holder waits for an external service."""

    def __init__(self, permits: int) -> None:
        self._semaphore = asyncio.Semaphore(permits)

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[None]:
        """Hold a permit, except during waits inside `released`."""
        await self._semaphore.acquire()
        permit = _Permit(self._semaphore)
        token = _permit.set(permit)
        try:
            yield
        finally:
            _permit.reset(token)
            permit.release()


class _Permit:
    def __init__(self, permits: asyncio.Semaphore) -> None:
        self._semaphore = permits
        self._is_held = True

    def release(self) -> None:
        if self._is_held:
            self._is_held = False
            self._semaphore.release()

    async def reacquire(self) -> None:
        await self._semaphore.acquire()
        self._is_held = True


_permit: ContextVar[_Permit | None] = ContextVar("permit", default=None)


@asynccontextmanager
async def released() -> AsyncIterator[None]:
    """Release the current permit, if any, while the block waits; acquire it again afterward."""
    permit = _permit.get()
    if permit is None:
        yield
        return
    permit.release()
    yield
    await permit.reacquire()


class NoResult(Value):
    """The result of a step that only has effects."""


async def step(
    name: str,
    returns: type[V],
    function: Callable[[], Awaitable[V]],
    stop: asyncio.Event | None = None,
) -> V:
    """Run one recorded step of the current workflow.

    When `stop` is set while the step waits for a service, the step is tried once more at once.
    Raises StepFailedError for a UserError of the step, StoppedError when that last try failed, and
    InternalError for anything else. Does not return when the worker is shutting down.
    """
    await safe_point()

    async def recorded() -> dict[str, Any]:
        return await _run_recorded(name, function, stop)

    try:
        answer = await DBOS.run_step_async({"name": name}, recorded)
    except DBOSUnexpectedStepError as mismatch:
        raise HistoryError(str(mismatch)) from None
    if "value" in answer:
        try:
            return returns.recorded(answer["value"])
        except ValidationError as mismatch:
            raise HistoryError(f"the recorded result of {name!r} cannot be read") from mismatch
    if "user_error" in answer:
        raise StepFailedError(
            answer["user_error"],
            next_step=answer["next_step"],
            # Records of older versions lack both.
            details=answer.get("details", ""),
            cause=answer.get("cause", "refused"),
        )
    if "stopped" in answer:
        raise StoppedError(name)
    raise InternalError(name, answer["bug"])


async def _run_recorded(
    name: str, function: Callable[[], Awaitable[V]], stop: asyncio.Event | None
) -> dict[str, Any]:
    try:
        with tracing.span(f"step {name}"):
            value = await retry_or_fail(name, function, stop)
    except UserError as problem:
        return _failed(problem, _cause(problem))
    except StoppedError:
        # Older versions don't know "stopped", but do know "bug".
        return {"stopped": True, "bug": f"stopped in {name}"}
    except Exception as problem:
        # The only catch-all: log the traceback and report an internal error.
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
        case ServiceUnavailableError():
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
    """Retry while a service is unavailable; give up with UserError.

    When `stop` is set during a wait, try once more at once; raises StoppedError when that fails.
    """
    # A step that starts after the stop retries as usual.
    stop = None if stop is None or stop.is_set() else stop

    async def pause(seconds: float) -> None:
        _end_if_stopped(name, stop)
        async with released():
            await sleep(seconds, stop)

    try:
        return await retry(
            function, retrying.STEP, sleep=pause, event=log_events.STEP_WAITING, step=name
        )
    except RetryableError as problem:
        _end_if_stopped(name, stop)
        raise ServiceUnavailableError(
            f"{problem} It stayed away although Honk tried again for several minutes.",
            next_step="Comment `/honk continue` later to resume.",
        ) from None


def _end_if_stopped(name: str, stop: asyncio.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise StoppedError(name)
