"""What was accepted and cannot be taken in now: its requester is told, and it is tried again.

Where Honk can comment and the cause needs somebody, the comment is the end: the requester asks
again. In every other case the request waits in the database until its cause is gone.
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
from app.runs.durable import InternalError, NoResult, StepFailedError
from app.runs.services import Services
from app.runs.steps import report
from app.store.database import away
from app.store.pending import Pending, Request

log = structlog.get_logger()

LOOK_SECONDS = 5.0

_OF_ONE_INSTALLATION = 5
"""How many of one installation are tried again at once: they wait for the same cause as a rule."""
_LOOKED_AT = 200

_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_GONE = (404, 410)


class PutOff(Value):
    """What became of a request that could not be taken in."""

    end: Literal["waits", "waits already", "told", "gone", "given up"]


class Failure(Value):
    """What kept a request from being taken in."""

    cause: Cause
    problem: str
    next_step: str


async def put_off(
    services: Services,
    request: Trigger | Signal,
    problem: UserError | InternalError,
    *,
    may_speak: bool = False,
) -> None:
    """Tell the requester, or let the request wait, or both.

    `may_speak`: it is known that this person may speak to Honk.
    """
    failure = _failure(problem)
    done = await durable.step(
        "put off", PutOff, lambda: tell_or_keep(services, request, failure, may_speak)
    )
    log.warning(
        log_events.REQUEST_FAILED,
        end=done.end,
        cause=failure.cause,
        why=f"{failure.problem} {failure.next_step}",
    )


async def taken_in(services: Services, request: Trigger | Signal) -> None:
    """It waits no more, and others that waited for the same may not have to, either."""

    async def forget() -> NoResult:
        await services.pending.forget(request.id)
        await services.pending.wake(request.installation_id)
        return NoResult()

    await durable.step("no longer pending", NoResult, forget)


def _failure(problem: UserError | InternalError) -> Failure:
    if isinstance(problem, InternalError):
        told, next_step = messages.refusals.internal_error(problem.reference)
        return Failure(cause="bug", problem=told, next_step=next_step)
    cause = problem.cause if isinstance(problem, StepFailedError) else "refused"
    return Failure(cause=cause, problem=problem.message, next_step=problem.next_step)


async def tell_or_keep(
    services: Services, request: Trigger | Signal, failure: Failure, may_speak: bool
) -> PutOff:
    """Tell who asked, once; let the request wait where that is not the end of it.

    Raises RetryableError when the database is away.
    """
    known = await services.pending.find(request.id)
    told = known is not None and known.told
    if isinstance(request, Trigger) and not told and (may_speak or _is_insider(request)):
        try:
            await _tell(services, request, failure)
            told = True
        except HonkError as problem:
            log.warning(log_events.REQUESTER_NOT_NOTIFIED, why=str(problem))
            if _is_gone(problem):
                await services.pending.forget(request.id)
                return PutOff(end="gone")
    if told and failure.cause not in PASSING:
        await services.pending.forget(request.id)
        return PutOff(end="told")
    if known is not None and _is_over(known, failure.cause):
        await services.pending.forget(request.id)
        return PutOff(end="given up")
    waiting = _waiting(request)
    is_label = isinstance(request, Trigger) and request.kind == "label"
    if is_label and known is None and await services.pending.has_pending_label(waiting):
        return PutOff(end="waits already")
    reason = f"{failure.problem} {failure.next_step}".strip()
    await services.pending.keep(waiting, failure.cause, reason, told=told)
    return PutOff(end="waits")


def _waiting(request: Trigger | Signal) -> Request:
    number = request.number
    return Request(
        id=request.id,
        kind="intake" if isinstance(request, Trigger) else "signal",
        installation_id=request.installation_id,
        subject=subject_key(request.repository, number) if number else str(request.repository),
        payload=request.model_dump(mode="json"),
    )


def _is_insider(trigger: Trigger) -> bool:
    """Whether somebody belongs here, as far as the signed delivery tells.

    Labels and buttons are for those with some right in the repository; anybody can comment.
    """
    if trigger.actor.type != "User":
        return False
    if trigger.kind in ("label", "unlabel", "button"):
        return True
    comment = trigger.comment
    return trigger.kind == "comment" and comment is not None and comment.association in _INSIDERS


async def _tell(services: Services, trigger: Trigger, failure: Failure) -> None:
    """Raises HonkError where nothing can be said."""
    problem, next_step = messages.formatting.quoted_problem(failure.problem, failure.next_step)
    if failure.cause in PASSING:
        run, login = run_id(trigger.id), trigger.actor.login
        text = messages.refusals.kept_pending(run, login, problem)
        client = await services.talker(trigger)
        await reply.say(client, trigger, messages.refusals.pending_marker(run), text)
        return
    row = await services.runs.find(run_id(trigger.id))
    if row is not None and row.finished_at is None and row.status_comment_id is not None:
        ending = Report(outcome=Outcome.ERROR, problem=problem, next_step=next_step)
        await report.report(services, row.input, row.attempt, ending)
        return
    await intake.refuse(services, trigger, problem, f"{next_step} Then ask again.".strip())
    if row is not None and row.finished_at is None:
        await services.runs.finish(row.id, Outcome.ERROR)


def _is_gone(problem: HonkError) -> bool:
    """Whether there is nothing left to speak on."""
    refused = isinstance(problem, GitHubRefusedError) and not isinstance(problem, NoTokenError)
    return refused and isinstance(problem, GitHubRefusedError) and problem.status in _GONE


def _is_over(known: Pending, cause: Cause) -> bool:
    return is_given_up(cause, known.tries, time.time() - known.since)


async def keep_retrying(services: Services) -> None:
    """Until cancelled. A worker that starts may have been given what was missing, such as a key."""
    while True:
        try:
            await services.pending.wake()
            break
        except HonkError as problem:
            log.warning(log_events.PENDING_REQUESTS_WAITING, why=str(problem))
            await asyncio.sleep(LOOK_SECONDS)
    while True:
        try:
            await retry(services)
        except HonkError as problem:
            log.warning(log_events.PENDING_REQUESTS_WAITING, why=str(problem))
        await asyncio.sleep(LOOK_SECONDS)


async def retry(services: Services) -> None:
    """Try again what is due, of each subject the oldest. Of all workers one at a time does it.

    Raises RetryableError when the database is away.
    """
    try:
        async with services.database.alone("pending") as ours:
            if ours:
                await _retry(services)
    except DBAPIError as problem:
        raise away(problem) from None


async def _retry(services: Services) -> None:
    subjects: set[str] = set()
    tried: Counter[int] = Counter()
    for each in await services.pending.due(_LOOKED_AT):
        request = each.request
        if _is_over(each, each.cause):
            log.warning(log_events.REQUEST_GIVEN_UP, trigger=request.id, why=each.reason)
            await services.pending.forget(request.id)
            continue
        if request.subject in subjects or tried[request.installation_id] >= _OF_ONE_INSTALLATION:
            continue
        subjects.add(request.subject)
        tried[request.installation_id] += 1
        # Written down first: a try that is lost comes again, one that is made twice would be seen.
        await services.pending.mark_retried(request.id)
        await queue.enqueue_again(request, each.tries + 1)
