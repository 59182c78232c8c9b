"""Reviews: pending, submitted, dismissed; with comments on lines.

Outside contract: https://docs.github.com/rest/pulls/reviews
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call, limited
from .conversation import BODY_LIMIT, may_write
from .pulls import find_pull
from .refusals import Refusal, invalid_request, not_found
from .review_comments import Unplaced, new_comment, open_thread
from .threads import (
    announce_review,
    announce_review_comment,
    dismiss,
    review_comment_shape,
    review_shape,
)
from .world import Json, SimulatedIssue, SimulatedPullRequest, SimulatedReview

_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _refused(words: str) -> Refusal:
    return Refusal(422, "Unprocessable Entity", [words])


def _find(call: Call) -> tuple[SimulatedIssue, SimulatedPullRequest, SimulatedReview]:
    issue, pull = find_pull(call)
    number = call.number("review_id")
    for review in _seen(call, pull):
        if review.id == number:
            return issue, pull, review
    raise not_found()


def _seen(call: Call, pull: SimulatedPullRequest) -> list[SimulatedReview]:
    """A pending review is its author's alone."""
    who = call.actor.user
    return [one for one in pull.reviews if one.state != "PENDING" or one.author is who]


def _shape(call: Call, issue: SimulatedIssue, review: SimulatedReview) -> Json:
    return review_shape(call.world, call.repository, issue, review, call.accept)


def _body(call: Call) -> str:
    return limited("PullRequestReview", "body", call.value("body", str, ""), BODY_LIMIT) or ""


def _only_author(call: Call, review: SimulatedReview) -> None:
    if review.author is not call.user:
        raise Refusal(403, "Must have admin rights to Repository.")


# -- endpoints


async def list_reviews(call: Call) -> Answer:
    issue, pull = find_pull(call)
    return call.page(_seen(call, pull), lambda review: _shape(call, issue, review))


async def get_review(call: Call) -> Answer:
    issue, _, review = _find(call)
    return Answer(200, _shape(call, issue, review))


async def create_review(call: Call) -> Answer:
    issue, pull = find_pull(call)
    may_write(call, issue)
    event, body = call.choice("event", tuple(_STATES)), _body(call)
    if any(one.state == "PENDING" and one.author is call.user for one in pull.reviews):
        raise _refused("User can only have one pending review per pull request")
    commit = call.value("commit_id", str, pull.head_sha)
    review = SimulatedReview(call.world.new_id(), call.user, body, "PENDING", commit, None)
    await _draft_comments(call, pull, review)
    if event is not None:
        _check_submission(call, issue, review, event)
    pull.reviews.append(review)
    if event is not None:
        _submit(call, issue, pull, review, event)
    return Answer(200, _shape(call, issue, review))


async def _draft_comments(call: Call, pull: SimulatedPullRequest, review: SimulatedReview) -> None:
    for wanted in call.value("comments", list, []):
        if not isinstance(wanted, dict) or not isinstance(wanted.get("body"), str):
            raise invalid_request("For 'properties/comments', an item has no body.")
        try:
            thread, hunk = await open_thread(call, pull, review.commit_id, wanted)
        except Unplaced as problem:
            raise _refused(problem.sentence()) from None
        review.drafts.append((thread, new_comment(call, review, wanted["body"], hunk)))


def _check_submission(
    call: Call, issue: SimulatedIssue, review: SimulatedReview, event: str
) -> None:
    if issue.author is call.user and event != "COMMENT":
        words = "approve" if event == "APPROVE" else "request changes on"
        raise _refused(f"Can not {words} your own pull request")
    if not review.body and event != "APPROVE" and not review.drafts:
        raise _refused("Body can not be blank")


def _submit(
    call: Call,
    issue: SimulatedIssue,
    pull: SimulatedPullRequest,
    review: SimulatedReview,
    event: str,
) -> None:
    world, repository = call.world, call.repository
    review.state, review.submitted_at = _STATES[event], world.clock.now()
    pull.reviewers = [user for user in pull.reviewers if user is not call.user]
    drafts, review.drafts = review.drafts, []
    for thread, comment in drafts:
        thread.comments.append(comment)
        if thread not in pull.threads:
            pull.threads.append(thread)
    world.touch(issue)
    announce_review(world, repository, issue, review, "submitted", call.user)
    for thread, comment in drafts:
        announce_review_comment(world, repository, issue, thread, comment, "created", call.user)


async def submit_review(call: Call) -> Answer:
    issue, pull, review = _find(call)
    if review.state != "PENDING":
        raise _refused("Can not submit a non-pending pull request review")
    event = call.choice("event", tuple(_STATES))
    if event is None:
        raise invalid_request('"event" wasn\'t supplied.')
    review.body = _body(call) or review.body
    _check_submission(call, issue, review, event)
    _submit(call, issue, pull, review, event)
    return Answer(200, _shape(call, issue, review))


async def edit_review(call: Call) -> Answer:
    issue, _, review = _find(call)
    _only_author(call, review)
    call.required("body", str)
    before, review.body = review.body, _body(call)
    if before != review.body and review.state != "PENDING":
        call.world.edited(review, call.user, before, review.body)
        world, repository, changes = call.world, call.repository, {"body": {"from": before}}
        announce_review(world, repository, issue, review, "edited", call.user, changes=changes)
    return Answer(200, _shape(call, issue, review))


async def delete_review(call: Call) -> Answer:
    issue, pull, review = _find(call)
    if review.state != "PENDING":
        raise _refused("Can not delete a non-pending pull request review")
    pull.reviews.remove(review)
    return Answer(200, _shape(call, issue, review))


async def dismiss_review(call: Call) -> Answer:
    issue, _, review = _find(call)
    message = call.required("message", str)
    if review.state not in ("APPROVED", "CHANGES_REQUESTED"):
        words = f"Can not dismiss a {review.state.lower()} pull request review"
        raise _refused(words)
    dismiss(call.world, call.repository, issue, review, call.user, message)
    return Answer(200, _shape(call, issue, review))


async def comments_of_review(call: Call) -> Answer:
    issue, pull, review = _find(call)
    mine = [pair for pair in pull.review_comments if pair[1].review_id == review.id]
    return call.page(
        review.drafts or mine,
        lambda pair: review_comment_shape(call.world, call.repository, issue, *pair, call.accept),
    )


_REVIEWS = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews"
_REVIEW = f"{_REVIEWS}/{{review_id}}"
_READ, _WRITE = "pull_requests:read", "pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", _REVIEWS, list_reviews, _READ),
    ApiEndpoint("POST", _REVIEWS, create_review, _WRITE),
    ApiEndpoint("GET", _REVIEW, get_review, _READ),
    ApiEndpoint("PUT", _REVIEW, edit_review, _WRITE),
    ApiEndpoint("DELETE", _REVIEW, delete_review, _WRITE),
    ApiEndpoint("GET", f"{_REVIEW}/comments", comments_of_review, _READ),
    ApiEndpoint("POST", f"{_REVIEW}/events", submit_review, _WRITE),
    ApiEndpoint("PUT", f"{_REVIEW}/dismissals", dismiss_review, _WRITE, "write"),
]
