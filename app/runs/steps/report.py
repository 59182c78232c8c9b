"""The last step of every run: whatever happened, it ends in words that a person understands."""

from __future__ import annotations

import asyncio
from typing import Literal

from app.domain import words
from app.domain.run import OUTCOME_LABELS, Outcome, RunInput
from app.domain.words import Report
from app.github import conversation
from app.github.client import RepositoryClient
from app.runs.durable import Nothing
from app.runs.intake import react
from app.runs.services import TALK, Services
from app.runs.steps.announce import plan_of, usage_of


async def report(services: Services, run: RunInput, attempt: int, told: Report) -> Nothing:
    """Settle the status comment and the labels, and write one short new comment."""
    client = await services.client(run, TALK)
    await _settle_status(services, client, run, told)
    await conversation.ensure_comment(
        client,
        run.trigger.number,
        words.last_words_marker(run.id, attempt),
        words.last_words(run.id, attempt, run.trigger.actor.login, told),
        since=run.trigger.updated_at,
    )
    await asyncio.gather(
        conversation.set_state_label(
            client, run.trigger.number, OUTCOME_LABELS[told.outcome], words.LABELS
        ),
        _react(client, run, told.outcome),
    )
    await services.runs.finish(run.id, told.outcome)
    await _put_away(services, run)
    return Nothing()


async def _settle_status(
    services: Services, client: RepositoryClient, run: RunInput, told: Report
) -> None:
    """Edit the status comment for the last time; write it when it is not there."""
    row = await services.runs.get(run.id)
    text = words.status_settled(
        run.id,
        run.trigger.actor.login,
        told,
        plan_of(row),
        usage_of(row),
        services.tried.of(run.id),
    )
    known = row.status_comment_id
    if known is not None and await conversation.edit_comment(client, known, text):
        return
    comment = await conversation.ensure_comment(
        client, run.trigger.number, words.marker(run.id), text
    )
    await services.runs.update(run.id, status_comment_id=comment.id)


async def _react(client: RepositoryClient, run: RunInput, outcome: Outcome) -> None:
    if outcome in (Outcome.DONE, Outcome.ERROR):
        reaction: Literal["rocket", "confused"] = (
            "rocket" if outcome is Outcome.DONE else "confused"
        )
        await react(client, run.trigger, reaction)


async def _put_away(services: Services, run: RunInput) -> None:
    """The workspace has served; commits and refs keep the work."""
    workspace = await services.workspaces.open(run.id)
    if workspace is not None:
        await services.workspaces.remove(workspace)
    services.edits.forget(run.id)
    services.stops.forget(run.id)
    services.tried.forget(run.id)
