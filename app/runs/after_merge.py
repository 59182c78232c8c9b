"""Follows merges that people asked Honk for, until their commit is in production.

Events only say when to look again: what counts is GitHub's state, so an event that is lost, late or
repeated changes nothing. There is one comment for each merge.
"""

from __future__ import annotations

import asyncio

import structlog

from app import log_events, messages
from app.domain.after_merge import Fate, fate
from app.domain.policy import Policy
from app.domain.trigger import Signal, Trigger
from app.domain.values import CommitSha
from app.errors import HonkError, RetryableError
from app.github import actions, checks, conversation, deployments
from app.github.client import RepositoryClient
from app.runs.services import FOLLOW, Services
from app.store.database import now
from app.store.follows import FollowedMerge

log = structlog.get_logger()

POLL_SECONDS = 5.0
_LOOK_SECONDS = 60.0
_SETTLE_SECONDS = 5.0
"""A deployment may flap: what it ended with has to last that long."""
_LOG_BYTES = 20_000
_FINAL = ("live", "failed")


async def start(
    services: Services, asked: Trigger | Signal, policy: Policy, number: int, sha: CommitSha
) -> None:
    """Follow a merged pull request for as long as the policy says; `sha` is on the base branch."""
    if not policy.follow_merge_minutes:
        return
    moment = now()
    await services.follows.start(
        FollowedMerge(
            repository=asked.repository,
            repository_id=asked.repository_id,
            installation_id=asked.installation_id,
            number=number,
            sha=sha,
            minutes=policy.follow_merge_minutes,
            until=moment + policy.follow_merge_minutes * 60.0,
            next_at=moment,
        )
    )


async def keep_following(services: Services) -> None:
    """Look at each followed merge once a minute, and soon after an event. Until cancelled."""
    while True:
        try:
            for merge in await services.follows.take_due(_LOOK_SECONDS):
                await _look(services, merge)
        except RetryableError as problem:
            log.warning(log_events.MERGES_NOT_FOLLOWED, why=str(problem))
        await asyncio.sleep(POLL_SECONDS)


async def _look(services: Services, merge: FollowedMerge) -> None:
    services.github.know(merge.repository, merge.repository_id)
    try:
        client = await services.github.repository(merge.installation_id, merge.repository, FOLLOW)
        found = await _fate(client, merge)
        await _act(services, client, merge, found)
    except HonkError as problem:
        log.warning(log_events.MERGES_NOT_FOLLOWED, number=merge.number, why=str(problem))
        if now() > merge.until:
            await services.follows.end(merge)
    except Exception as problem:
        # A bug with one merge must not stop the others.
        log.exception(
            log_events.MERGES_NOT_FOLLOWED, number=merge.number, why=type(problem).__name__
        )
        await services.follows.end(merge)


async def _fate(client: RepositoryClient, merge: FollowedMerge) -> Fate:
    deployed, runs = await asyncio.gather(
        deployments.of_merge(client, merge.sha), actions.runs_for_sha(client, merge.sha)
    )
    return fate(deployed, [each for each in runs if each.repository_id == merge.repository_id])


async def _act(
    services: Services, client: RepositoryClient, merge: FollowedMerge, found: Fate
) -> None:
    """Comment once the state has lasted, or the time is up."""
    seen = f"{found.kind} {found.key}" if found.kind in _FINAL else ""
    if seen and seen == merge.seen:
        await _say(services, client, merge, await _text(client, merge, found))
    elif seen:
        await services.follows.note(merge, seen, now() + _SETTLE_SECONDS)
    elif now() > merge.until:
        text = messages.after_merge.not_seen(merge.number, merge.sha, merge.minutes, found)
        await _say(services, client, merge, text)
    elif merge.seen:
        await services.follows.note(merge, "", now() + _LOOK_SECONDS)


async def _text(client: RepositoryClient, merge: FollowedMerge, found: Fate) -> str:
    if found.kind == "live":
        return messages.after_merge.live(merge.number, merge.sha, found)
    ending = await _end_of_log(client, merge)
    return messages.after_merge.failed(merge.number, merge.sha, found, ending)


async def _end_of_log(client: RepositoryClient, merge: FollowedMerge) -> str:
    """The end of the first failing job's log; empty if there is none to read."""
    try:
        for check in await checks.failing(client, merge.sha):
            if check.job_id is not None:
                return await actions.job_log(client, check.job_id, _LOG_BYTES) or ""
    except HonkError as problem:
        log.warning(log_events.JOB_LOG_UNAVAILABLE, check=str(merge.number), why=str(problem))
    return ""


async def _say(
    services: Services, client: RepositoryClient, merge: FollowedMerge, text: str
) -> None:
    marker = messages.after_merge.marker(merge.number, merge.sha)
    await conversation.ensure_comment(client, merge.number, marker, f"{text}\n\n{marker}\n")
    await services.follows.end(merge)
