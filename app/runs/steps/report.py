"""The last step of every run: report how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Literal

import structlog

from app import log_events, messages, retrying
from app.domain.report import (
    Report,
)
from app.domain.run import OUTCOME_LABELS, Outcome, RunInput
from app.domain.values import RepoName
from app.errors import RetryableError, UserError
from app.github import checks, conversation
from app.github.checks import Conclusion, Output
from app.github.client import RepositoryClient
from app.github.refusals import GitHubRefusedError
from app.runs import builds, previews, reply
from app.runs.attempt import Attempt
from app.runs.buttons import of_outcome
from app.runs.durable import NoResult
from app.runs.services import WRITE_CHECKS, WRITE_COMMENTS, Services
from app.runs.steps.progress import status_context
from app.store.runs import RunRow

log = structlog.get_logger()

_CONCLUSIONS: dict[Outcome, Conclusion] = {
    Outcome.DONE: "success",
    Outcome.ANSWERED: "success",
    Outcome.SHOWN: "action_required",
    Outcome.NOT_READY: "failure",
    Outcome.QUESTION: "action_required",
    Outcome.NOTHING: "action_required",
    Outcome.BUDGET: "action_required",
    Outcome.STUCK: "action_required",
    Outcome.STOPPED: "cancelled",
    Outcome.ERROR: "failure",
}


async def report(attempt: Attempt, ending: Report) -> NoResult:
    """Finish the status comment, labels and check run, and post one short final comment.

    There is no such comment where a review was requested: that request notifies the same person.
    If commenting is impossible (the subject is gone, the App was uninstalled), the run still ends,
    and the log says why no notification was sent.
    """
    services, run, number = attempt.services, attempt.run, attempt.number
    try:
        if not run.quiet:
            await _say(services, run, number, ending)
    except RetryableError:
        raise
    except UserError as problem:
        log.warning(log_events.RUN_END_NOT_REPORTED, run=run.id, why=str(problem))
    kept = ending.model_copy(update={"tried": services.blocked_hosts.of(run.id)})
    await services.reports.put(run.id, number, kept)
    row = await services.runs.finish(run.id, ending.outcome)
    # Only now: an event from here on finds that the run has ended, and updates the texts itself.
    await reply.decorate("the artifact", builds.collect(services, row))
    await reply.decorate("the build", builds.make(services, row))
    await reply.decorate("the line with previews", previews.show(services, row))
    await _clean_up(services, run)
    return NoResult()


async def _say(services: Services, run: RunInput, attempt: int, ending: Report) -> None:
    client = await services.client(run, WRITE_COMMENTS)
    row = await services.runs.get(run.id)
    if ending.outcome is Outcome.STOPPED and row.stop_why:
        ending = ending.model_copy(update={"problem": row.stop_why})
        run = await _current_location(client, run)
        client = await services.github.repository(
            row.installation_id,
            run.trigger.repository,
            WRITE_COMMENTS,
            observe=services.counting(run.id, run.trigger.installation_id),
        )
    await _if_allowed(run, _finish_status_comment(services, client, run, attempt, ending))
    if not ending.review_requested:
        await _if_allowed(run, _comment_last(services, client, run, attempt, ending))
    label = OUTCOME_LABELS[ending.outcome]
    await asyncio.gather(
        reply.set_label(client, run.trigger, label, rule=retrying.LABEL),
        _react(client, run, ending.outcome),
        _if_allowed(run, _complete_check(services, row, ending)),
    )


async def _comment_last(
    services: Services, client: RepositoryClient, run: RunInput, attempt: int, ending: Report
) -> None:
    """Post the attempt's final comment, once."""
    row = await services.runs.get(run.id)
    # Recorded before the attempt, so that only a rerun of this step searches for the comment.
    await services.runs.update(run.id, told_attempt=attempt)
    await reply.say(
        client,
        run.trigger,
        messages.comments.final_comment_marker(run.id, attempt),
        messages.comments.final_comment(run.id, attempt, run.trigger.actor.login, ending),
        fresh=row.told_attempt != attempt,
    )


async def _current_location(client: RepositoryClient, run: RunInput) -> RunInput:
    """The run with its issue's current location, if it was transferred and the App may comment
    there."""
    try:
        issue = await conversation.issue(client, run.trigger.number)
    except GitHubRefusedError:
        return run
    location = {"repository": RepoName.parse(issue.repository), "number": issue.number}
    return run.model_copy(update={"trigger": run.trigger.model_copy(update=location)})


async def _if_allowed(run: RunInput, part: Awaitable[None]) -> None:
    """Run one part of the report; a refusal, for example in a locked conversation, does not stop
    the rest."""
    try:
        await part
    except GitHubRefusedError as problem:
        log.warning(log_events.RUN_END_PARTLY_REFUSED, run=run.id, why=str(problem))


async def _finish_status_comment(
    services: Services, client: RepositoryClient, run: RunInput, attempt: int, ending: Report
) -> None:
    """Edit the status comment one last time; create it if it does not exist."""
    row = await services.runs.get(run.id)
    text = messages.status_comment.finished(status_context(services, row), ending, attempt)
    known = row.status_comment_id
    if known is not None and await conversation.edit_comment(client, known, text):
        return
    comment = await conversation.ensure_comment(
        client, run.trigger.number, messages.status_comment.marker(run.id), text
    )
    await services.runs.update(run.id, status_comment_id=comment.id)


async def _complete_check(services: Services, row: RunRow, ending: Report) -> None:
    """Complete `honk / run` on the pull request, with buttons for what can be done next."""
    if row.run_check_id is None:
        return
    client = await services.client(row.input, WRITE_CHECKS)
    title, summary = messages.check_run.run_completed(ending)
    await checks.complete_check_run(
        client,
        row.run_check_id,
        conclusion=_CONCLUSIONS[ending.outcome],
        output=Output(title=title, summary=summary),
        actions=of_outcome(ending.outcome),
    )


async def _react(client: RepositoryClient, run: RunInput, outcome: Outcome) -> None:
    if outcome in (Outcome.DONE, Outcome.ERROR):
        reaction: Literal["rocket", "confused"] = (
            "rocket" if outcome is Outcome.DONE else "confused"
        )
        await reply.react(client, run.trigger, reaction)


async def _clean_up(services: Services, run: RunInput) -> None:
    """Remove the workspace and in-memory state; commits and refs have the work."""
    workspace = await services.workspaces.open(run.id)
    if workspace is not None:
        await services.workspaces.remove(workspace)
    services.edits.forget(run.id)
    services.queue_positions.pop(run.id, None)
    services.stops.forget(run.id)
    services.blocked_hosts.forget(run.id)
    services.setup_choices.forget(run.id)
