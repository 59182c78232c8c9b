"""Awaiting work that must finish even when its caller is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable
from typing import Any, TypeVar

import structlog

from app import log_events

log = structlog.get_logger()

T = TypeVar("T")

_KILLED_SECONDS = 5.0


async def shielded(work: Awaitable[T]) -> T:
    """Await the work to its end even if the caller is cancelled; then raise CancelledError."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (problem := task.exception()) is not None:
            log.warning(log_events.SHIELDED_CALL_FAILED, why=repr(problem))
        raise cancelled
    return task.result()


async def start_process(*argv: str, **options: Any) -> asyncio.subprocess.Process:
    """Start a process as the leader of its own group; options as for create_subprocess_exec.

    asyncio starts the process first and connects its pipes afterwards. When the caller is cancelled
    in between, it kills that one process and then waits for pipes that a child may hold open
    forever. So the start is finished first, and then the whole group is killed.

    Not a new session: with autogroup scheduling each session gets its own share of the CPU.
    Raises FileNotFoundError and PermissionError as create_subprocess_exec does.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*argv, process_group=0, **options)
    )
    try:
        return await shielded(starting)
    except asyncio.CancelledError:
        if starting.done() and not starting.cancelled() and starting.exception() is None:
            await kill_group(starting.result())
        raise


async def kill_group(process: asyncio.subprocess.Process) -> None:
    """Kill a process of `start_process` with its children, and wait for its exit.

    asyncio reports the exit only after the pipes are closed, which a child may hold open. A
    cancelled caller waits too: asyncio can no longer reap the process once its loop has ended.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process._transport.close()  # type: ignore[attr-defined]
    await shielded(_killed(process))


async def _killed(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed process. The kernel may still hold it, for example on a hung disk."""
    try:
        async with asyncio.timeout(_KILLED_SECONDS):
            await process.wait()
    except TimeoutError:
        log.warning(log_events.PROCESS_SURVIVED_KILL, pid=process.pid)
