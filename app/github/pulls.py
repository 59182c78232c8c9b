"""Pull requests: create them once, keep them up to date, mark them ready for review.

https://docs.github.com/en/rest/pulls/pulls
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from app import retrying
from app.domain.approvals import Account, CommitPeople, Contributor
from app.domain.values import CommitSha, Value, commit_sha
from app.errors import RetryableError
from app.github.client import RepositoryClient
from app.github.commits import get_commit
from app.github.conversation import MAX_BODY, Author, UserWire, actor
from app.github.exchange import DIFF, ApiRequest, ApiResponse, cut
from app.github.refusals import GitHubRefusedError, UnknownOutcomeError, graphql_refusal, refused
from app.retrying import Retries

NOT_READY = "Not ready: "
"""Title prefix where drafts are not available."""

MAX_TITLE = 256
"""GitHub's limit in characters for a title."""

_PULLS = "/repos/{owner}/{repo}/pulls"
_PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"
_OF_COMMIT = "/repos/{owner}/{repo}/commits/{commit_sha}/pulls"


_NEEDS_TO_CHANGE = "Pull requests (write), Contents (write)"


class PullRequest(Value):
    """A pull request. `state` is `open` or `closed`, which includes merged.

    `head_repo` is None if the fork was deleted. `mergeable` is None while GitHub computes it in the
    background, and in results of lists; `mergeable_state` is GitHub's value (`clean`, `dirty`,
    `blocked`, `behind`, `unstable`, `draft`, `unknown`). `maintainer_can_modify` is whether people
    with write access here may push to a fork's branch; an App's token may not. `merge_commit` is
    the commit on the base branch when it is merged. `created` is whether
    this call opened it. `draft_refused`: a draft was requested but the repository's plan has none,
    so it is a regular one with `NOT_READY` in its title.
    """

    number: int
    url: str
    node_id: str
    title: str
    body: str
    state: str
    draft: bool
    merged: bool
    author: Author
    head_ref: str
    head_sha: CommitSha
    head_repo: str | None
    head_repo_id: int | None
    base_ref: str
    base_sha: CommitSha
    base_repo_id: int | None
    maintainer_can_modify: bool
    mergeable: bool | None
    mergeable_state: str
    merge_commit: CommitSha | None = None
    created: bool = False
    draft_refused: bool = False

    @property
    def same_repository(self) -> bool:
        """Whether the head branch is in the base repository."""
        return self.head_repo_id is not None and self.head_repo_id == self.base_repo_id


class ListedPull(Value):
    """A pull request in a list. `state` is `open`, `closed` or `merged`; `merge_commit` is the
    commit on the base branch when it is merged."""

    number: int
    title: str
    body: str
    author: Author
    state: Literal["open", "closed", "merged"]
    head_ref: str
    created_at: datetime
    merged_at: datetime | None
    head_sha: CommitSha
    base_ref: str
    base_sha: CommitSha
    merge_commit: CommitSha | None


class PullHistory(Value):
    """Who made a pull request's commits. `is_complete` is whether this is everyone;
    `base_changed_at` when it last got another base branch, or that branch was force-pushed."""

    commits: tuple[CommitPeople, ...]
    is_complete: bool
    base_changed_at: datetime | None


class LinkedPull(Value):
    """An open pull request that would close an issue; `repository` may be another one."""

    number: int
    url: str
    repository: str
    author: Author
    head_ref: str
    head_sha: CommitSha
    head_repo: str | None
    draft: bool


class _RepoWire(msgspec.Struct):
    id: int
    full_name: str


class _BranchWire(msgspec.Struct):
    ref: str
    sha: str
    label: str | None = None
    repo: _RepoWire | None = None


class _EventWire(msgspec.Struct):
    event: str
    created_at: datetime


class _PullWire(msgspec.Struct):
    number: int
    html_url: str
    node_id: str
    title: str
    state: str
    head: _BranchWire
    base: _BranchWire
    draft: bool = False
    body: str | None = None
    user: UserWire | None = None
    merged_at: datetime | None = None
    created_at: datetime | None = None
    merge_commit_sha: str | None = None
    maintainer_can_modify: bool = False
    mergeable: bool | None = None
    mergeable_state: str = "unknown"


async def ensure_pull_request(
    client: RepositoryClient, head: str, base: str, title: str, body: str, draft: bool
) -> PullRequest:
    """Open a pull request from a branch of this repository unless one is open already.

    An open one is returned unchanged: use `update_pull_request` to update it. Raises
    GitHubRefusedError, for example if there are no commits between the branches, and ValueError for
    a text that is too long.
    """
    _check_lengths(title, body)
    opened_elsewhere = False

    async def look() -> PullRequest | None:
        return await _open_from(client, head, draft)

    async def create() -> PullRequest:
        nonlocal opened_elsewhere
        wanted = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        answer = await _open(client, wanted)
        if answer.status == 422 and draft and _refuses_drafts(answer):
            wanted |= {"title": (NOT_READY + title)[:MAX_TITLE], "draft": False}
            answer = await _open(client, wanted)
        if answer.status == 422:
            existing = await look()
            if existing is not None:
                opened_elsewhere = True
                return existing
            raise refused(
                f"GitHub refused to open a pull request from `{head}` into `{base}`.", answer
            )
        return _pull_request(answer.read(_PullWire), draft)

    # GitHub refuses a second open one from the same branch, so skip the first look.
    pull, created = await client.ensure(look, create, fresh=True)
    return pull.model_copy(update={"created": created and not opened_elsewhere})


async def pull_request(
    client: RepositoryClient, number: int, *, just_created: bool = False
) -> PullRequest:
    """https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request"""
    answer = await client.get(_PULL, path={"pull_number": number}, just_created=just_created)
    return _pull_request(answer.read(_PullWire))


async def newest(
    client: RepositoryClient,
    *,
    state: Literal["all", "open", "closed"] = "all",
    most: int | None = None,
) -> AsyncIterator[ListedPull]:
    """The pull requests, newest first; "closed" includes merged ones. At most `most` pages of a
    hundred.

    https://docs.github.com/en/rest/pulls/pulls#list-pull-requests
    """
    query = {"state": state, "sort": "created", "direction": "desc"}
    async for answer in client.pages(_PULLS, query=query, most=most):
        for wire in answer.read(list[_PullWire]):
            yield _listed(wire)


async def ready_times(client: RepositoryClient, number: int) -> tuple[datetime, ...]:
    """When a pull request was marked as ready for review, oldest first; empty if it never was.

    https://docs.github.com/en/rest/issues/events#list-issue-events
    """
    listing = client.pages(
        "/repos/{owner}/{repo}/issues/{issue_number}/events", path={"issue_number": number}, most=10
    )
    return tuple(
        [
            wire.created_at
            async for answer in listing
            for wire in answer.read(list[_EventWire])
            if wire.event == "ready_for_review"
        ]
    )


async def open_at(client: RepositoryClient, sha: CommitSha) -> tuple[PullRequest, ...]:
    """The open pull requests whose head is this commit.

    https://docs.github.com/en/rest/commits/commits#list-pull-requests-associated-with-a-commit
    """
    listing = client.pages(_OF_COMMIT, path={"commit_sha": sha})
    return tuple(
        [
            _pull_request(wire)
            async for answer in listing
            for wire in answer.read(list[_PullWire])
            if wire.state == "open" and wire.head.sha == sha
        ]
    )


async def history_of(client: RepositoryClient, number: int) -> PullHistory:
    """Who made each commit of a pull request, and when its base branch changed.

    Only the GraphQL API finds the accounts of co-authors. It has no accounts for bots; their
    addresses name them.
    https://docs.github.com/en/graphql/reference/objects#commit
    """
    found: list[CommitPeople] = []
    complete, cursor = True, None
    changed_at: datetime | None = None
    while len(found) < _MOST_COMMITS:
        given = {"owner": client.repo.owner, "name": client.repo.name, "number": number}
        answer = await client.graphql(_HISTORY, {**given, "after": cursor})
        if answer.get("errors"):
            raise graphql_refusal(client.repo, answer, "Contents (read), Pull requests (read)")
        try:
            pull = answer["data"]["repository"]["pullRequest"]
            changed_at = _newest_time(pull["timelineItems"]["nodes"])
            page = pull["commits"]
            for node in page["nodes"]:
                found.append(_commit_people(node["commit"]))
                authors = node["commit"]["authors"]
                complete = complete and authors["totalCount"] == len(authors["nodes"])
            cursor = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                complete = complete and page["totalCount"] == len(found)
                break
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as malformed:
            raise RetryableError("GitHub's list of a pull request's commits is malformed.") from (
                malformed
            )
    else:
        complete = False
    return PullHistory(commits=tuple(found), is_complete=complete, base_changed_at=changed_at)


def _newest_time(nodes: list[dict[str, Any]]) -> datetime | None:
    return max((datetime.fromisoformat(each["createdAt"]) for each in nodes), default=None)


_MOST_COMMITS = 2_000
_BASE_CHANGES = {
    "BASE_REF_CHANGED_EVENT": "BaseRefChangedEvent",
    "AUTOMATIC_BASE_CHANGE_SUCCEEDED_EVENT": "AutomaticBaseChangeSucceededEvent",
    "BASE_REF_FORCE_PUSHED_EVENT": "BaseRefForcePushedEvent",
}
_HISTORY = (
    "query($owner: String!, $name: String!, $number: Int!, $after: String) {"
    " repository(owner: $owner, name: $name) { pullRequest(number: $number) {"
    f" timelineItems(last: 1, itemTypes: [{', '.join(_BASE_CHANGES)}]) {{ nodes {{ __typename"
    f" {' '.join(f'... on {each} {{ createdAt }}' for each in _BASE_CHANGES.values())} }} }}"
    " commits(first: 50, after: $after) {"
    " totalCount pageInfo { hasNextPage endCursor }"
    " nodes { commit { oid signature { isValid wasSignedByGitHub }"
    " authors(first: 50) { totalCount nodes { name email user { login databaseId } } }"
    " committer { name email user { login databaseId } } } }"
    " } } } }"
)


def _commit_people(commit: dict[str, Any]) -> CommitPeople:
    author, *co_authors = (_contributor(each) for each in commit["authors"]["nodes"])
    committer, signature = commit["committer"], commit["signature"]
    return CommitPeople(
        sha=commit_sha(commit["oid"]),
        author=author,
        co_authors=tuple(co_authors),
        committer=_contributor(committer) if committer else None,
        signed_by_github=bool(
            signature and signature["isValid"] and signature["wasSignedByGitHub"]
        ),
    )


def _contributor(who: dict[str, Any]) -> Contributor:
    user = who["user"]
    account = Account(login=user["login"], id=user["databaseId"]) if user else None
    return Contributor(name=who["name"] or "", email=who["email"] or "", account=account)


async def diff(client: RepositoryClient, number: int, max_bytes: int) -> str:
    """A pull request's diff as text, truncated with a note at `max_bytes`.

    GitHub refuses (406) a diff of more than 20,000 lines or 300 files; then the text says so.
    https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request
    """
    answer = await client.get(_PULL, path={"pull_number": number}, media=DIFF, accept={406})
    if answer.status == 406:
        return f"GitHub does not provide this diff: {answer.reason or 'it is too large.'}"
    return cut(answer.content.decode("utf-8", errors="replace"), max_bytes)


async def mergeability(client: RepositoryClient, number: int) -> PullRequest:
    """The pull request, polled a few times until `mergeable` is known.

    It can still be None: GitHub computes it in the background.
    """
    found = await pull_request(client, number)
    retries = Retries(retrying.GITHUB_MERGEABILITY, client.github.sleep)
    while retries.left:
        if found.mergeable is not None or found.state != "open":
            break
        await retries.pause()
        found = await pull_request(client, number)
    return found


async def update_branch(
    client: RepositoryClient, number: int, expected_head_sha: CommitSha
) -> Literal["updated", "current", "conflict", "moved"]:
    """Merge the base into a pull request's head branch. Needs contents: write too.

    `updated`: GitHub does it within seconds, so read the head later. `current`: nothing to merge.
    `conflict`: merge conflict. `moved`: the head is not at the expected commit.

    An App cannot update a fork's branch: raises GitHubRefusedError.
    https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request-branch
    """
    retries = Retries(retrying.GITHUB_WRITE, client.github.sleep)
    while retries.left:
        try:
            answer = await client.send(
                ApiRequest(
                    "PUT",
                    f"{_PULL}/update-branch",
                    path={"pull_number": number},
                    body={"expected_head_sha": expected_head_sha},
                    accept={422},
                )
            )
        except UnknownOutcomeError:
            await retries.pause()
            if await _was_merged_into(client, number, expected_head_sha):
                return "updated"
            continue
        if answer.status == 422:
            return _why_not_updated(client, answer)
        return "updated"
    raise RetryableError(f"GitHub did not say whether it updated the branch of #{number}.")


async def _was_merged_into(client: RepositoryClient, number: int, expected: CommitSha) -> bool:
    """Whether the head is a merge commit on top of the expected head."""
    head = (await pull_request(client, number)).head_sha
    if head == expected:
        return False
    parents = (await get_commit(client, head)).parents
    return len(parents) == 2 and parents[0] == expected


def _why_not_updated(
    client: RepositoryClient, answer: ApiResponse
) -> Literal["current", "conflict", "moved"]:
    words = answer.reason.lower()
    if "expected head sha" in words:
        return "moved"
    if "conflict" in words:
        return "conflict"
    if "no new commits" in words:
        return "current"
    raise refused(f"GitHub refused to update a branch of {client.repo}.", answer)


async def linked_to_issue(client: RepositoryClient, number: int) -> tuple[LinkedPull, ...]:
    """Open pull requests that say they close an issue or are linked to it; includes ours.

    Those that the App cannot see, such as in a private repository, are left out.
    https://docs.github.com/en/graphql/reference/objects#issue
    """
    query = (
        "query($owner: String!, $name: String!, $number: Int!) {"
        " repository(owner: $owner, name: $name) { issue(number: $number) {"
        " closedByPullRequestsReferences(first: 50, includeClosedPrs: false) { nodes {"
        " number url isDraft headRefName headRefOid"
        " repository { nameWithOwner } headRepository { nameWithOwner }"
        " author { __typename login ... on User { databaseId } ... on Bot { databaseId } }"
        " } } } } }"
    )
    names: dict[str, Any] = {"owner": client.repo.owner, "name": client.repo.name}
    answer = await client.graphql(query, {**names, "number": number})
    if not isinstance(answer.get("data"), dict) and answer.get("errors"):
        raise graphql_refusal(client.repo, answer, "Issues (read), Pull requests (read)")
    try:
        repository = (answer.get("data") or {}).get("repository") or {}
        found = (repository.get("issue") or {}).get("closedByPullRequestsReferences")
        nodes = (found or {}).get("nodes") or ()
        linked = tuple(_linked(node) for node in nodes if _is_visible(node))
    except (AttributeError, KeyError, TypeError, ValueError) as malformed:
        raise RetryableError("GitHub's list of linked pull requests is malformed.") from malformed
    if found is None and answer.get("errors"):
        raise graphql_refusal(client.repo, answer, "Issues (read), Pull requests (read)")
    return linked


def _is_visible(node: dict[str, Any] | None) -> bool:
    """Whether GitHub returned all required fields of a pull request."""
    needed = ("number", "url", "repository", "headRefName", "headRefOid", "isDraft")
    return node is not None and all(node.get(name) is not None for name in needed)


def _linked(node: dict[str, Any]) -> LinkedPull:
    who = node.get("author") or {}
    is_bot = who.get("__typename") == "Bot"
    # GraphQL omits the `[bot]` suffix that the REST API and webhooks use.
    login = f"{who['login']}[bot]" if is_bot else who.get("login", "ghost")
    return LinkedPull(
        number=node["number"],
        url=node["url"],
        repository=node["repository"]["nameWithOwner"],
        author=Author(login=login, id=who.get("databaseId") or 0, type="Bot" if is_bot else "User"),
        head_ref=node["headRefName"],
        head_sha=commit_sha(node["headRefOid"]),
        head_repo=(node.get("headRepository") or {}).get("nameWithOwner"),
        draft=node["isDraft"],
    )


async def disable_auto_merge(client: RepositoryClient, node_id: str) -> None:
    """Disable auto-merge, if it is enabled.

    https://docs.github.com/en/graphql/reference/mutations#disablepullrequestautomerge
    """
    given = {"pullRequestId": node_id}
    answer = await client.mutate("disablePullRequestAutoMerge", "clientMutationId", given)
    if answer.get("errors") and await _auto_merge_enabled(client, node_id) is not False:
        raise graphql_refusal(client.repo, answer, _NEEDS_TO_CHANGE)


async def _auto_merge_enabled(client: RepositoryClient, node_id: str) -> bool | None:
    query = (
        "query($id: ID!) { node(id: $id) { ... on PullRequest"
        " { autoMergeRequest { mergeMethod } } } }"
    )
    answer = await client.graphql(query, {"id": node_id})
    node = (answer.get("data") or {}).get("node")
    return None if node is None else node.get("autoMergeRequest") is not None


async def update_pull_request(
    client: RepositoryClient,
    number: int,
    *,
    title: str | None = None,
    body: str | None = None,
    base: str | None = None,
    state: Literal["open", "closed"] | None = None,
) -> PullRequest:
    """Change the given fields. Raises ValueError for a text that is too long.

    https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request
    """
    _check_lengths(title or "", body or "")
    changes = {"title": title, "body": body, "base": base, "state": state}
    answer = await client.send(
        ApiRequest(
            "PATCH",
            _PULL,
            path={"pull_number": number},
            body={name: value for name, value in changes.items() if value is not None},
            repeatable=True,
        )
    )
    return _pull_request(answer.read(_PullWire))


async def request_review(client: RepositoryClient, number: int, login: str) -> bool:
    """Request a review. False if GitHub refuses this reviewer: the author, or a non-collaborator.

    https://docs.github.com/en/rest/pulls/review-requests
    """
    answer = await client.send(
        ApiRequest(
            "POST",
            "/repos/{owner}/{repo}/pulls/{pull_number}/requested_reviewers",
            path={"pull_number": number},
            body={"reviewers": [login]},
            repeatable=True,
            just_created=True,
            accept={422},
        )
    )
    return answer.status != 422


async def ready_for_review(client: RepositoryClient, node_id: str) -> None:
    """Mark a draft as ready for review, if it is a draft.

    Only the GraphQL API can do this; it needs contents: write and pull requests: write.
    https://docs.github.com/en/graphql/reference/mutations#markpullrequestreadyforreview
    """
    await _set_draft(client, "markPullRequestReadyForReview", node_id, draft=False)


async def convert_to_draft(client: RepositoryClient, node_id: str) -> bool:
    """Convert a pull request to a draft; False if the repository's plan has no drafts.

    https://docs.github.com/en/graphql/reference/mutations#convertpullrequesttodraft
    """
    try:
        await _set_draft(client, "convertPullRequestToDraft", node_id, draft=True)
    except GitHubRefusedError as refusal:
        if "draft pull requests are not supported" in refusal.reason.lower():
            return False
        raise
    return True


async def _open(client: RepositoryClient, wanted: dict[str, Any]) -> ApiResponse:
    return await client.send(ApiRequest("POST", _PULLS, body=wanted, accept={422}))


async def _open_from(client: RepositoryClient, head: str, draft: bool) -> PullRequest | None:
    """The open pull request from this branch. GitHub ignores an invalid `head` filter, so compare
    names.
    """
    label = f"{client.repo.owner}:{head}"
    answer = await client.get(_PULLS, query={"head": label, "state": "open", "per_page": 100})
    for wire in answer.read(list[_PullWire]):
        from_here = wire.head.label is None or wire.head.label.lower() == label.lower()
        if wire.head.ref == head and from_here:
            return _pull_request(wire, draft)
    return None


async def _set_draft(client: RepositoryClient, mutation: str, node_id: str, *, draft: bool) -> None:
    """Set the state; an error is ignored if the state is already the right one."""
    query = (
        f"mutation($id: ID!) {{ {mutation}(input: {{pullRequestId: $id}})"
        " { pullRequest { isDraft } } }"
    )
    answer = await client.graphql(query, {"id": node_id})
    if not answer.get("errors"):
        return
    if await _is_draft(client, node_id) is draft:
        return
    raise graphql_refusal(client.repo, answer, _NEEDS_TO_CHANGE)


async def _is_draft(client: RepositoryClient, node_id: str) -> bool | None:
    query = "query($id: ID!) { node(id: $id) { ... on PullRequest { isDraft } } }"
    answer = await client.graphql(query, {"id": node_id})
    node = (answer.get("data") or {}).get("node") or {}
    found = node.get("isDraft")
    return found if isinstance(found, bool) else None


def _pull_request(wire: _PullWire, draft_wanted: bool = False) -> PullRequest:
    return PullRequest(
        number=wire.number,
        url=wire.html_url,
        node_id=wire.node_id,
        title=wire.title,
        body=wire.body or "",
        state=wire.state,
        draft=wire.draft,
        merged=wire.merged_at is not None,
        author=actor(wire.user),
        head_ref=wire.head.ref,
        head_sha=commit_sha(wire.head.sha),
        head_repo=wire.head.repo.full_name if wire.head.repo else None,
        head_repo_id=wire.head.repo.id if wire.head.repo else None,
        base_ref=wire.base.ref,
        base_sha=commit_sha(wire.base.sha),
        base_repo_id=wire.base.repo.id if wire.base.repo else None,
        maintainer_can_modify=wire.maintainer_can_modify,
        mergeable=wire.mergeable,
        mergeable_state=wire.mergeable_state,
        merge_commit=_merge_commit(wire),
        draft_refused=draft_wanted and not wire.draft and wire.title.startswith(NOT_READY),
    )


def _listed(wire: _PullWire) -> ListedPull:
    state: Literal["open", "closed"] = "open" if wire.state == "open" else "closed"
    return ListedPull(
        number=wire.number,
        title=wire.title,
        body=wire.body or "",
        author=actor(wire.user),
        state="merged" if wire.merged_at else state,
        head_ref=wire.head.ref,
        created_at=wire.created_at or datetime.fromtimestamp(0, UTC),
        merged_at=wire.merged_at,
        head_sha=commit_sha(wire.head.sha),
        base_ref=wire.base.ref,
        base_sha=commit_sha(wire.base.sha),
        merge_commit=_merge_commit(wire),
    )


def _merge_commit(wire: _PullWire) -> CommitSha | None:
    """Before the merge, the field is GitHub's test merge."""
    merged = wire.merge_commit_sha if wire.merged_at else None
    return commit_sha(merged) if merged else None


def _refuses_drafts(answer: ApiResponse) -> bool:
    return "draft" in answer.reason.lower()


def _check_lengths(title: str, body: str) -> None:
    if len(title) > MAX_TITLE:
        raise ValueError(f"the title has {len(title)} characters; GitHub takes {MAX_TITLE}")
    if len(body) > MAX_BODY:
        raise ValueError(f"the text has {len(body)} characters; GitHub takes {MAX_BODY}")
