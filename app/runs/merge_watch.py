"""What happens to a pull request after Honk has turned auto-merge on, or added it to a queue.

GitHub's auto-merge is not bound to a commit: it merges whatever the head is when the requirements
are met. So Honk turns it off when the head moves.
"""

from __future__ import annotations

import asyncio

from app import messages
from app.domain.trigger import Signal
from app.domain.values import CommitSha
from app.github import conversation, pulls
from app.github.client import RepositoryClient
from app.github.pulls import PullRequest
from app.runs import after_merge, current_policy, durable
from app.runs.services import PUBLISH, WRITE_COMMENTS, Services
from app.store.merges import MergeRequest

ACTIONS = frozenset({"synchronize", "closed"})
"""The actions of signals about approvals that may concern a merge: each pull request sends one."""

_MERGED = "MERGE"
"""GitHub's reason for removing from the queue what it has merged."""
_LAG_POLLS = 3


async def on_signal(services: Services, signal: Signal) -> None:
    """Turn auto-merge off for a head that no one asked to merge; report what the queue did.

    Raises RetryableError when GitHub is unavailable, and UserError when it refuses.
    """
    if signal.number is None:
        return
    request = await services.merges.of_pull(signal.repository_id, signal.number)
    if request is None:
        return
    if signal.kind == "dequeued":
        if request.state == "queued" and signal.action != _MERGED:
            await _say_left_queue(services, signal, request)
    elif signal.kind == "approvals":
        client = await _client(services, signal)
        if signal.action == "closed":
            await _follow(services, signal, client)
        if request.state == "auto":
            await _check_auto_merge(services, signal, client, request)


async def _say_left_queue(services: Services, signal: Signal, request: MergeRequest) -> None:
    client = await _client(services, signal)
    text = messages.merge.left_queue(request.number, signal.action, request.sha)
    await _say(services, client, request, signal.action, text)
    await services.merges.forget(signal.repository_id, request.number, request.trigger)


async def _follow(services: Services, signal: Signal, client: RepositoryClient) -> None:
    assert signal.number is not None
    pull = await pulls.pull_request(client, signal.number)
    if pull.merge_commit is not None:
        policy = await current_policy.load(client, signal.default_branch)
        await after_merge.start(services, signal, policy, pull.number, pull.merge_commit)


async def _check_auto_merge(
    services: Services, signal: Signal, client: RepositoryClient, request: MergeRequest
) -> None:
    pull = await _current(client, request, signal.head_sha)
    if pull.head_sha == request.sha and pull.state == "open":
        return
    if pull.state == "open":
        await pulls.disable_auto_merge(client, pull.node_id)
        text = messages.merge.turned_off(request.number, request.sha, pull.head_sha)
        await _say(services, client, request, pull.head_sha, text)
    elif pull.merged and pull.head_sha != request.sha:
        text = messages.merge.merged_another(request.number, request.sha, pull.head_sha)
        await _say(services, client, request, pull.head_sha, text)
    await services.merges.forget(signal.repository_id, request.number, request.trigger)


async def _current(
    client: RepositoryClient, request: MergeRequest, head: CommitSha | None
) -> PullRequest:
    """The pull request. Its head may lag behind the event, or the event may be an old one."""
    pull = await pulls.pull_request(client, request.number)
    for _ in range(_LAG_POLLS):
        if pull.head_sha != request.sha or head == request.sha or pull.state != "open":
            break
        async with durable.released():
            await asyncio.sleep(1.0)
        pull = await pulls.pull_request(client, request.number)
    return pull


async def _client(services: Services, signal: Signal) -> RepositoryClient:
    return await services.github.repository(
        signal.installation_id,
        signal.repository,
        {**PUBLISH, **WRITE_COMMENTS, "contents": "write"},
    )


async def _say(
    services: Services, client: RepositoryClient, request: MergeRequest, about: str, text: str
) -> None:
    await services.relay(f"{request.trigger}:{about}"[:200], text)
    marker = messages.merge.marker(request.trigger, about)
    await conversation.ensure_comment(client, request.number, marker, f"{text}\n\n{marker}\n")
