"""Pull requests: opened once, kept up to date, made ready.

https://docs.github.com/en/rest/pulls/pulls
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from app.domain.values import CommitSha, Value, commit_sha
from app.errors import RetryableError
from app.github.client import RepositoryClient
from app.github.commits import get_commit
from app.github.conversation import MAX_BODY, Author, UserWire, actor
from app.github.exchange import DIFF, ApiRequest, ApiResponse, cut
from app.github.refusals import GitHubRefusedError, UnknownOutcomeError, graphql_refusal, refused

NOT_READY = "Not ready: "
"""What the title of a pull request starts with where drafts are refused."""

MAX_TITLE = 256
"""Characters of a title that GitHub takes."""

_PULLS = "/repos/{owner}/{repo}/pulls"
_PULL = "/repos/{owner}/{repo}/pulls/{pull_number}"


_LOOKS = 4
_NEEDS_TO_CHANGE = "Pull requests (write), Contents (write)"


class PullRequest(Value):
    """A pull request as GitHub has it. `state` is `open` or `closed`, merged ones included.

    `head_repo` is None when the fork is gone. `mergeable` is None while GitHub has not found out,
    which it does in the background, and where a list was asked; `mergeable_state` is its word for
    it (`clean`, `dirty`, `blocked`, `behind`, `unstable`, `draft`, `unknown`).
    `maintainer_can_modify` is whether those with write access here may push to a fork's branch;
    an App's token may not.
    `created` is whether this call opened it; `draft_refused` whether a draft was asked for and
    the repository's plan has none, so that it is an ordinary one with `NOT_READY` in its title.
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
    created: bool = False
    draft_refused: bool = False

    @property
    def same_repository(self) -> bool:
        """Whether the head branch is in the repository that it shall be merged into."""
        return self.head_repo_id is not None and self.head_repo_id == self.base_repo_id


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
    merged_at: str | None = None
    maintainer_can_modify: bool = False
    mergeable: bool | None = None
    mergeable_state: str = "unknown"


async def ensure_pull_request(
    client: RepositoryClient, head: str, base: str, title: str, body: str, draft: bool
) -> PullRequest:
    """Open a pull request from a branch of this repository unless one is open already.

    An open one is given back as it is: bring it up to date with `update_pull_request`.
    Raises RefusedError, for example when there are no commits between the two, and ValueError for
    a text that is too long.
    """
    _check(title, body)
    somebody_else = False

    async def look() -> PullRequest | None:
        return await _open_from(client, head, draft)

    async def create() -> PullRequest:
        nonlocal somebody_else
        wanted = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        answer = await _open(client, wanted)
        if answer.status == 422 and draft and _refuses_drafts(answer):
            wanted |= {"title": (NOT_READY + title)[:MAX_TITLE], "draft": False}
            answer = await _open(client, wanted)
        if answer.status == 422:
            existing = await look()
            if existing is not None:
                somebody_else = True
                return existing
            raise refused(
                f"GitHub does not open a pull request from `{head}` into `{base}`.", answer
            )
        return _pull_request(answer.read(_PullWire), draft)

    # GitHub refuses a second open one from the same branch, so the first look is spared.
    pull, created = await client.ensure(look, create, fresh=True)
    return pull.model_copy(update={"created": created and not somebody_else})


async def pull_request(
    client: RepositoryClient, number: int, *, just_created: bool = False
) -> PullRequest:
    """https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request"""
    answer = await client.get(_PULL, path={"pull_number": number}, just_created=just_created)
    return _pull_request(answer.read(_PullWire))


async def diff(client: RepositoryClient, number: int, max_bytes: int) -> str:
    """What a pull request changes, as text, cut to `max_bytes`; the text says when it was cut.

    GitHub itself refuses (406) a diff of more than 20,000 lines or 300 files: then that is the
    text. https://docs.github.com/en/rest/pulls/pulls#get-a-pull-request
    """
    answer = await client.get(_PULL, path={"pull_number": number}, media=DIFF, accept={406})
    if answer.status == 406:
        return f"GitHub does not give this diff: {answer.reason or 'it is too large.'}"
    return cut(answer.content.decode("utf-8", errors="replace"), max_bytes)


async def mergeability(client: RepositoryClient, number: int) -> PullRequest:
    """The pull request with `mergeable` found out, for which GitHub is asked a few times.

    It can still be None: GitHub computes it when it likes.
    """
    found = await pull_request(client, number)
    for failures in range(1, _LOOKS):
        if found.mergeable is not None or found.state != "open":
            break
        await client.github.pause(failures)
        found = await pull_request(client, number)
    return found


async def update_branch(
    client: RepositoryClient, number: int, expected_head_sha: CommitSha
) -> Literal["updated", "current", "conflict", "moved"]:
    """Merge the base into a pull request's head: `updated` (GitHub does it within seconds, so look
    at the head later), `current` when there is nothing to merge, `conflict`, or `moved` when the
    head is no longer where it was expected. Needs contents: write too.

    A fork's branch is out of reach for an App: RefusedError.
    https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request-branch
    """
    for failures in range(1, _LOOKS):
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
            await client.github.pause(failures)
            if await _was_merged_into(client, number, expected_head_sha):
                return "updated"
            continue
        if answer.status == 422:
            return _why_not_updated(client, answer)
        return "updated"
    raise RetryableError(f"GitHub did not say whether it updated the branch of #{number}.")


async def _was_merged_into(client: RepositoryClient, number: int, expected: CommitSha) -> bool:
    """Whether the head is a merge of something into the head that was expected."""
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
    raise refused(f"GitHub does not update a branch of {client.repo}.", answer)


async def linked_to_issue(client: RepositoryClient, number: int) -> tuple[LinkedPull, ...]:
    """The open pull requests that say they close an issue, or were linked to it by hand; ours too.

    What GitHub does not let us see of them, such as one in a private repository, is left out.
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
    repository = (answer.get("data") or {}).get("repository") or {}
    found = (repository.get("issue") or {}).get("closedByPullRequestsReferences")
    if found is None and answer.get("errors"):
        raise graphql_refusal(client.repo, answer, "Issues (read), Pull requests (read)")
    nodes = (found or {}).get("nodes") or ()
    return tuple(_linked(node) for node in nodes if _is_whole(node))


def _is_whole(node: dict[str, Any] | None) -> bool:
    """Whether GitHub shows as much of a pull request as there must be."""
    needed = ("number", "url", "repository", "headRefName", "headRefOid", "isDraft")
    return node is not None and all(node.get(name) is not None for name in needed)


def _linked(node: dict[str, Any]) -> LinkedPull:
    who = node.get("author") or {}
    is_bot = who.get("__typename") == "Bot"
    # GraphQL leaves out what the REST API and webhooks put behind the name of a bot.
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
    """Take back the order to merge by itself; done when there is none.

    https://docs.github.com/en/graphql/reference/mutations#disablepullrequestautomerge
    """
    given = {"pullRequestId": node_id}
    answer = await client.mutate("disablePullRequestAutoMerge", "clientMutationId", given)
    if answer.get("errors") and await _merges_by_itself(client, node_id) is not False:
        raise graphql_refusal(client.repo, answer, _NEEDS_TO_CHANGE)


async def _merges_by_itself(client: RepositoryClient, node_id: str) -> bool | None:
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
    """Change what is given, leave the rest. Raises ValueError for a text that is too long.

    https://docs.github.com/en/rest/pulls/pulls#update-a-pull-request
    """
    _check(title or "", body or "")
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
    """Ask somebody to review. False where GitHub says they can't: the author, an outsider.

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
    """Turn a draft into a pull request that asks to be merged; done when it is one.

    Only the GraphQL API can, and the App needs contents: write besides pull requests: write.
    https://docs.github.com/en/graphql/reference/mutations#markpullrequestreadyforreview
    """
    await _set_draft(client, "markPullRequestReadyForReview", node_id, draft=False)


async def convert_to_draft(client: RepositoryClient, node_id: str) -> bool:
    """Turn a pull request back into a draft; False where the repository's plan has no drafts.

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
    """GitHub ignores a `head` filter that it does not understand, so the names are compared."""
    label = f"{client.repo.owner}:{head}"
    answer = await client.get(_PULLS, query={"head": label, "state": "open", "per_page": 100})
    for wire in answer.read(list[_PullWire]):
        from_here = wire.head.label is None or wire.head.label.lower() == label.lower()
        if wire.head.ref == head and from_here:
            return _pull_request(wire, draft)
    return None


async def _set_draft(client: RepositoryClient, mutation: str, node_id: str, *, draft: bool) -> None:
    """Ask for the state, and count it as done when GitHub complains that it is there already."""
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
        draft_refused=draft_wanted and not wire.draft and wire.title.startswith(NOT_READY),
    )


def _refuses_drafts(answer: ApiResponse) -> bool:
    return "draft" in answer.reason.lower()


def _check(title: str, body: str) -> None:
    if len(title) > MAX_TITLE:
        raise ValueError(f"the title has {len(title)} characters; GitHub takes {MAX_TITLE}")
    if len(body) > MAX_BODY:
        raise ValueError(f"the text has {len(body)} characters; GitHub takes {MAX_BODY}")
