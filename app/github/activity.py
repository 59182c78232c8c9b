"""Reads a repository's recent activity without webhooks: comments and issue events.

https://docs.github.com/en/rest/issues/comments#list-issue-comments-for-a-repository
https://docs.github.com/en/rest/issues/events#list-issue-events-for-a-repository
https://docs.github.com/en/rest/pulls/comments#list-review-comments-in-a-repository

Each request for a list has the ETag of the last answer. While nothing changes, GitHub answers 304,
which does not count toward the rate limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from app.domain.values import RepoName
from app.github.client import RepositoryClient
from app.github.exchange import ApiRequest, ApiResponse

ActivityList = Literal["comments", "events", "line_comments"]

READ = {"issues": "read", "pull_requests": "read", "metadata": "read"}
"""The permissions needed to read all of this."""

_PER_PAGE = 100
_MOST_PAGES = 30
_NOT_MODIFIED = 304
_ABSENT = {403, 404, 410}
"""The repository is gone or blocked, or has its issues turned off."""

_NEWEST_FIRST: dict[str, str | int] = {"sort": "created", "direction": "desc"}
_LISTS: dict[ActivityList, tuple[str, dict[str, str | int]]] = {
    "comments": ("/repos/{owner}/{repo}/issues/comments", _NEWEST_FIRST),
    "events": ("/repos/{owner}/{repo}/issues/events", {}),
    "line_comments": ("/repos/{owner}/{repo}/pulls/comments", _NEWEST_FIRST),
}

Entry = dict[str, Any]


@dataclass(frozen=True)
class RecentActivity:
    """The entries since a given time, oldest first. `etag` is for the next call.

    `at` is when GitHub answered, by its own clock (Unix time); None if the list cannot be read.
    """

    entries: tuple[Entry, ...]
    etag: str
    at: float | None


async def recent(
    client: RepositoryClient, name: ActivityList, *, since: float, etag: str
) -> RecentActivity:
    """The entries of one list that were created at `since` (Unix time) or later.

    Raises GitHubRefusedError and RetryableError.
    """
    first = await _page(client, name, 1, etag)
    if first.status in _ABSENT:
        # Nothing was read, so the bookmark must not advance.
        return RecentActivity((), etag, None)
    if first.status == _NOT_MODIFIED:
        return RecentActivity((), etag, first.date)
    found, answer, number = _since(first, since), first, 1
    while len(found) == number * _PER_PAGE and answer.page("next") and number < _MOST_PAGES:
        number += 1
        answer = await _page(client, name, number, "")
        found += _since(answer, since)
    return RecentActivity(tuple(reversed(found)), first.headers.get("etag", ""), first.date)


async def issue(client: RepositoryClient, number: int) -> Entry | None:
    """An issue in the format of events; None if it is gone."""
    return await _one(client, "/repos/{owner}/{repo}/issues/{number}", number)


async def pull_request(client: RepositoryClient, number: int) -> Entry | None:
    """A pull request in the format of its events; None if it is gone."""
    return await _one(client, "/repos/{owner}/{repo}/pulls/{number}", number)


def repository_payload(id: int, name: RepoName, default_branch: str, *, private: bool) -> Entry:
    """A repository in the format of events."""
    return {
        "id": id,
        "full_name": str(name),
        "default_branch": default_branch,
        "private": private,
        "archived": False,
    }


async def _one(client: RepositoryClient, template: str, number: int) -> Entry | None:
    answer = await client.get(template, path={"number": number}, accept={404, 410})
    return None if answer.status >= 400 else answer.read(dict[str, Any])


async def _page(
    client: RepositoryClient, name: ActivityList, number: int, etag: str
) -> ApiResponse:
    template, query = _LISTS[name]
    return await client.send(
        ApiRequest(
            "GET",
            template,
            query={**query, "per_page": _PER_PAGE, "page": number},
            repeatable=True,
            accept={_NOT_MODIFIED, *_ABSENT},
            known=etag,
        )
    )


def _since(answer: ApiResponse, since: float) -> list[Entry]:
    return [each for each in answer.read(list[Entry]) if _created(each) >= since]


def _created(entry: Entry) -> float:
    """When it was created (Unix time); 0 where that cannot be read, so that it is skipped."""
    try:
        return datetime.fromisoformat(str(entry["created_at"])).timestamp()
    except (KeyError, ValueError):
        return 0.0
