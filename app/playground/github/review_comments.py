"""Review comments on lines of a diff: create, reply, edit, delete, react.

Outside contract: https://docs.github.com/rest/pulls/comments
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call, limited
from .comments import list_of_reactions, react_in, unreact_in
from .conversation import BODY_LIMIT, may_write
from .diffs import DiffLine, at_position, find_line, hunk_until, read_patch
from .pulls import find_pull
from .refusals import Refusal, invalid_request, not_found, validation
from .shapes import moment
from .threads import announce_review, announce_review_comment, pull_changes, review_comment_shape
from .world import (
    Json,
    ReviewComment,
    ReviewThread,
    SimulatedIssue,
    SimulatedPullRequest,
    SimulatedReview,
)

_RESOURCE = "PullRequestReviewComment"
_THREAD = "pull_request_review_thread"
_SIDES = ("LEFT", "RIGHT")


class Unplaced(Exception):  # noqa: N818 - it becomes an answer
    """A comment is not in the diff; `problems` are the invalid fields with their errors."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__("; ".join(words for _, words in problems))
        self.problems = problems

    def sentence(self) -> str:
        """The error of a refused review."""
        first, *rest = [
            f"Pull request review thread {field.replace('_', ' ')} {words}"
            for field, words in self.problems
        ]
        if not rest:
            return first
        if len(rest) == 1:
            return f"{first} and {rest[0]}"
        return ", ".join([first, *rest[:-1], f"and {rest[-1]}"])

    def refusal(self) -> Refusal:
        """The error of a refused comment."""
        errors = [
            {"resource": _RESOURCE, "code": "missing_field", "field": f"{_THREAD}.{field}"}
            if words == "can't be blank"
            else {
                "resource": _RESOURCE,
                "code": "custom",
                "field": f"{_THREAD}.{field}",
                "message": f"{_THREAD}.{field} {words}",
            }
            for field, words in self.problems
        ]
        return Refusal(422, "Validation Failed", errors)


# -- placing


async def open_thread(
    call: Call, pull: SimulatedPullRequest, commit: str, wanted: Json
) -> tuple[ReviewThread, str]:
    """A thread where `wanted` says, not yet part of the pull request, and its hunk.

    Raises Unplaced if the diff has no such line.
    """
    git = call.repository.git
    if await git.kind(commit) != "commit" or not await git.is_ancestor(commit, pull.head_sha):
        words = "commit_id is not part of the pull request"
        raise validation(_RESOURCE, "commit_id", "custom", message=words)
    start, changes = await pull_changes(git, pull, commit)
    path = wanted.get("path")
    change = next((one for one in changes if one.path == path), None)
    if change is None:
        raise Unplaced(("path", "could not be resolved"), ("diff_hunk", "can't be blank"))
    thread = ReviewThread(call.world.new_id(), change.path, commit, start)
    if wanted.get("subject_type") == "file":
        thread.subject = "file"
        return thread, ""
    lines = read_patch(change.patch or "")
    last = _last_line(thread, lines, wanted)
    _place_start(thread, lines, last, wanted)
    return thread, hunk_until(lines, last)


def _last_line(thread: ReviewThread, lines: list[DiffLine], wanted: Json) -> DiffLine:
    position, number = wanted.get("position"), wanted.get("line")
    if wanted.get("side", "RIGHT") not in _SIDES:
        raise invalid_request(f"{wanted['side']!r} is not a member of the enum.")
    if isinstance(position, int) and number is None:
        found = at_position(lines, position)
        if found is None:
            raise Unplaced(("position", "is invalid"), ("diff_hunk", "can't be blank"))
        thread.side = "LEFT" if found.right is None else "RIGHT"
    else:
        if not isinstance(number, int):
            raise Unplaced(("line", "can't be blank"), ("diff_hunk", "can't be blank"))
        thread.side = wanted.get("side", "RIGHT")
        found = find_line(lines, thread.side, number)
        if found is None:
            problems = [("line", "must be part of the diff")]
            if wanted.get("start_line") is not None:
                problems.append(("start_line", "must be part of the same hunk as the line."))
            raise Unplaced(*problems, ("diff_hunk", "can't be blank"))
    thread.line = thread.original_line = found.number(thread.side)
    thread.position = thread.original_position = found.position
    return found


def _place_start(thread: ReviewThread, lines: list[DiffLine], last: DiffLine, wanted: Json) -> None:
    number, side = wanted.get("start_line"), wanted.get("start_side") or thread.side
    if number is None:
        return
    if side not in _SIDES:
        raise invalid_request(f"{side!r} is not a member of the enum.")
    first = find_line(lines, side, number)
    if first is None or first.hunk != last.hunk:
        raise Unplaced(("start_line", "must be part of the same hunk as the line."))
    if first.position >= last.position:
        raise Unplaced(("start_line", "must precede the end line."))
    thread.start = thread.original_start = number
    thread.start_side = side


def new_comment(
    call: Call, review: SimulatedReview, body: str, hunk: str, reply: int | None = None
) -> ReviewComment:
    """A comment of a review, not yet in its thread. Refuses with 422 if it is empty."""
    if not body.strip():
        raise validation(_RESOURCE, "body", "missing_field")
    limited(_RESOURCE, "body", body, BODY_LIMIT)
    now = call.world.clock.now()
    comment = ReviewComment(call.world.new_id(), call.user, body, now, now)
    comment.review_id, comment.diff_hunk, comment.in_reply_to = review.id, hunk, reply
    return comment


# -- endpoints


def _shape(call: Call, issue: SimulatedIssue, thread: ReviewThread, comment: ReviewComment) -> Json:
    world, repository = call.world, call.repository
    return review_comment_shape(world, repository, issue, thread, comment, call.accept)


def _find(call: Call) -> tuple[SimulatedIssue, ReviewThread, ReviewComment]:
    number = call.number("comment_id")
    for issue, pull in call.repository.pulls():
        for thread, comment in pull.review_comments:
            if comment.id == number:
                return issue, thread, comment
    raise not_found()


def _page(call: Call, found: list[tuple[SimulatedIssue, ReviewThread, ReviewComment]]) -> Answer:
    since = call.query.get("since", "")
    kept = [one for one in found if (moment(one[2].updated_at) or "") >= since]
    order = "updated_at" if call.query.get("sort") == "updated" else "created_at"
    backwards = call.query.get("direction") == "desc"
    kept.sort(key=lambda one: (getattr(one[2], order), one[2].id), reverse=backwards)
    return call.page(kept, lambda one: _shape(call, *one))


async def list_comments(call: Call) -> Answer:
    issue, pull = find_pull(call)
    return _page(call, [(issue, *pair) for pair in pull.review_comments])


async def list_all_comments(call: Call) -> Answer:
    pulls = call.repository.pulls()
    found = [(issue, *pair) for issue, pull in pulls for pair in pull.review_comments]
    if "sort" in call.query:
        # Without `sort` GitHub ignores the direction.
        backwards = call.query.get("direction") == "desc"
        found.sort(key=lambda row: (row[2].created_at, row[2].id), reverse=backwards)
    return _page(call, found)


async def create_comment(call: Call) -> Answer:
    issue, pull = find_pull(call)
    may_write(call, issue)
    if (reply := call.optional("in_reply_to", int)) is not None:
        return await _answer_thread(call, issue, pull, reply)
    body, commit = call.required("body", str), call.required("commit_id", str)
    call.required("path", str)
    try:
        thread, hunk = await open_thread(call, pull, commit, call.fields())
    except Unplaced as problem:
        raise problem.refusal() from None
    return await _add(call, issue, pull, thread, body, hunk)


async def reply(call: Call) -> Answer:
    issue, pull = find_pull(call)
    may_write(call, issue)
    return await _answer_thread(call, issue, pull, call.number("comment_id"))


async def _answer_thread(
    call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest, first: int
) -> Answer:
    body = call.required("body", str)
    for thread in pull.threads:
        # Only the first comment of a thread can be answered, which then answers all.
        if thread.comments and thread.comments[0].id == first:
            hunk = thread.comments[0].diff_hunk
            return await _add(call, issue, pull, thread, body, hunk, first)
    raise not_found()


async def _add(
    call: Call,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    thread: ReviewThread,
    body: str,
    hunk: str,
    reply_to: int | None = None,
) -> Answer:
    """Add one comment to a thread; GitHub creates a separate review for it."""
    world, repository, now = call.world, call.repository, call.world.clock.now()
    if any(one.state == "PENDING" and one.author is call.user for one in pull.reviews):
        words = "user_id can only have one pending review per pull request"
        raise validation(_RESOURCE, "user_id", "custom", message=words)
    review = SimulatedReview(world.new_id(), call.user, "", "COMMENTED", pull.head_sha, now)
    comment = new_comment(call, review, body, hunk, reply_to)
    pull.reviews.append(review)
    thread.comments.append(comment)
    if thread not in pull.threads:
        pull.threads.append(thread)
    world.touch(issue)
    announce_review(world, repository, issue, review, "submitted", call.user)
    announce_review_comment(world, repository, issue, thread, comment, "created", call.user)
    return Answer(201, _shape(call, issue, thread, comment))


async def get_comment(call: Call) -> Answer:
    return Answer(200, _shape(call, *_find(call)))


def _may_change(call: Call, comment: ReviewComment) -> None:
    if comment.author is not call.user and not call.can("write"):
        raise Refusal(403, "Must have admin rights to Repository.")


async def edit_comment(call: Call) -> Answer:
    issue, thread, comment = _find(call)
    _may_change(call, comment)
    before, body = comment.body, call.required("body", str)
    if not body.strip():
        raise validation(_RESOURCE, "body", "missing_field")
    if body != before:
        comment.body = limited(_RESOURCE, "body", body, BODY_LIMIT) or ""
        comment.updated_at = call.world.clock.now()
        call.world.edited(comment, call.user, before, body)
        world, repository, changes = call.world, call.repository, {"body": {"from": before}}
        announce_review_comment(
            world, repository, issue, thread, comment, "edited", call.user, changes=changes
        )
    return Answer(200, _shape(call, issue, thread, comment))


async def delete_comment(call: Call) -> Answer:
    issue, thread, comment = _find(call)
    _may_change(call, comment)
    world, repository, who = call.world, call.repository, call.user
    announce_review_comment(world, repository, issue, thread, comment, "deleted", who)
    thread.comments.remove(comment)
    if not thread.comments and issue.pull:
        issue.pull.threads.remove(thread)
    return Answer(204)


async def list_reactions(call: Call) -> Answer:
    return list_of_reactions(call, _find(call)[2].reactions)


async def react(call: Call) -> Answer:
    return react_in(call, _find(call)[2].reactions)


async def unreact(call: Call) -> Answer:
    return unreact_in(call, _find(call)[2].reactions)


_PULLS = "/repos/{owner}/{repo}/pulls"
_COMMENT = f"{_PULLS}/comments/{{comment_id}}"
_OF_PULL = f"{_PULLS}/{{pull_number}}/comments"
_READ, _WRITE = "pull_requests:read", "pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_PULLS}/comments", list_all_comments, _READ),
    ApiEndpoint("GET", _COMMENT, get_comment, _READ),
    ApiEndpoint("PATCH", _COMMENT, edit_comment, _WRITE),
    ApiEndpoint("DELETE", _COMMENT, delete_comment, _WRITE),
    ApiEndpoint("GET", f"{_COMMENT}/reactions", list_reactions, _READ),
    ApiEndpoint("POST", f"{_COMMENT}/reactions", react, _WRITE),
    ApiEndpoint("DELETE", f"{_COMMENT}/reactions/{{reaction_id}}", unreact, _WRITE),
    ApiEndpoint("GET", _OF_PULL, list_comments, _READ),
    ApiEndpoint("POST", _OF_PULL, create_comment, _WRITE),
    ApiEndpoint("POST", f"{_OF_PULL}/{{comment_id}}/replies", reply, _WRITE),
]
