"""Keeps the queue position in status comments up to date."""

from __future__ import annotations

import asyncio

import structlog

from app import log_events, messages
from app.errors import HonkError
from app.github import conversation
from app.runs.services import WRITE_COMMENTS, Services
from app.runs.steps.progress import status_context
from app.store.runs import RunRow

log = structlog.get_logger()

_MAX_UPDATED = 25  # runs from the front of the queue whose comments are updated
_MAX_EDITS = 3
_EDIT_SECONDS = 2.0
# The share of the write limit reserved for running runs.
_RESERVED_SHARE = 0.6


async def update_comments(services: Services) -> None:
    """Edit status comments whose position changed, at most once a minute each.

    Call this only while no run can be admitted, so that a position never overwrites the status of a
    running run. Raises RetryableError when the database is unavailable.
    """
    edited = 0
    for row in await services.runs.queued(_MAX_UPDATED):
        edited += await _update_comment(services, row)
        if edited == _MAX_EDITS:
            return


async def _update_comment(services: Services, row: RunRow) -> bool:
    """Update one comment; return whether an edit was tried. Failures are logged and retried
    later."""
    position = await services.runs.waiting(row)
    if position.why is None or services.queue_positions.get(row.id) == position:
        return False
    if not services.edits.is_due(row.id) or row.status_comment_id is None:
        return False
    if not await services.writes.allow(row.installation_id, keep_back=_RESERVED_SHARE):
        return False
    services.edits.record_edit(row.id)
    text = messages.status_comment.waiting(status_context(services, row), position)
    try:
        async with asyncio.timeout(_EDIT_SECONDS):
            client = await services.client(row.input, WRITE_COMMENTS)
            await conversation.edit_comment(client, row.status_comment_id, text)
        services.queue_positions[row.id] = position
    except (HonkError, TimeoutError) as problem:
        log.warning(log_events.QUEUE_POSITION_NOT_UPDATED, run=row.id, why=str(problem))
    return True
