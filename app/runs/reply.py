"""Where Honk replies: in the conversation, or in the thread of the line it was asked about."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

import structlog

from app import log_events, messages, retrying
from app.domain import (
    labels,
)
from app.domain.trigger import Trigger
from app.errors import HonkError
from app.github import conversation, reviews
from app.github.client import RepositoryClient
from app.github.conversation import Subject
from app.github.refusals import NotFoundError
from app.retrying import RetryRule, retry

log = structlog.get_logger()


async def say(
    client: RepositoryClient, trigger: Trigger, marker: str, text: str, *, fresh: bool = False
) -> None:
    """Reply once, where the question was asked.

    If the thread's first comment was deleted, reply in the conversation. `fresh` skips the search
    for an earlier copy when there cannot be one.
    """
    comment = trigger.comment
    if comment is not None and comment.line is not None:
        try:
            await reviews.ensure_reply(client, trigger.number, comment.line.thread, marker, text)
        except NotFoundError:
            log.info(log_events.REVIEW_THREAD_GONE)
        else:
            return
    await conversation.ensure_comment(
        client, trigger.number, marker, text, since=trigger.asked_at, fresh=fresh
    )


async def react(
    client: RepositoryClient, trigger: Trigger, reaction: Literal["eyes", "rocket", "confused"]
) -> None:
    """React to the requesting comment, or to the labeled issue."""
    await decorate("a reaction", conversation.react(client, _subject(trigger), reaction))


async def set_label(
    client: RepositoryClient, trigger: Trigger, label: str, *, rule: RetryRule = retrying.NEVER
) -> None:
    """Set this state label, replacing any other and the trigger label.

    `rule` says how often to retry while GitHub is unavailable.
    """
    spent = trigger.label if trigger.label == labels.TRIGGER else None

    async def put() -> None:
        await conversation.set_state_label(
            client, trigger.number, label, messages.labels.LABELS, spent=spent
        )

    await decorate(f"the label {label}", retry(put, rule, event=log_events.LABEL_WAITING))


async def decorate(what: str, part: Awaitable[object]) -> None:
    """Do something cosmetic: a reaction, a label, a note on an earlier comment.

    Failures are only logged: the App may lack a permission, the conversation may be locked, and the
    target may be gone.
    """
    try:
        await part
    except HonkError as problem:
        log.warning(log_events.DECORATION_FAILED, what=what, why=str(problem))


def _subject(trigger: Trigger) -> Subject:
    comment = trigger.comment
    if comment is None:
        return Subject(kind="issue", id=trigger.number)
    match comment.on:
        case "line":
            return Subject(kind="review_comment", id=comment.id)
        case "review":
            return Subject(kind="review", id=comment.id, node_id=comment.node_id)
        case "conversation":
            return Subject(kind="comment", id=comment.id)
