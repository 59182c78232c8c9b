"""Collapses the status comments of a subject's earlier runs when a new run starts."""

from __future__ import annotations

import structlog

from app import log_events
from app.domain.run import RunInput, subject_key
from app.errors import HonkError
from app.github import conversation
from app.runs.durable import NoResult
from app.runs.services import WRITE_COMMENTS, Services

log = structlog.get_logger()


async def collapse_old_comments(services: Services, run: RunInput) -> NoResult:
    """Minimize the status comments of earlier runs as outdated.

    This is cosmetic: a refusal by GitHub is logged and otherwise ignored.
    """
    subject = subject_key(run.trigger.repository, run.trigger.number)
    rows = await services.runs.of_subject(subject)
    earlier = [row for row in rows if row.id != run.id and row.status_node_id]
    if run.quiet or not earlier:
        return NoResult()
    client = await services.client(run, WRITE_COMMENTS)
    for row in earlier:
        if row.finished_at is None:
            continue
        try:
            await conversation.minimize(client, row.status_node_id or "", "OUTDATED")
            await services.runs.update(row.id, status_node_id=None)
        except HonkError as problem:
            log.info(log_events.OLD_COMMENT_NOT_MINIMIZED, run=row.id, why=str(problem))
    return NoResult()
