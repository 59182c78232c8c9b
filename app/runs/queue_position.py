"""What those who wait are told: the place in the queue, as it changes."""

from __future__ import annotations

import asyncio

import structlog

from app import log_events, messages
from app.errors import HonkError
from app.github import conversation
from app.runs.services import TALK, Services
from app.runs.steps.progress import status_context
from app.store.runs import RunRow

log = structlog.get_logger()

_MOST = 25  # of those who wait, so many from the front are told of each step forward
_AT_ONCE = 3
_EDIT_SECONDS = 2.0
# The share of a minute's writes to GitHub that is left for those who work.
_KEPT_BACK = 0.6


async def tell(services: Services) -> None:
    """Edit the status comments whose place is another than they say, once a minute at most.

    To be called where nobody is admitted meanwhile, so that these words never come after those of
    a run at work. Raises RetryableError when the database is away.
    """
    told = 0
    for row in await services.runs.queued(_MOST):
        told += await _tell(services, row)
        if told == _AT_ONCE:
            return


async def _tell(services: Services, row: RunRow) -> bool:
    """Whether it was tried. What fails here is logged: a later look says it again."""
    place = await services.runs.waiting(row)
    if place.why is None or services.places.get(row.id) == place:
        return False
    if not services.edits.is_due(row.id) or row.status_comment_id is None:
        return False
    if not await services.writes.allow(row.installation_id, keep_back=_KEPT_BACK):
        return False
    services.edits.made(row.id)
    text = messages.status_comment.waiting(status_context(services, row), place)
    try:
        async with asyncio.timeout(_EDIT_SECONDS):
            client = await services.client(row.input, TALK)
            await conversation.edit_comment(client, row.status_comment_id, text)
        services.places[row.id] = place
    except (HonkError, TimeoutError) as problem:
        log.warning(log_events.QUEUE_POSITION_NOT_UPDATED, run=row.id, why=str(problem))
    return True
