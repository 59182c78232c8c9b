"""Changes that only GraphQL offers: minimize, resolve, transfer, delete, lock, auto-merge.

Outside contract: https://docs.github.com/graphql/reference/mutations
"""

from __future__ import annotations

from collections.abc import Iterator

from . import auto_merge, merge_queue, reverting
from .api import Call, has_permission, sees
from .comments import add_reaction
from .graphql_objects import (
    actor_object,
    comment_object,
    issue_object,
    payload,
    pull_object,
    repository_object,
    review_comment_object,
    review_object,
    thread_object,
)
from .moderation import CLASSIFIERS, delete_issue, minimise, resolve, set_lock, transfer
from .resolvers import (
    GraphQlError,
    NodeLoader,
    Resolver,
    find_issue,
    find_pull,
    need,
    unresolved,
)
from .shapes import moment, node_id
from .threads import announce_thread
from .world import (
    AutoMerge,
    Json,
    Repository,
    ReviewThread,
    SimulatedComment,
    SimulatedIssue,
    SimulatedPullRequest,
    SimulatedReview,
)


def _conversations(call: Call) -> Iterator[SimulatedIssue]:
    """Every issue and pull request that may be seen; its repository becomes that of the call."""
    for repository in list(call.world.repositories.values()):
        if sees(call.world, call.actor, repository):
            for issue in repository.issues.values():
                call.found = repository
                yield issue


async def repository(call: Call, arguments: Json) -> Json:
    """A repository by its name."""
    name = f"{arguments['owner']}/{arguments['name']}"
    found = call.world.repositories.get(name.lower())
    if found is None or not sees(call.world, call.actor, found):
        words = f"Could not resolve to a Repository with the name '{name}'."
        raise GraphQlError("NOT_FOUND", words)
    call.found = found
    return repository_object(call, found)


# -- nodes


async def load_issue(call: Call, wanted: str) -> Json:
    issue = find_issue(call, wanted)
    return issue_object(call, issue)


async def load_comment(call: Call, wanted: str) -> Json | None:
    found = _find_hideable(call, wanted)
    return found[1] if found else None


async def load_thread(call: Call, wanted: str) -> Json:
    issue, thread = _find_thread(call, wanted)
    return thread_object(call, issue, thread)


def _find_thread(call: Call, wanted: str) -> tuple[SimulatedIssue, ReviewThread]:
    for issue in _conversations(call):
        for thread in issue.pull.threads if issue.pull else ():
            if node_id("PRRT", thread.id) == wanted:
                return issue, thread
    raise unresolved(wanted)


def _find_hideable(
    call: Call, wanted: str
) -> tuple[SimulatedComment | SimulatedReview, Json] | None:
    """A comment, review comment or review with how it looks."""
    for issue in _conversations(call):
        for comment in issue.comments:
            if node_id("IC", comment.id) == wanted:
                return comment, comment_object(call, issue, comment)
        if issue.pull is None:
            continue
        for review in issue.pull.reviews:
            if node_id("PRR", review.id) == wanted:
                return review, review_object(call, issue, review)
        for thread, line in issue.pull.review_comments:
            if node_id("PRRC", line.id) == wanted:
                return line, review_comment_object(call, issue, thread, line)
    return None


# -- hiding and resolving


async def minimize_comment(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    if given["classifier"] not in CLASSIFIERS:
        raise GraphQlError("UNPROCESSABLE", f"{given['classifier']} is not a classifier")
    return _hide(call, "MinimizeComment", given, given["classifier"])


async def unminimize_comment(call: Call, arguments: Json) -> Json:
    return _hide(call, "UnminimizeComment", arguments["input"], None)


def _hide(call: Call, mutation: str, given: Json, reason: str | None) -> Json:
    found = _find_hideable(call, given["subjectId"])
    if found is None:
        raise unresolved(given["subjectId"])
    if call.actor.kind == "person":
        if found[0].author is not call.user:
            need(call, role="write")
    elif not _may_speak(call):
        raise GraphQlError("FORBIDDEN", "Resource not accessible by integration")
    minimise(found[0], reason)
    again = _find_hideable(call, given["subjectId"])
    name = "minimizedComment" if reason else "unminimizedComment"
    return payload(mutation, given, **{name: again[1] if again else None})


async def resolve_thread(call: Call, arguments: Json) -> Json:
    return _resolve(call, "ResolveReviewThread", arguments["input"], resolved=True)


async def unresolve_thread(call: Call, arguments: Json) -> Json:
    return _resolve(call, "UnresolveReviewThread", arguments["input"], resolved=False)


def _resolve(call: Call, mutation: str, given: Json, *, resolved: bool) -> Json:
    issue, thread = _find_thread(call, given["threadId"])
    if call.user is not issue.author:
        # Resolving needs contents besides, as leaving the draft state does.
        need(call, "pull_requests:write", "contents:write")
    if resolved != (thread.resolved_by is not None):
        resolve(call, thread, resolved=resolved)
        action = "resolved" if resolved else "unresolved"
        announce_thread(call.world, call.repository, issue, thread, action, call.user)
    return payload(mutation, given, thread=thread_object(call, issue, thread))


# -- reactions


async def react(call: Call, arguments: Json) -> Json:
    """React to whatever can be reacted to; a review can be in GraphQL only."""
    given = arguments["input"]
    wanted, content = given["subjectId"], given["content"]
    found = _find_hideable(call, wanted)
    thing: SimulatedIssue | SimulatedComment | SimulatedReview = (
        found[0] if found else find_issue(call, wanted)
    )
    if call.actor.kind == "installation" and not _may_speak(call):
        raise GraphQlError("FORBIDDEN", "Resource not accessible by integration")
    word = {"THUMBS_UP": "+1", "THUMBS_DOWN": "-1"}.get(content, content.lower())
    reaction, _ = add_reaction(call, thing.reactions, word)
    shape = {
        "__typename": "Reaction",
        "id": node_id("REA", reaction.id),
        "databaseId": reaction.id,
        "content": content,
        "createdAt": moment(reaction.created_at),
    }
    return payload("AddReaction", given, reaction=shape)


def _may_speak(call: Call) -> bool:
    return any(has_permission(call.actor, f"{one}:write") for one in ("issues", "pull_requests"))


# -- auto-merge and the queue


async def revert(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue, pull = find_pull(call, given["pullRequestId"])
    need(call, "pull_requests:write", "contents:write")
    made = await reverting.revert(
        call, issue, pull, given.get("title"), given.get("body"), draft=bool(given.get("draft"))
    )
    shape = pull_object(call, made, made.pull) if made.pull else None
    original = pull_object(call, issue, pull)
    return payload("RevertPullRequest", given, pullRequest=original, revertPullRequest=shape)


def _check_head(given: Json, pull: SimulatedPullRequest) -> None:
    expected = given.get("expectedHeadOid")
    if expected is not None and expected != pull.head_sha:
        words = f"Head sha didn't match expected: {expected}"
        raise GraphQlError("UNPROCESSABLE", words)


async def enable_auto_merge(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue, pull = find_pull(call, given["pullRequestId"])
    need(call, "pull_requests:write", "contents:write")
    _check_head(given, pull)
    method = (given.get("mergeMethod") or "MERGE").lower()
    title, text = given.get("commitHeadline"), given.get("commitBody")
    order = AutoMerge(call.user, method, title, text)
    await auto_merge.enable(call.world, call.repository, issue, pull, order)
    return _pull_payload(call, "EnablePullRequestAutoMerge", given, issue)


async def disable_auto_merge(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue, pull = find_pull(call, given["pullRequestId"])
    need(call, "pull_requests:write", "contents:write")
    if pull.auto_merge is None:
        raise GraphQlError("UNPROCESSABLE", "Can't disable auto-merge for this pull request.")
    reason = "Auto-merge was disabled by user"
    auto_merge.disable(call.world, call.repository, issue, pull, call.user, reason)
    return _pull_payload(call, "DisablePullRequestAutoMerge", given, issue)


def _pull_payload(call: Call, mutation: str, given: Json, issue: SimulatedIssue) -> Json:
    actor = actor_object(call, call.user)
    shape = pull_object(call, issue, issue.pull) if issue.pull else None
    return payload(mutation, given, actor=actor, pullRequest=shape)


async def enqueue(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue, pull = find_pull(call, given["pullRequestId"])
    need(call, "pull_requests:write", "contents:write", "merge_queues:write")
    _check_head(given, pull)
    entry = await merge_queue.enqueue(call.world, call.repository, issue, pull, call.user)
    shape = {
        "__typename": "MergeQueueEntry",
        "id": node_id("MQE", entry.id),
        "enqueuedAt": moment(entry.enqueued_at),
        "pullRequest": pull_object(call, issue, pull),
    }
    return payload("EnqueuePullRequest", given, mergeQueueEntry=shape)


async def dequeue(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue, pull = find_pull(call, given["id"])
    need(call, "pull_requests:write", "contents:write")
    await merge_queue.dequeue(call.world, call.repository, issue, pull, call.user)
    return payload("DequeuePullRequest", given, mergeQueueEntry=None)


# -- issues


async def transfer_issue(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue = find_issue(call, given["issueId"])
    need(call, "issues:write")
    target = _repository(call, given["repositoryId"])
    if call.actor.kind == "person" and not target.allows(call.user, "write"):
        raise GraphQlError("FORBIDDEN", "Resource not accessible")
    labels = bool(given.get("createLabelsIfMissing"))
    moved = transfer(call, issue, target, labels=labels)
    call.found = target
    return payload("TransferIssue", given, issue=issue_object(call, moved))


def _repository(call: Call, wanted: str) -> Repository:
    for found in call.world.repositories.values():
        if node_id("R", found.id) == wanted and sees(call.world, call.actor, found):
            return found
    raise unresolved(wanted)


async def remove_issue(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    issue = find_issue(call, given["issueId"])
    if call.actor.kind != "person":
        raise GraphQlError("FORBIDDEN", "Resource not accessible by integration")
    need(call, role="admin")
    delete_issue(call, issue)
    return payload("DeleteIssue", given, repository=repository_object(call, call.repository))


async def lock_lockable(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    reason = given.get("lockReason")
    words = {"OFF_TOPIC": "off-topic", "TOO_HEATED": "too heated"}
    word = words.get(reason, reason.lower()) if reason else None
    return _lock(call, "LockLockable", "lockedRecord", given, locked=True, reason=word)


async def unlock_lockable(call: Call, arguments: Json) -> Json:
    given = arguments["input"]
    return _lock(call, "UnlockLockable", "unlockedRecord", given, locked=False)


def _lock(
    call: Call, mutation: str, name: str, given: Json, *, locked: bool, reason: str | None = None
) -> Json:
    issue = find_issue(call, given["lockableId"])
    need(call, "pull_requests:write" if issue.pull else "issues:write", role="triage")
    if issue.locked != locked:
        set_lock(call, issue, locked=locked, reason=reason)
    shape = pull_object(call, issue, issue.pull) if issue.pull else issue_object(call, issue)
    return payload(mutation, given, **{name: shape, "actor": actor_object(call, call.user)})


QUERIES: dict[str, Resolver] = {"repository": repository}

MUTATIONS: dict[str, Resolver] = {
    "addReaction": react,
    "minimizeComment": minimize_comment,
    "unminimizeComment": unminimize_comment,
    "resolveReviewThread": resolve_thread,
    "unresolveReviewThread": unresolve_thread,
    "enablePullRequestAutoMerge": enable_auto_merge,
    "disablePullRequestAutoMerge": disable_auto_merge,
    "enqueuePullRequest": enqueue,
    "dequeuePullRequest": dequeue,
    "revertPullRequest": revert,
    "transferIssue": transfer_issue,
    "deleteIssue": remove_issue,
    "lockLockable": lock_lockable,
    "unlockLockable": unlock_lockable,
}

NODES: dict[str, NodeLoader] = {
    "I": load_issue,
    "IC": load_comment,
    "PRR": load_comment,
    "PRRC": load_comment,
    "PRRT": load_thread,
}

INTERFACES: dict[str, tuple[str, ...]] = {
    "PullRequest": ("Node", "Comment", "Closable", "Lockable"),
    "Issue": ("Node", "Comment", "Closable", "Lockable"),
    "IssueComment": ("Node", "Comment", "Minimizable"),
    "PullRequestReview": ("Node", "Comment", "Minimizable"),
    "PullRequestReviewComment": ("Node", "Comment", "Minimizable"),
    "PullRequestReviewThread": ("Node",),
    "Repository": ("Node",),
    "User": ("Node", "Actor"),
    "Bot": ("Node", "Actor"),
}
"""What a fragment on an interface may stand for, by type."""
