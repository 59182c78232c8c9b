"""Issues and conversations: comments, reactions and labels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app.domain import labels as ours
from app.domain.values import Value
from app.github.client import RepositoryClient
from app.github.exchange import FULL, ApiRequest, ApiResponse
from app.github.refusals import graphql_refusal, is_gone
from app.messages.labels import (
    LabelLook,
)

MAX_BODY = 65_536
"""GitHub's limit in characters for a comment, issue or pull request body."""

MOST_COMMENTS = 300
"""Default number of comments to read from a conversation."""

_PAINTED_BY_GITHUB = "ededed"
"""The color of a label that GitHub creates when an unknown name is added to an issue."""


class Author(Value):
    """An account. `type` is User, Bot or Organization; a deleted account is `ghost` with id 0."""

    login: str
    id: int
    type: str


class Issue(Value):
    """An issue, or a pull request's conversation. `body` is empty if GitHub has none.

    `body_html` contains URLs of private images that are valid for five minutes. `repository` is
    where the issue is now: GitHub redirects from a transferred issue to its new repository and
    number, if the App has access to it.
    """

    repository: str
    number: int
    node_id: str
    title: str
    body: str
    author: Author
    state: str
    labels: tuple[str, ...]
    locked: bool
    updated_at: datetime
    is_pull_request: bool
    body_html: str = ""


class Comment(Value):
    """A comment. `app_id` is the App that wrote it; None for people, or if GitHub does not say.

    `association` is GitHub's author association (OWNER, NONE, ...). It does not tell what the
    author may do: use `repositories.permission` for that.
    """

    id: int
    node_id: str
    url: str
    body: str
    author: Author
    association: str
    created_at: datetime
    updated_at: datetime
    app_id: int | None
    body_html: str = ""


class Comments(Value):
    """A conversation, oldest first; `left_out` counts older comments that were not read."""

    comments: tuple[Comment, ...]
    left_out: int


class CommentRef(Value):
    """One of our comments, and whether this call created it."""

    id: int
    node_id: str
    url: str
    created: bool


class Subject(Value):
    """The target of a reaction: an issue by number, or a comment by id.

    A review has reactions only in the GraphQL API, which needs its `node_id`.
    """

    kind: Literal["issue", "comment", "review_comment", "review"]
    id: int
    node_id: str = ""


class UserWire(msgspec.Struct):
    login: str
    id: int
    type: str = "User"


class _CommentAppWire(msgspec.Struct):
    id: int


class _LabelWire(msgspec.Struct):
    name: str
    color: str | None = None
    description: str | None = None


class _IssueWire(msgspec.Struct):
    number: int
    node_id: str
    title: str
    state: str
    updated_at: datetime
    labels: list[_LabelWire | str]
    body: str | None = None
    user: UserWire | None = None
    locked: bool = False
    pull_request: dict[str, Any] | None = None
    repository_url: str = ""
    body_html: str | None = None


class _CommentWire(msgspec.Struct):
    id: int
    node_id: str
    html_url: str
    created_at: datetime
    updated_at: datetime
    body: str | None = None
    user: UserWire | None = None
    author_association: str = "NONE"
    performed_via_github_app: _CommentAppWire | None = None
    body_html: str | None = None


async def issue(client: RepositoryClient, number: int) -> Issue:
    """The issue's current state.

    Raises NotFoundError if it does not exist or is not accessible, and GitHubRefusedError with
    status 410 if it was deleted or issues are disabled.
    https://docs.github.com/en/rest/issues/issues#get-an-issue
    """
    answer = await client.get(
        "/repos/{owner}/{repo}/issues/{issue_number}", path={"issue_number": number}, media=FULL
    )
    wire = answer.read(_IssueWire)
    return Issue(
        repository="/".join(wire.repository_url.split("/")[-2:]) or str(client.repo),
        number=wire.number,
        node_id=wire.node_id,
        title=wire.title,
        body=wire.body or "",
        author=actor(wire.user),
        state=wire.state,
        labels=tuple(
            ours.plain(label if isinstance(label, str) else label.name) for label in wire.labels
        ),
        locked=wire.locked,
        updated_at=wire.updated_at,
        is_pull_request=wire.pull_request is not None,
        body_html=wire.body_html or "",
    )


async def ensure_issue(
    client: RepositoryClient, title: str, body: str, marker: str, *, fresh: bool = False
) -> Issue:
    """Create an issue unless one of Honk's newest has this marker on a line of its text.

    `fresh` skips the first look if this issue was certainly never attempted before. Raises
    ValueError for a body that GitHub would refuse or that lacks the marker, and GitHubRefusedError
    with status 410 if issues are disabled.
    https://docs.github.com/en/rest/issues/issues#create-an-issue
    """
    check_body(body)
    if not has_line(body, marker):
        raise ValueError("the marker does not stand on a line of the issue's own")

    async def look() -> int | None:
        query: dict[str, str | int] = {"state": "all", "per_page": 100}
        answer = await client.get("/repos/{owner}/{repo}/issues", query=query)
        for wire in answer.read(list[_IssueWire]):
            if has_line(wire.body or "", marker) and await is_our_bot(client, actor(wire.user)):
                return wire.number
        return None

    async def create() -> int:
        answer = await client.send(
            ApiRequest("POST", "/repos/{owner}/{repo}/issues", body={"title": title, "body": body})
        )
        return answer.read(_IssueWire).number

    number, _ = await client.ensure(look, create, fresh=fresh)
    return await issue(client, number)


async def comment_body(client: RepositoryClient, comment_id: int) -> str | None:
    """The current text of a comment in a conversation; None if it was deleted.

    https://docs.github.com/en/rest/issues/comments#get-an-issue-comment
    """
    path = {"comment_id": comment_id}
    answer = await client.get(_COMMENT, path=path, accept={404, 410}, just_created=True)
    return None if answer.status in (404, 410) else answer.read(_CommentWire).body or ""


async def comments(
    client: RepositoryClient,
    number: int,
    since: datetime | None = None,
    most: int = MOST_COMMENTS,
) -> Comments:
    """The newest comments, oldest first; with `since`, only those created or edited at or after it.

    GitHub can list them only oldest first, so for a long conversation this reads the last pages.
    https://docs.github.com/en/rest/issues/comments#list-issue-comments
    """
    query = {**_since(since), "per_page": _PER_PAGE}

    async def page(number_of_page: int) -> ApiResponse:
        numbered = {**query, "page": number_of_page}
        return await client.get(
            _COMMENTS, path={"issue_number": number}, query=numbered, media=FULL
        )

    first = await page(1)
    last = first.page("last") or 1
    found = _read_comments(first if last == 1 else await page(last))
    total = (last - 1) * _PER_PAGE + len(found)
    for earlier in range(last - 1, 0, -1):
        if len(found) >= most:
            break
        found = _read_comments(first if earlier == 1 else await page(earlier)) + found
    kept = found[max(0, len(found) - most) :]
    return Comments(comments=tuple(kept), left_out=total - len(kept))


async def minimize(
    client: RepositoryClient, node_id: str, classifier: Literal["OUTDATED", "RESOLVED"] = "OUTDATED"
) -> bool:
    """Hide one of our comments, if it is not hidden already. False if it was deleted.

    https://docs.github.com/en/graphql/reference/mutations#minimizecomment
    """
    given = {"subjectId": node_id, "classifier": classifier}
    answer = await client.mutate("minimizeComment", "minimizedComment { isMinimized }", given)
    if is_gone(answer):
        return False
    if answer.get("errors"):
        raise graphql_refusal(client.repo, answer, "Issues (write) or Pull requests (write)")
    return True


async def react(
    client: RepositoryClient, subject: Subject, content: Literal["eyes", "rocket", "confused"]
) -> None:
    """Add a reaction. Repeating has no effect: GitHub answers 200 if it exists.

    https://docs.github.com/en/rest/reactions/reactions
    https://docs.github.com/en/graphql/reference/mutations#addreaction
    """
    if subject.kind == "review":
        given = {"subjectId": subject.node_id, "content": content.upper()}
        answer = await client.mutate("addReaction", "reaction { content }", given)
        if answer.get("errors"):
            raise graphql_refusal(client.repo, answer, "Pull requests (write)")
        return
    template, name = _REACTIONS[subject.kind]
    await client.send(
        ApiRequest(
            "POST",
            template,
            path={name: subject.id},
            body={"content": content},
            repeatable=True,
        )
    )


async def ensure_comment(
    client: RepositoryClient,
    number: int,
    marker: str,
    body: str,
    *,
    since: datetime | None = None,
    fresh: bool = False,
) -> CommentRef:
    """Create a comment unless one of Honk's with this marker exists.

    `marker` is an HTML comment on a separate line of `body`. Anyone can copy it, so only comments
    by this App count. `since`, a time before which it cannot have been written, avoids reading a
    long conversation. `fresh` skips the search if this comment was certainly never attempted
    before. Raises ValueError for a body that GitHub would refuse or that lacks the marker.
    """
    check_body(body)
    if not has_line(body, marker):
        raise ValueError("the marker does not stand on a line of the comment's own")

    async def look() -> Comment | None:
        async for comment in _newest_first(client, number, since):
            if has_line(comment.body, marker) and await _is_ours(client, comment):
                return comment
        return None

    async def create() -> Comment:
        answer = await client.send(
            ApiRequest("POST", _COMMENTS, path={"issue_number": number}, body={"body": body})
        )
        return _comment(answer.read(_CommentWire))

    comment, created = await client.ensure(look, create, fresh=fresh)
    return CommentRef(id=comment.id, node_id=comment.node_id, url=comment.url, created=created)


async def edit_comment(client: RepositoryClient, comment_id: int, body: str) -> bool:
    """Replace the text of one of our comments; False if it was deleted.

    https://docs.github.com/en/rest/issues/comments#update-an-issue-comment
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
            # It may have been created a second ago.
            just_created=True,
            accept={404},
        )
    )
    return answer.status != 404


async def set_state_label(
    client: RepositoryClient,
    number: int,
    label: str | None,
    known: Mapping[str, LabelLook],
    *,
    spent: str | None = None,
) -> None:
    """Leave exactly this state label on the issue, or none.

    `spent` is an obsolete label to remove as well, in case an earlier removal failed. Other labels
    are never touched: replacing the whole set would undo concurrent changes by people. `known` is
    the color and description for a label that the repository does not have yet.
    """
    if label is None:
        labels = await _labels_of(client, number)
    else:
        labels = await _add_label(client, number, label, known.get(label))
    for other in labels:
        name = ours.plain(other.name)
        if name == spent or (name in ours.STATES and name != label):
            await remove_label(client, number, other.name)


async def close_issue(client: RepositoryClient, number: int) -> None:
    """Close an issue as completed, if it is open.

    https://docs.github.com/en/rest/issues/issues#update-an-issue
    """
    await client.send(
        ApiRequest(
            "PATCH",
            "/repos/{owner}/{repo}/issues/{issue_number}",
            path={"issue_number": number},
            body={"state": "closed", "state_reason": "completed"},
            repeatable=True,
        )
    )


async def remove_label(client: RepositoryClient, number: int, name: str) -> None:
    """Remove a label from an issue, if it is there.

    https://docs.github.com/en/rest/issues/labels#remove-a-label-from-an-issue
    """
    await client.send(
        ApiRequest(
            "DELETE",
            "/repos/{owner}/{repo}/issues/{issue_number}/labels/{name}",
            path={"issue_number": number, "name": name},
            repeatable=True,
            # It may have been added a second ago.
            just_created=True,
            accept={404},
        )
    )


async def ensure_label(client: RepositoryClient, name: str, color: str, description: str) -> None:
    """Create a label in the repository unless its name exists; never changes an existing one.

    https://docs.github.com/en/rest/issues/labels#create-a-label
    Names are unique, so GitHub refuses (422) to create it twice.
    """
    answer = await client.send(
        ApiRequest(
            "POST",
            "/repos/{owner}/{repo}/labels",
            body={"name": name, "color": color, "description": description},
            repeatable=True,
            accept={422},
        )
    )
    if answer.status == 422 and not _says_exists(answer):
        raise ValueError(f"GitHub does not take the label {name!r}: {answer.reason}")


_PER_PAGE = 100
_COMMENTS = "/repos/{owner}/{repo}/issues/{issue_number}/comments"
_COMMENT = "/repos/{owner}/{repo}/issues/comments/{comment_id}"
_LABELS = "/repos/{owner}/{repo}/issues/{issue_number}/labels"
_REACTIONS = {
    "issue": ("/repos/{owner}/{repo}/issues/{issue_number}/reactions", "issue_number"),
    "comment": ("/repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", "comment_id"),
    "review_comment": (
        "/repos/{owner}/{repo}/pulls/comments/{comment_id}/reactions",
        "comment_id",
    ),
}


async def _newest_first(
    client: RepositoryClient, number: int, since: datetime | None
) -> AsyncIterator[Comment]:
    """GitHub lists oldest first: read page one, then from the last page backwards."""
    path, query = {"issue_number": number}, {**_since(since), "per_page": _PER_PAGE}
    first = await client.get(_COMMENTS, path=path, query={**query, "page": 1})
    for page in range(first.page("last") or 1, 1, -1):
        answer = await client.get(_COMMENTS, path=path, query={**query, "page": page})
        for comment in reversed(_read_comments(answer)):
            yield comment
    for comment in reversed(_read_comments(first)):
        yield comment


async def _is_ours(client: RepositoryClient, comment: Comment) -> bool:
    """By the App that GitHub names; if it names none, by our bot's login, which is unique."""
    if comment.app_id is not None:
        return comment.app_id == client.github.app_id
    return await is_our_bot(client, comment.author)


async def is_our_bot(client: RepositoryClient, author: Author) -> bool:
    """Whether this account is our bot, by its login, which no other account can have."""
    return author.type == "Bot" and author.login == f"{await client.github.slug()}[bot]"


async def _labels_of(client: RepositoryClient, number: int) -> list[_LabelWire]:
    found: list[_LabelWire] = []
    async for answer in client.pages(_LABELS, path={"issue_number": number}):
        found.extend(answer.read(list[_LabelWire]))
    return found


async def _add_label(
    client: RepositoryClient, number: int, name: str, look: LabelLook | None
) -> list[_LabelWire]:
    """Add a label to an issue; returns all its labels.

    GitHub creates a missing label in gray; then this sets its color and description.
    https://docs.github.com/en/rest/issues/labels#add-labels-to-an-issue
    """
    answer = await client.send(
        ApiRequest(
            "POST",
            _LABELS,
            path={"issue_number": number},
            body={"labels": [name]},
            repeatable=True,
        )
    )
    labels = answer.read(list[_LabelWire])
    unpainted = any(
        ours.plain(label.name) == name
        and label.color == _PAINTED_BY_GITHUB
        and not label.description
        for label in labels
    )
    if unpainted and look is not None:
        await client.send(
            ApiRequest(
                "PATCH",
                "/repos/{owner}/{repo}/labels/{name}",
                path={"name": name},
                body={"color": look.color, "description": look.description},
                repeatable=True,
                accept={404},
            )
        )
    return labels


def _read_comments(answer: ApiResponse) -> list[Comment]:
    return [_comment(wire) for wire in answer.read(list[_CommentWire])]


def _comment(wire: _CommentWire) -> Comment:
    via = wire.performed_via_github_app
    return Comment(
        id=wire.id,
        node_id=wire.node_id,
        url=wire.html_url,
        body=wire.body or "",
        author=actor(wire.user),
        association=wire.author_association,
        created_at=wire.created_at,
        updated_at=wire.updated_at,
        app_id=via.id if via else None,
        body_html=wire.body_html or "",
    )


def actor(user: UserWire | None) -> Author:
    if user is None:
        return Author(login="ghost", id=0, type="User")
    return Author(login=user.login, id=user.id, type=user.type)


def _since(since: datetime | None) -> dict[str, str | int]:
    """GitHub expects UTC in whole seconds; truncating can only find more."""
    if since is None:
        return {}
    return {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def has_line(text: str, line: str) -> bool:
    return line.strip() in (each.strip() for each in text.splitlines())


def _says_exists(answer: ApiResponse) -> bool:
    return "already_exists" in answer.reason or "already exists" in answer.reason


def check_body(body: str) -> None:
    if len(body) > MAX_BODY:
        raise ValueError(f"the text has {len(body)} characters; GitHub takes {MAX_BODY}")
