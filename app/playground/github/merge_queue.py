"""A merge queue: each pull request is tested on its own branch before it reaches the base.

Outside contract: https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository/configuring-pull-request-merges/managing-a-merge-queue
and the event https://docs.github.com/webhooks/webhook-events-and-payloads#merge_group
"""

from __future__ import annotations

from .accounts import User
from .checks import head_commit_shape
from .commits import git_person, web_flow_person, write_commit
from .conversation import add_event, announce
from .git import ZERO
from .heads import finish_merge, move_ref, moved
from .refusals import Refusal
from .rules import check_states, merged_tree, needs_of, state_of, unmet
from .webhooks import emit
from .world import Json, QueueEntry, Repository, SimulatedIssue, SimulatedPullRequest, World

WORDS = "Changes must be made through the merge queue"
"""The refusal of a direct merge."""


def rule_of(world: World, repository: Repository, pull: SimulatedPullRequest) -> Json | None:
    """The rule that requires a queue on the base, if any."""
    for needs in needs_of(world, repository, pull.base, None):
        if needs.queue is not None:
            return needs.queue
    return None


async def enqueue(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    who: User,
) -> QueueEntry:
    """Add a pull request to the queue. Refuses with 422 if it is not ready."""
    if rule_of(world, repository, pull) is None:
        raise Refusal(422, "Merge queue is not enabled for this branch")
    if pull.queued is not None:
        raise Refusal(422, "Pull request is already in the queue")
    if issue.state != "open" or pull.draft:
        raise Refusal(422, "Pull request is not ready to be merged")
    missing = [
        one.text
        for one in await unmet(world, repository, pull, None)
        if one.text != WORDS and not one.text.startswith("Required status check")
    ]
    if missing:
        raise Refusal(422, " ".join(missing))
    entry = pull.queued = await _try_out(world, repository, issue, pull, who)
    add_event(world, issue, "added_to_merge_queue", who)
    announce(world, repository, issue, "enqueued", who)
    await _tell(world, repository, entry, "checks_requested", who)
    return entry


async def _try_out(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    who: User,
) -> QueueEntry:
    """Make the commit that would land, on top of those before it in the queue."""
    git = repository.git
    before = [one.queued for _, one in repository.pulls() if one.queued and one.base == pull.base]
    base = max(before, key=lambda one: one.id).head_sha if before else None
    base = base or await git.ref(f"refs/heads/{pull.base}") or pull.base_sha
    tree = await git.merged_tree(base, pull.head_sha)
    if tree is None or await merged_tree(repository, pull) is None:
        raise Refusal(422, "Pull request has merge conflicts")
    sha = await write_commit(
        repository,
        tree=tree,
        parents=(base, pull.head_sha),
        message=f"Merge pull request #{issue.number} from {pull.head}\n\n{issue.title}",
        author=git_person(world, who),
        committer=web_flow_person(world),
        signed=True,
    )
    ref = f"refs/heads/gh-readonly-queue/{pull.base}/pr-{issue.number}-{base}"
    await move_ref(world, repository, who, ref, ZERO, sha)
    return QueueEntry(world.new_id(), who, world.clock.now(), ref, base, sha)


async def _tell(
    world: World, repository: Repository, entry: QueueEntry, action: str, who: User, **more: str
) -> None:
    branch = entry.ref.removeprefix("refs/heads/gh-readonly-queue/").rpartition("/")[0]
    group: Json = {
        "head_sha": entry.head_sha,
        "head_ref": entry.ref,
        "base_sha": entry.base_sha,
        "base_ref": f"refs/heads/{branch}",
        "head_commit": head_commit_shape(await repository.git.commit(entry.head_sha)),
    }
    emit(world, repository, "merge_group", action, who, {"merge_group": group} | more)


async def dequeue(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    who: User,
    reason: str = "MANUAL",
) -> None:
    """Remove a pull request from the queue without merging; those behind it are rebuilt."""
    entry = pull.queued
    if entry is None:
        raise Refusal(422, "Pull request is not in the queue")
    pull.queued = pull.auto_merge = None
    add_event(world, issue, "removed_from_merge_queue", who)
    announce(world, repository, issue, "dequeued", who, reason=reason)
    await _tell(world, repository, entry, "destroyed", who, reason="dequeued")
    await move_ref(world, repository, who, entry.ref, entry.head_sha, ZERO)
    behind = [
        (other, their, queued)
        for other, their in repository.pulls()
        if (queued := their.queued) and their.base == pull.base and queued.id > entry.id
    ]
    behind.sort(key=lambda each: each[2].id)
    for _, their, queued in behind:
        await _invalidate(world, repository, their, queued)
    for other, their, queued in behind:
        await _again(world, repository, other, their, queued.enqueued_by)


async def _invalidate(
    world: World, repository: Repository, pull: SimulatedPullRequest, entry: QueueEntry
) -> None:
    """Delete the entry's commit, whose parent no longer exists."""
    await _tell(world, repository, entry, "destroyed", entry.enqueued_by, reason="invalidated")
    await move_ref(world, repository, entry.enqueued_by, entry.ref, entry.head_sha, ZERO)
    pull.queued = None


async def _again(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    who: User,
) -> None:
    try:
        pull.queued = await _try_out(world, repository, issue, pull, who)
    except Refusal:
        announce(world, repository, issue, "dequeued", who, reason="MERGE_CONFLICT")
        return
    await _tell(world, repository, pull.queued, "checks_requested", who)


async def advance(world: World, repository: Repository) -> None:
    """Merge the entries that passed, in order; remove the others."""
    waiting = [(issue, pull) for issue, pull in repository.pulls() if pull.queued is not None]
    waiting.sort(key=lambda pair: pair[1].queued.id if pair[1].queued else 0)
    for issue, pull in waiting:
        entry = pull.queued
        if entry is None:
            continue
        if issue.state != "open":
            await dequeue(world, repository, issue, pull, entry.enqueued_by, "MANUAL")
            continue
        state = _state(world, repository, pull, entry)
        if state == "failure":
            await dequeue(world, repository, issue, pull, entry.enqueued_by, "CI_FAILURE")
        elif state == "success":
            await _land(world, repository, issue, pull, entry)


def _state(
    world: World, repository: Repository, pull: SimulatedPullRequest, entry: QueueEntry
) -> str:
    states = check_states(world, repository, entry.head_sha)
    found = [
        state_of(states, check) or "pending"
        for needs in needs_of(world, repository, pull.base, None)
        for check in needs.checks
    ]
    if "failure" in found:
        return "failure"
    return "pending" if "pending" in found else "success"


async def _land(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    entry: QueueEntry,
) -> None:
    ref, who = f"refs/heads/{pull.base}", entry.enqueued_by
    async with repository.lock:
        if not await repository.git.update_ref(ref, entry.head_sha, entry.base_sha):
            return
        pull.queued = None
        pull.merged_onto = entry.base_sha
        finish_merge(world, repository, issue, pull, who, entry.head_sha)
        await moved(world, repository, who, [(ref, entry.base_sha, entry.head_sha)])
    announce(world, repository, issue, "dequeued", who, reason="MERGE")
    await _tell(world, repository, entry, "destroyed", who, reason="merged")
    await move_ref(world, repository, who, entry.ref, entry.head_sha, ZERO)
