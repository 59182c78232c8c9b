"""Threads of review comments: their shapes, and how pushes move them.

Outside contract: https://docs.github.com/rest/pulls/comments
"""

from __future__ import annotations

from .accounts import User
from .conversation import add_event, issue_page, pull_shape, reactions_shape
from .diffs import find_line, follow_line, read_patch
from .git import ChangedPath, Git
from .shapes import association, body_texts, moment, node_id, repository_url, user_shape
from .webhooks import emit
from .world import (
    Json,
    Repository,
    ReviewComment,
    ReviewThread,
    SimulatedIssue,
    SimulatedPullRequest,
    SimulatedReview,
    World,
)


async def pull_changes(
    git: Git, pull: SimulatedPullRequest, commit: str
) -> tuple[str, list[ChangedPath]]:
    """The base of the pull request's diff for one of its commits, and the diff."""
    start = await git.merge_base(pull.base_sha, commit) or pull.base_sha
    return start, await git.changes(start, commit)


def review_comment_shape(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    thread: ReviewThread,
    comment: ReviewComment,
    accept: str = "",
) -> Json:
    """A comment on lines (`pull-request-review-comment`)."""
    pulls = f"{repository_url(world, repository)}/pulls"
    url, pull_url = f"{pulls}/comments/{comment.id}", f"{pulls}/{issue.number}"
    page = f"{issue_page(world, repository, issue)}#discussion_r{comment.id}"
    gone = thread.outdated or issue.pull is None
    commit = thread.original_commit if gone or issue.pull is None else issue.pull.head_sha
    links = {"self": url, "html": page, "pull_request": pull_url}
    shape: Json = {
        "id": comment.id,
        "node_id": node_id("PRRC", comment.id),
        "url": url,
        "html_url": page,
        "pull_request_url": pull_url,
        "pull_request_review_id": comment.review_id,
        "diff_hunk": comment.diff_hunk,
        "path": thread.path,
        "commit_id": commit,
        "original_commit_id": thread.original_commit,
        "subject_type": thread.subject,
        "user": user_shape(world, comment.author),
        "created_at": moment(comment.created_at),
        "updated_at": moment(comment.updated_at),
        "author_association": association(repository, comment.author),
        "reactions": reactions_shape(url, comment.reactions),
        "_links": {name: {"href": href} for name, href in links.items()},
    }
    if comment.in_reply_to is not None:
        shape["in_reply_to_id"] = comment.in_reply_to
    return shape | _place(thread) | body_texts(comment.body, accept)


def _place(thread: ReviewThread) -> Json:
    if thread.subject == "file":
        blank = ("line", "original_line", "start_line", "original_start_line", "start_side")
        place: Json = dict.fromkeys(blank)
        return place | {"side": "RIGHT", "position": 1, "original_position": 1}
    return {
        "side": thread.side,
        "line": thread.line,
        "original_line": thread.original_line,
        "start_side": thread.start_side,
        "start_line": thread.start,
        "original_start_line": thread.original_start,
        "position": thread.position,
        "original_position": thread.original_position,
    }


def review_shape(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    review: SimulatedReview,
    accept: str = "",
) -> Json:
    """A review (`pull-request-review`)."""
    page = f"{issue_page(world, repository, issue)}#pullrequestreview-{review.id}"
    url = f"{repository_url(world, repository)}/pulls/{issue.number}"
    shape = {
        "id": review.id,
        "node_id": node_id("PRR", review.id),
        "user": user_shape(world, review.author),
        "state": review.state,
        "commit_id": review.commit_id,
        "html_url": page,
        "pull_request_url": url,
        "author_association": association(repository, review.author),
        "_links": {"html": {"href": page}, "pull_request": {"href": url}},
    }
    if review.submitted_at is not None:
        shape["submitted_at"] = moment(review.submitted_at)
    return shape | body_texts(review.body, accept)


# -- events


def announce_review(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    review: SimulatedReview,
    action: str,
    actor: User,
    **more: object,
) -> None:
    """Send `pull_request_review`, which writes states in small letters."""
    if issue.pull is None:
        return
    shape = review_shape(world, repository, issue, review)
    payload: Json = {
        "review": shape | {"state": review.state.lower()},
        "pull_request": pull_shape(world, repository, issue, issue.pull),
    }
    emit(world, repository, "pull_request_review", action, actor, payload | more)


def announce_review_comment(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    thread: ReviewThread,
    comment: ReviewComment,
    action: str,
    actor: User,
    **more: object,
) -> None:
    """Send `pull_request_review_comment`."""
    if issue.pull is None:
        return
    payload: Json = {
        "comment": review_comment_shape(world, repository, issue, thread, comment),
        "pull_request": pull_shape(world, repository, issue, issue.pull),
    }
    emit(world, repository, "pull_request_review_comment", action, actor, payload | more)


def announce_thread(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    thread: ReviewThread,
    action: str,
    actor: User,
) -> None:
    """Send `pull_request_review_thread`: resolved or unresolved."""
    if issue.pull is None:
        return
    shapes = [
        review_comment_shape(world, repository, issue, thread, one) for one in thread.comments
    ]
    payload: Json = {
        "thread": {"node_id": node_id("PRRT", thread.id), "comments": shapes},
        "pull_request": pull_shape(world, repository, issue, issue.pull),
    }
    emit(world, repository, "pull_request_review_thread", action, actor, payload)


# -- pushes


async def follow_push(git: Git, pull: SimulatedPullRequest) -> None:
    """Move every thread to where its lines are now; one whose line was changed is outdated."""
    if not pull.threads:
        return
    base, now = await pull_changes(git, pull, pull.head_sha)
    patches = {change.path: read_patch(change.patch or "") for change in now}
    for thread in pull.threads:
        if thread.subject == "file" or thread.original_line is None:
            continue
        left = thread.side == "LEFT"
        old = thread.original_base if left else thread.original_commit
        changes = await git.changes(old, base if left else pull.head_sha)
        moved = follow_line(changes, thread.path, thread.original_line)
        lines = patches.get(moved[0], []) if moved else []
        line = find_line(lines, thread.side, moved[1]) if moved else None
        thread.line = line.number(thread.side) if line else None
        thread.position = line.position if line else None
        start = None
        if line and thread.original_start is not None:
            start = follow_line(changes, thread.path, thread.original_start)
        thread.start = start[1] if start else None


def dismiss(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    review: SimulatedReview,
    actor: User,
    message: str,
) -> None:
    """Dismiss a review, with its timeline entry and event."""
    before = review.state.lower()
    review.state = "DISMISSED"
    dismissed = {"state": before, "review_id": review.id, "dismissal_message": message}
    add_event(world, issue, "review_dismissed", actor, dismissed_review=dismissed)
    announce_review(world, repository, issue, review, "dismissed", actor)
