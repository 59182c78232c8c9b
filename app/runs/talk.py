"""Where Honk speaks: in the conversation, or in the thread of the line that it was asked about."""

from __future__ import annotations

from typing import Literal

import structlog

from app.domain.trigger import Trigger
from app.github import conversation, reviews
from app.github.client import RepositoryClient
from app.github.conversation import Subject
from app.github.refusals import NotFoundError, RefusedError

log = structlog.get_logger()


async def say(
    client: RepositoryClient, trigger: Trigger, marker: str, text: str, *, fresh: bool = False
) -> None:
    """Say something once: an answer where the question was asked.

    Where the thread's first comment was deleted it is said in the conversation. `fresh` spares
    looking for words that were certainly never tried before.
    """
    comment = trigger.comment
    if comment is not None and comment.line is not None:
        try:
            await reviews.ensure_reply(client, trigger.number, comment.line.thread, marker, text)
        except NotFoundError:
            log.info("the thread is gone, so the conversation is answered")
        else:
            return
    await conversation.ensure_comment(
        client, trigger.number, marker, text, since=trigger.asked_at, fresh=fresh
    )


async def react(
    client: RepositoryClient, trigger: Trigger, reaction: Literal["eyes", "rocket", "confused"]
) -> None:
    """Put a reaction on what asked: the comment, or the issue that was labelled.

    It is a courtesy: what was deleted or locked meanwhile gets none, and nothing hangs on it.
    """
    try:
        await conversation.react(client, _subject(trigger), reaction)
    except RefusedError as problem:
        log.info("a reaction was refused", why=str(problem))


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
