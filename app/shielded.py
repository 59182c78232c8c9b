"""Awaiting work that must finish even when its caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from app import log_events

log = structlog.get_logger()

T = TypeVar("T")


async def shielded(work: Coroutine[Any, Any, T]) -> T:
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
