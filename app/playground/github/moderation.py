"""Moderation: lock, transfer, delete, convert to a discussion, minimize.

Outside contract: https://docs.github.com/rest/issues/issues#lock-an-issue and
https://docs.github.com/graphql/reference/mutations
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call
from .conversation import add_event, announce, issue_shape, next_number
from .refusals import Refusal
from .shapes import full_repository_shape
from .webhooks import emit
from .world import Json, Repository, ReviewThread, SimulatedComment, SimulatedIssue, SimulatedReview

LOCK_REASONS = ("off-topic", "too heated", "resolved", "spam")
CLASSIFIERS = ("SPAM", "ABUSE", "OFF_TOPIC", "OUTDATED", "DUPLICATE", "RESOLVED", "LOW_QUALITY")
"""Why a comment can be hidden."""


async def lock(call: Call) -> Answer:
    issue, reason = call.issue(), call.choice("lock_reason", LOCK_REASONS)
    if not issue.locked:
        set_lock(call, issue, locked=True, reason=reason)
    return Answer(204)


async def unlock(call: Call) -> Answer:
    issue = call.issue()
    if issue.locked:
        set_lock(call, issue, locked=False)
    return Answer(204)


def set_lock(call: Call, issue: SimulatedIssue, *, locked: bool, reason: str | None = None) -> None:
    """Close a conversation to those without write access, or open it again."""
    issue.locked, issue.lock_reason = locked, reason
    action = "locked" if locked else "unlocked"
    more = {"lock_reason": reason} if locked else {}
    add_event(call.world, issue, action, call.user, **more)
    announce(call.world, call.repository, issue, action, call.user)


def transfer(
    call: Call, issue: SimulatedIssue, target: Repository, *, labels: bool = False
) -> SimulatedIssue:
    """Move an issue to another repository of the same account, where it gets a new number.

    Comments keep their ids, and so do labels that exist there by name; `labels` creates the missing
    ones.
    """
    world, source = call.world, call.repository
    if issue.pull is not None:
        raise Refusal(422, "Pull requests can't be transferred")
    if target is source or target.owner is not source.owner or target.archived:
        raise Refusal(422, "Issue can't be transferred to this repository")
    if source.private and not target.private:
        raise Refusal(422, "Private issues can't be transferred to public repositories")
    before = issue_shape(world, source, issue)
    moved = _arrived(call, issue, target)
    del source.issues[issue.number]
    source.gone[issue.number] = (target, moved.number)
    target.issues[moved.number] = moved
    _carry_labels(call, issue, moved, target, make=labels)
    changes: Json = {
        "new_issue": issue_shape(world, target, moved),
        "new_repository": full_repository_shape(world, target),
    }
    payload: Json = {"issue": before, "changes": changes}
    emit(world, source, "issues", "transferred", call.user, payload)
    add_event(world, moved, "transferred", call.user)
    changes = {"old_issue": before, "old_repository": full_repository_shape(world, source)}
    announce(world, target, moved, "opened", call.user, changes=changes)
    return moved


def _arrived(call: Call, issue: SimulatedIssue, target: Repository) -> SimulatedIssue:
    moved = SimulatedIssue(
        call.world.new_id(),
        next_number(target),
        issue.title,
        issue.body,
        issue.author,
        issue.created_at,
        call.world.clock.now(),
    )
    moved.state, moved.state_reason = issue.state, issue.state_reason
    moved.closed_at, moved.closed_by = issue.closed_at, issue.closed_by
    moved.locked, moved.lock_reason = issue.locked, issue.lock_reason
    moved.comments, moved.reactions = issue.comments, issue.reactions
    moved.events, moved.edits = issue.events, issue.edits
    moved.assignees = [user for user in issue.assignees if target.is_collaborator(user)]
    return moved


def _carry_labels(
    call: Call, issue: SimulatedIssue, moved: SimulatedIssue, target: Repository, *, make: bool
) -> None:
    for label in issue.labels:
        there = target.label(label.name)
        if there is None and make:
            there = type(label)(call.world.new_id(), label.name, label.color, label.description)
            target.labels.append(there)
        if there is not None:
            moved.labels.append(there)


def delete_issue(call: Call, issue: SimulatedIssue) -> None:
    """Delete an issue permanently; its number is never reused. Pull requests cannot be deleted."""
    if issue.pull is not None:
        raise Refusal(422, "Pull requests can't be deleted")
    del call.repository.issues[issue.number]
    call.repository.gone[issue.number] = None
    announce(call.world, call.repository, issue, "deleted", call.user)


def convert_to_discussion(call: Call, issue: SimulatedIssue) -> None:
    """Turn an issue into a discussion: it is closed, locked, and says so in its timeline."""
    if issue.pull is not None:
        raise Refusal(422, "Pull requests can't be converted to discussions")
    issue.state, issue.closed_at = "closed", call.world.clock.now()
    issue.closed_by, issue.state_reason = call.user, "completed"
    issue.locked, issue.lock_reason = True, None
    issue.comments.clear()
    add_event(call.world, issue, "converted_to_discussion", call.user)
    announce(call.world, call.repository, issue, "closed", call.user)
    announce(call.world, call.repository, issue, "locked", call.user)


def minimise(thing: SimulatedComment | SimulatedReview, reason: str | None) -> None:
    """Hide a comment or review for a reason, or show it again with None."""
    thing.minimised = reason


def resolve(call: Call, thread: ReviewThread, *, resolved: bool) -> None:
    """Mark a review thread as resolved or unresolved."""
    thread.resolved_by = call.user if resolved else None


_LOCK = "/repos/{owner}/{repo}/issues/{issue_number}/lock"
_WRITE = "issues:write|pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("PUT", _LOCK, lock, _WRITE, "triage"),
    ApiEndpoint("DELETE", _LOCK, unlock, _WRITE, "triage"),
]
