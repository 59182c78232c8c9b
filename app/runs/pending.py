"""Requests that were accepted but cannot be handled now: notify the requester and retry.

When Honk can comment and a person must fix the cause, the comment is the end: the requester asks
again. Otherwise the request waits in the database until the cause is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Literal

import structlog
from sqlalchemy.exc import DBAPIError

from app import log_events, messages
from app.domain.pending import PASSING, Cause, is_given_up
from app.domain.report import (
    Report,
)
from app.domain.run import Outcome, run_id, subject_key
from app.domain.trigger import Signal, Trigger
from app.domain.values import Value
from app.errors import HonkError, UserError
from app.github.refusals import GitHubRefusedError, NoTokenError
from app.runs import (
    durable,
    intake,
    queue,
    reply,
)
from app.runs.attempt import Attempt
from app.runs.durable import HistoryError, InternalError, NoResult, StepFailedError
from app.runs.services import Services
from app.runs.steps import report
from app.store.database import away
from app.store.pending import Pending, Request

log = structlog.get_logger()

POLL_SECONDS = 5.0

_MAX_PER_INSTALLATION = 5
"""Retries per installation in one round: its requests usually wait for the same cause."""
_MAX_DUE = 200

_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_GONE = (404, 410)


class DeferResult(Value):
    """The result of deferring a request."""

    end: Literal["waits", "waits already", "told", "gone", "given up"]


class Failure(Value):
    """What prevented a request from being handled."""

    cause: Cause
    problem: str
    next_step: str


async def defer(
    services: Services,
    request: Trigger | Signal,
    problem: UserError | InternalError,
    *,
    may_comment: bool = False,
) -> None:
    """Notify the requester, store the request for a retry, or both.

    `may_comment` means that this person is known to be authorized.
    """
    failure = _failure(problem)
    done = await durable.step(
        "defer", DeferResult, lambda: notify_or_keep(services, request, failure, may_comment)
    )
    log.warning(
        log_events.REQUEST_FAILED,
        end=done.end,
        cause=failure.cause,
        why=f"{failure.problem} {failure.next_step}",
    )


async def start_over(services: Services, request: Trigger | Signal, mismatch: HistoryError) -> None:
    """Handle a request again from the start, after a version with other recorded steps began it.

    The engine cannot record another step for its workflow, so the retry is a new one. All effects
    of the first try can safely be done twice. Raises RetryableError when the database is
    unavailable.
    """
    log.warning(log_events.HISTORY_MISMATCH, trigger=request.id, why=str(mismatch))
    reason = "Honk was updated while it was handling this request."
    await services.pending.keep(_as_pending(request), "upgrade", reason, told=False)
    await services.pending.wake(request.installation_id)


async def mark_handled(services: Services, request: Trigger | Signal) -> None:
    """Remove a request that succeeded, and retry the installation's others, whose cause may be gone
    too."""

    async def forget() -> NoResult:
        await services.pending.forget(request.id)
        await services.pending.wake(request.installation_id)
        return NoResult()

    await durable.step("clear pending", NoResult, forget)


def _failure(problem: UserError | InternalError) -> Failure:
    if isinstance(problem, InternalError):
        text, next_step = messages.refusals.internal_error(problem.reference)
        return Failure(cause="bug", problem=text, next_step=next_step)
    cause = problem.cause if isinstance(problem, StepFailedError) else "refused"
    return Failure(cause=cause, problem=problem.message, next_step=problem.next_step)


async def notify_or_keep(
    services: Services, request: Trigger | Signal, failure: Failure, may_comment: bool
) -> DeferResult:
    """Notify the requester once, and store the request unless the comment is the end of it.

    Raises RetryableError when the database is unavailable.
    """
    known = await services.pending.find(request.id)
    told = known is not None and known.told
    asker = request if isinstance(request, Trigger) and not told else None
    trusted = asker is not None and (may_comment or _is_insider(asker))
    if asker is not None and trusted and await _app_may_comment(services):
        try:
            await _notify(services, asker, failure)
            told = True
        except HonkError as problem:
            log.warning(log_events.REQUESTER_NOT_NOTIFIED, why=str(problem))
            if _is_gone(problem):
                await services.pending.forget(request.id)
                return DeferResult(end="gone")
    if told and failure.cause not in PASSING:
        await services.pending.forget(request.id)
        return DeferResult(end="told")
    if known is not None and _should_give_up(known, failure.cause):
        await services.pending.forget(request.id)
        return DeferResult(end="given up")
    waiting = _as_pending(request)
    is_label = isinstance(request, Trigger) and request.kind == "label"
    if is_label and known is None and await services.pending.has_pending_label(waiting):
        return DeferResult(end="waits already")
    reason = f"{failure.problem} {failure.next_step}".strip()
    await services.pending.keep(waiting, failure.cause, reason, told=told)
    return DeferResult(end="waits")


async def _app_may_comment(services: Services) -> bool:
    """Whether the App may comment at all. It may not while GitHub does not know the App: a 404 here
    is a wrong App ID, not a subject that is gone."""
    try:
        return await services.may_comment()
    except HonkError as problem:
        log.warning(log_events.REQUESTER_NOT_NOTIFIED, why=str(problem))
        return False


def _as_pending(request: Trigger | Signal) -> Request:
    number = request.number
    return Request(
        id=request.id,
        kind="intake" if isinstance(request, Trigger) else "signal",
        installation_id=request.installation_id,
        subject=subject_key(request.repository, number) if number else str(request.repository),
        payload=request.model_dump(mode="json"),
    )


def _is_insider(trigger: Trigger) -> bool:
    """Whether the actor is an insider, as far as the signed delivery shows.

    Labels and buttons require rights in the repository; anybody can comment.
    """
    if trigger.actor.type != "User":
        return False
    if trigger.kind in ("label", "unlabel", "button"):
        return True
    comment = trigger.comment
    return trigger.kind == "comment" and comment is not None and comment.association in _INSIDERS


async def _notify(services: Services, trigger: Trigger, failure: Failure) -> None:
    """Notify the requester. Raises HonkError when commenting is impossible."""
    problem, next_step = messages.formatting.quoted_problem(failure.problem, failure.next_step)
    if failure.cause in PASSING:
        run, login = run_id(trigger.id), trigger.actor.login
        text = messages.refusals.kept_pending(run, login, problem)
        client = await services.comment_client(trigger)
        await services.relay(trigger.id, text)
        await reply.say(client, trigger, messages.refusals.pending_marker(run), text)
        return
    row = await services.runs.find(run_id(trigger.id))
    if row is not None and row.finished_at is None and row.status_comment_id is not None:
        ending = Report(outcome=Outcome.ERROR, problem=problem, next_step=next_step)
        await report.report(Attempt(services, row.input, row.attempt), ending)
        return
    await intake.refuse(services, trigger, problem, f"{next_step} Then ask again.".strip())
    if row is not None and row.finished_at is None:
        await services.runs.finish(row.id, Outcome.ERROR)


def _is_gone(problem: HonkError) -> bool:
    """Whether the subject no longer exists."""
    refused = isinstance(problem, GitHubRefusedError) and not isinstance(problem, NoTokenError)
    return refused and isinstance(problem, GitHubRefusedError) and problem.status in _GONE


def _should_give_up(known: Pending, cause: Cause) -> bool:
    return is_given_up(cause, known.tries, time.time() - known.since)


async def keep_retrying(services: Services) -> None:
    """Retry due requests until cancelled. Wake all at start: the operator may have added a missing
    key."""
    while True:
        try:
            await services.pending.wake()
            break
        except HonkError as problem:
            log.warning(log_events.PENDING_REQUESTS_WAITING, why=str(problem))
            await asyncio.sleep(POLL_SECONDS)
    while True:
        try:
            await retry(services)
        except HonkError as problem:
            log.warning(log_events.PENDING_REQUESTS_WAITING, why=str(problem))
        await asyncio.sleep(POLL_SECONDS)


async def retry(services: Services) -> None:
    """Retry what is due, one request per subject. Only one worker does so at a time.

    Raises RetryableError when the database is unavailable.
    """
    try:
        async with services.database.alone("pending") as ours:
            if ours:
                await _retry_due(services)
    except DBAPIError as problem:
        raise away(problem) from None


async def _retry_due(services: Services) -> None:
    subjects: set[str] = set()
    retried: Counter[int] = Counter()
    for each in await services.pending.due(_MAX_DUE):
        request = each.request
        if _should_give_up(each, each.cause):
            log.warning(log_events.REQUEST_GIVEN_UP, trigger=request.id, why=each.reason)
            await services.pending.forget(request.id)
            continue
        if request.subject in subjects or retried[request.installation_id] >= _MAX_PER_INSTALLATION:
            continue
        subjects.add(request.subject)
        retried[request.installation_id] += 1
        # Record the retry first: a lost retry is repeated later, but a duplicate one would be
        # visible.
        await services.pending.mark_retried(request.id)
        await queue.enqueue_again(request, each.tries + 1)
