"""An issue as it was at a time in the past."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from app.domain.values import Value
from app.errors import RetryableError
from app.github.client import RepositoryClient
from app.github.refusals import graphql_refusal

_EDITS = 100


class IssueText(Value):
    """The title and the text of an issue."""

    title: str
    body: str


class _RenameWire(msgspec.Struct):
    old: str = msgspec.field(name="from")


class _RenamedWire(msgspec.Struct):
    event: str
    created_at: datetime
    rename: _RenameWire | None = None


async def text_at(client: RepositoryClient, number: int, moment: datetime) -> IssueText | None:
    """The issue as it was then; None if it was opened later, is a pull request, or if GitHub no
    longer has that version.

    https://docs.github.com/en/graphql/reference/objects#issue
    """
    found = await _issue(client, number)
    if found is None:
        return None
    try:
        if datetime.fromisoformat(found["createdAt"]) > moment:
            return None
        body = _body_at(found, moment)
        title = str(found["title"])
    except (KeyError, TypeError, ValueError) as malformed:
        raise RetryableError("GitHub's history of an issue is malformed.") from malformed
    if body is None:
        return None
    return IssueText(title=await _title_at(client, number, moment, title), body=body)


async def _issue(client: RepositoryClient, number: int) -> dict[str, Any] | None:
    query = (
        "query($owner: String!, $name: String!, $number: Int!) {"
        " repository(owner: $owner, name: $name) { issue(number: $number) {"
        " title body createdAt lastEditedAt"
        f" userContentEdits(first: {_EDITS}) {{ totalCount nodes {{ editedAt diff }} }}"
        " } } }"
    )
    names: dict[str, Any] = {"owner": client.repo.owner, "name": client.repo.name}
    answer = await client.graphql(query, {**names, "number": number})
    data = answer.get("data")
    if not isinstance(data, dict):
        raise graphql_refusal(client.repo, answer, "Issues (read)")
    # There is also an error if the number is a pull request's or does not exist.
    issue = (data.get("repository") or {}).get("issue")
    return issue if isinstance(issue, dict) else None


def _body_at(issue: dict[str, Any], moment: datetime) -> str | None:
    """The body at that moment. Each edit's `diff` is the whole text of its version."""
    edited = issue.get("lastEditedAt")
    if edited is None or datetime.fromisoformat(edited) <= moment:
        return str(issue.get("body") or "")
    edits = issue["userContentEdits"] or {}
    versions = [
        (datetime.fromisoformat(each["editedAt"]), each.get("diff"))
        for each in edits.get("nodes") or ()
        if each is not None
    ]
    before = [(at, text) for at, text in versions if at <= moment]
    if edits.get("totalCount", 0) > len(versions) or not before:
        return None
    _, text = max(before, key=lambda version: version[0])
    return None if text is None else str(text)


async def _title_at(client: RepositoryClient, number: int, moment: datetime, title: str) -> str:
    """The title before the first renaming after that moment.

    https://docs.github.com/en/rest/issues/events#list-issue-events
    """
    listing = client.pages(
        "/repos/{owner}/{repo}/issues/{issue_number}/events", path={"issue_number": number}, most=10
    )
    later = [
        wire
        async for answer in listing
        for wire in answer.read(list[_RenamedWire])
        if wire.event == "renamed" and wire.rename is not None and wire.created_at > moment
    ]
    first = min(later, key=lambda wire: wire.created_at, default=None)
    return first.rename.old if first is not None and first.rename is not None else title
