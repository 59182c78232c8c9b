"""Pull request reviews and review comments.

https://docs.github.com/en/rest/pulls/comments
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec

from app.domain.approvals import Account, GivenReview
from app.domain.values import CommitSha, Value, commit_sha
from app.github.client import RepositoryClient
from app.github.conversation import (
    Author,
    CommentRef,
    UserWire,
    actor,
    check_body,
    has_line,
    is_our_bot,
)
from app.github.exchange import FULL, ApiRequest
from app.github.refusals import NotFoundError

_MOST_PAGES = 10
"""How many pages of a hundred review comments are read."""

_COMMENT = "/repos/{owner}/{repo}/pulls/comments/{comment_id}"
_COMMENTS = "/repos/{owner}/{repo}/pulls/{pull_number}/comments"
_REVIEWS = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews"
_REVIEW = "/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}"


class ThreadComment(Value):
    """A review comment on lines of a pull request's diff.

    `line` is the last line; None if a push has changed it or if the comment is on the whole file.
    Then `original_line` is its position in `original_commit_id`. `start_line` is None for a single
    line. LEFT is the base, RIGHT the head. `diff_hunk` ends with the line.
    """

    id: int
    node_id: str
    url: str
    author: Author
    association: str
    body: str
    body_html: str
    path: str
    line: int | None
    start_line: int | None
    original_line: int | None
    side: Literal["LEFT", "RIGHT"]
    diff_hunk: str
    commit_id: CommitSha
    original_commit_id: CommitSha
    in_reply_to: int | None
    review_id: int | None
    created_at: datetime
    updated_at: datetime


class Review(Value):
    """A review. `state` is GitHub's value (`COMMENTED`, `APPROVED`, `CHANGES_REQUESTED`, ...);
    `submitted_at` is None if it is pending.
    """

    id: int
    node_id: str
    url: str
    author: Author
    association: str
    body: str
    body_html: str
    state: str
    commit_id: CommitSha | None
    submitted_at: datetime | None


class _ReviewCommentWire(msgspec.Struct):
    id: int
    node_id: str
    html_url: str
    path: str
    diff_hunk: str
    commit_id: str
    original_commit_id: str
    created_at: datetime
    updated_at: datetime
    body: str = ""
    body_html: str | None = None
    user: UserWire | None = None
    author_association: str = "NONE"
    line: int | None = None
    start_line: int | None = None
    original_line: int | None = None
    side: Literal["LEFT", "RIGHT"] | None = None
    in_reply_to_id: int | None = None
    pull_request_review_id: int | None = None


class _ReviewWire(msgspec.Struct):
    id: int
    node_id: str
    html_url: str
    state: str
    body: str | None = None
    body_html: str | None = None
    user: UserWire | None = None
    author_association: str = "NONE"
    commit_id: str | None = None
    submitted_at: datetime | None = None


async def comment(client: RepositoryClient, comment_id: int) -> ThreadComment | None:
    """A review comment, None if it was deleted.

    https://docs.github.com/en/rest/pulls/comments#get-a-review-comment-for-a-pull-request
    """
    answer = await client.get(_COMMENT, path={"comment_id": comment_id}, media=FULL, accept={404})
    return None if answer.status == 404 else _comment(answer.read(_ReviewCommentWire))


async def thread(client: RepositoryClient, pull: int, comment_id: int) -> tuple[ThreadComment, ...]:
    """The thread of a review comment, oldest first; empty if the comment was deleted.

    GitHub links every reply to the first comment of its thread, even after that one is deleted.
    Searches at most the newest thousand comments of the pull request.
    https://docs.github.com/en/rest/pulls/comments#list-review-comments-on-a-pull-request
    """
    wanted = await comment(client, comment_id)
    if wanted is None:
        return ()
    root = wanted.in_reply_to or wanted.id
    first = wanted if root == wanted.id else await comment(client, root)
    found = {one.id: one for one in (first, wanted) if one is not None}
    # The rest of the thread is newer, so older comments need not be read.
    for one in await _newest(client, pull, first.created_at if first else None):
        if root in (one.id, one.in_reply_to):
            found[one.id] = one
    return tuple(sorted(found.values(), key=lambda one: (one.created_at, one.id)))


async def review(client: RepositoryClient, pull: int, review_id: int) -> Review:
    """https://docs.github.com/en/rest/pulls/reviews#get-a-review-for-a-pull-request"""
    path = {"pull_number": pull, "review_id": review_id}
    wire = (await client.get(_REVIEW, path=path, media=FULL)).read(_ReviewWire)
    return Review(
        id=wire.id,
        node_id=wire.node_id,
        url=wire.html_url,
        author=actor(wire.user),
        association=wire.author_association,
        body=wire.body or "",
        body_html=wire.body_html or "",
        state=wire.state,
        commit_id=commit_sha(wire.commit_id) if wire.commit_id else None,
        submitted_at=wire.submitted_at,
    )


async def submitted(client: RepositoryClient, pull: int) -> tuple[GivenReview, ...]:
    """All submitted reviews of a pull request. A deleted account has the id 0.

    https://docs.github.com/en/rest/pulls/reviews#list-reviews-for-a-pull-request
    """
    listing = client.pages(_REVIEWS, path={"pull_number": pull})
    return tuple(
        [
            _given(wire, wire.submitted_at)
            async for answer in listing
            for wire in answer.read(list[_ReviewWire])
            if wire.submitted_at is not None
        ]
    )


def _given(wire: _ReviewWire, submitted_at: datetime) -> GivenReview:
    who = actor(wire.user)
    return GivenReview(
        id=wire.id,
        reviewer=Account(login=who.login, id=who.id),
        reviewer_type=who.type,
        association=wire.author_association,
        state=wire.state,
        commit=commit_sha(wire.commit_id) if wire.commit_id else None,
        submitted_at=submitted_at,
    )


async def comments_of_review(
    client: RepositoryClient, pull: int, review_id: int
) -> tuple[ThreadComment, ...]:
    """A review's comments on lines, oldest first.

    GitHub's list of a review's own comments has no line numbers, so this reads the pull request's
    comments instead.
    https://docs.github.com/en/rest/pulls/comments#list-review-comments-on-a-pull-request
    """
    mine = [one for one in await _newest(client, pull, None) if one.review_id == review_id]
    return tuple(sorted(mine, key=lambda one: (one.created_at, one.id)))


async def ensure_reply(
    client: RepositoryClient, pull: int, in_reply_to: int, marker: str, body: str
) -> CommentRef:
    """Reply in a review comment's thread unless one of Honk's with this marker exists.

    `marker` is an HTML comment on a separate line of `body`. Raises NotFoundError if the thread's
    first comment was deleted: GitHub then accepts no reply.
    https://docs.github.com/en/rest/pulls/comments#create-a-reply-for-a-review-comment
    """
    check_body(body)
    if not has_line(body, marker):
        raise ValueError("the marker does not stand on a line of the comment's own")
    known = await thread(client, pull, in_reply_to)
    if not known:
        raise NotFoundError("The review comment to be answered was deleted.", status=404)
    root = known[0].in_reply_to or known[0].id

    async def look() -> CommentRef | None:
        return await _ours(client, await thread(client, pull, root), marker)

    async def create() -> CommentRef:
        answer = await client.send(
            ApiRequest(
                "POST",
                _COMMENTS + "/{comment_id}/replies",
                path={"pull_number": pull, "comment_id": root},
                body={"body": body},
            )
        )
        wire = answer.read(_ReviewCommentWire)
        return CommentRef(id=wire.id, node_id=wire.node_id, url=wire.html_url, created=True)

    there = await _ours(client, known, marker)
    if there is not None:
        return there
    made, created = await client.ensure(look, create, fresh=True)
    return made.model_copy(update={"created": created})


async def edit_review_comment(client: RepositoryClient, comment_id: int, body: str) -> bool:
    """Replace the text of one of our review comments; False if it was deleted.

    https://docs.github.com/en/rest/pulls/comments#update-a-review-comment-for-a-pull-request
    """
    check_body(body)
    answer = await client.send(
        ApiRequest(
            "PATCH",
            _COMMENT,
            path={"comment_id": comment_id},
            body={"body": body},
            kind="status_edit",
            repeatable=True,
            accept={404},
        )
    )
    return answer.status != 404


async def _newest(
    client: RepositoryClient, pull: int, since: datetime | None
) -> list[ThreadComment]:
    query = {"sort": "created", "direction": "desc"}
    if since is not None:
        query["since"] = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    listing = client.pages(
        _COMMENTS, path={"pull_number": pull}, query=query, media=FULL, most=_MOST_PAGES
    )
    return [
        _comment(wire) async for answer in listing for wire in answer.read(list[_ReviewCommentWire])
    ]


async def _ours(
    client: RepositoryClient, comments: Sequence[ThreadComment], marker: str
) -> CommentRef | None:
    """GitHub does not say which App wrote a review comment, so go by our bot's unique login."""
    for one in reversed(comments):
        if has_line(one.body, marker) and await is_our_bot(client, one.author):
            return CommentRef(id=one.id, node_id=one.node_id, url=one.url, created=False)
    return None


def _comment(wire: _ReviewCommentWire) -> ThreadComment:
    return ThreadComment(
        id=wire.id,
        node_id=wire.node_id,
        url=wire.html_url,
        author=actor(wire.user),
        association=wire.author_association,
        body=wire.body,
        body_html=wire.body_html or "",
        path=wire.path,
        line=wire.line,
        start_line=wire.start_line,
        original_line=wire.original_line,
        side=wire.side or "RIGHT",
        diff_hunk=wire.diff_hunk,
        commit_id=commit_sha(wire.commit_id),
        original_commit_id=commit_sha(wire.original_commit_id),
        in_reply_to=wire.in_reply_to_id,
        review_id=wire.pull_request_review_id,
        created_at=wire.created_at,
        updated_at=wire.updated_at,
    )
