"""Previews that a repository's own CI or host reports for a commit of Honk's.

They are computed from GitHub's current state after each event, so events may be repeated and arrive
in any order.
"""

from __future__ import annotations

import asyncio

import structlog

from app import log_events, messages
from app.domain import preview
from app.domain.trigger import Signal
from app.domain.values import CommitSha
from app.github import conversation, deployments, pulls
from app.github.client import RepositoryClient
from app.runs.services import READ_DEPLOYMENTS, WRITE_COMMENTS, Services
from app.store.runs import RunRow

log = structlog.get_logger()

_ROUNDS = 5
"""How many times the texts are written until they match what is stored."""


async def on_signal(services: Services, signal: Signal) -> None:
    """Store the previews of a verified commit, and show them where a run on it has ended.

    Raises RetryableError when GitHub is unavailable, and UserError when it refuses.
    """
    repository, sha = str(signal.repository), signal.head_sha
    assert sha is not None
    published = await services.runs.of_commit(repository, sha)
    if not published and not await services.runs.of_checked_commit(repository, sha):
        return
    client = await services.github.repository(
        signal.installation_id, signal.repository, READ_DEPLOYMENTS
    )
    reports = await deployments.reported(client, sha)
    found = preview.current(reports)
    newest = max(signal.deployment_status or 0, *(each.status for each in reports), 0)
    await services.previews.put(signal.repository_id, sha, found, newest)
    log.info(log_events.PREVIEWS_REPORTED, sha=sha, count=len(found))
    if published:
        await update(services, published[0])


async def update(services: Services, row: RunRow) -> None:
    """Show what there is for an ended run's commit now, or remove what was there."""
    await _show(services, row, is_update=True)


async def show(services: Services, row: RunRow) -> None:
    """Show the previews of an ended run's commit, if there are any yet."""
    await _show(services, row, is_update=False)


async def _show(services: Services, row: RunRow, *, is_update: bool) -> None:
    """Update the line in the pull request and the status comment of an ended run.

    A run that works on them writes both itself, and then calls this.
    """
    if row.published_sha is None or row.input.quiet or not await services.may_comment():
        return
    sha, repository_id = CommitSha(row.published_sha), row.input.trigger.repository_id
    block = await _block(services, repository_id, sha)
    if not block and not is_update:
        return
    if await _is_being_written(services, row):
        return
    client = await services.client(row.input, WRITE_COMMENTS)
    for _ in range(_ROUNDS):
        await asyncio.gather(_in_status(client, row, block), _in_pull(client, row, block, sha))
        # Another event may have been handled at the same time, and its texts overwritten.
        shown, block = block, await _block(services, repository_id, sha)
        if shown == block:
            return


async def _block(services: Services, repository_id: int, sha: CommitSha) -> str:
    found, build = await asyncio.gather(
        services.previews.of_commit(repository_id, sha),
        services.builds.of_commit(repository_id, sha),
    )
    qr = f"{services.public_url}/qr/{repository_id}/{sha}.svg" if services.public_url else ""
    return messages.preview.previews_block(found, sha, build, services.public_url, qr)


async def _is_being_written(services: Services, row: RunRow) -> bool:
    if await services.runs.alive_on(row.subject):
        return True
    if row.pull_number is None:
        return False
    runs = await services.runs.of_pull(row.repository, row.pull_number)
    return any(each.finished_at is None and not each.input.quiet for each in runs)


async def _in_status(client: RepositoryClient, row: RunRow, block: str) -> None:
    if row.status_comment_id is None:
        return
    text = await conversation.comment_body(client, row.status_comment_id)
    if text is None:
        return
    changed = messages.preview.with_previews(text, block)
    if changed != text:
        await conversation.edit_comment(client, row.status_comment_id, changed)


async def _in_pull(client: RepositoryClient, row: RunRow, block: str, sha: CommitSha) -> None:
    """Update our own pull request while the commit is its head."""
    if row.pull_number is None:
        return
    pull = await pulls.pull_request(client, row.pull_number)
    if pull.head_sha != sha or not await conversation.is_our_bot(client, pull.author):
        return
    changed = messages.preview.with_previews(pull.body, block)
    if changed != pull.body:
        await pulls.update_pull_request(client, pull.number, body=changed)
