"""Merging pull requests: what GitHub says about it, and the calls that do it.

Every call that merges names the head commit that the person saw (`sha`, `expectedHeadOid`), so that
GitHub refuses when the head has moved.

https://docs.github.com/en/rest/pulls/pulls#merge-a-pull-request-asynchronously
https://docs.github.com/en/graphql/reference/mutations#enqueuepullrequest
https://docs.github.com/en/graphql/reference/mutations#enablepullrequestautomerge
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from app import retrying
from app.domain.command import MergeMethod
from app.domain.mergeability import METHODS, BaseRules, CheckContext, PullState, read_rules
from app.domain.values import CommitSha, Value, commit_sha
from app.errors import RetryableError
from app.github import deployments
from app.github.client import RepositoryClient
from app.github.conversation import is_our_bot
from app.github.exchange import GRAPHQL, ApiRequest
from app.github.pulls import PullRequest, newest, pull_request
from app.github.refusals import graphql_refusal
from app.github.repositories import rules_for_branch
from app.retrying import Retries

_MERGE = "/repos/{owner}/{repo}/pulls/{pull_number}/merge"
_MERGE_ASYNC = "/repos/{owner}/{repo}/pulls/{pull_number}/merge-async"
_NEEDS_TO_READ = "Pull requests (read), Checks (read), Commit statuses (read)"
_NEEDS_TO_MERGE = "Pull requests (write), Contents (write), Merge queues (write)"
_MOST_PAGES = 20
"""Pages of a hundred checks, threads, commits or reviews that are read."""


class MergeCallResult(Value):
    """What a merge call did. "merged": `sha` is on the base branch. "moved": the head is another
    commit. "refused": `reason` is GitHub's message."""

    outcome: Literal["merged", "moved", "refused"]
    sha: CommitSha | None = None
    reason: str = ""


class _AsyncDetailsWire(msgspec.Struct):
    message: str = ""
    uuid: str = ""
    sha: str = ""


class _AsyncWire(msgspec.Struct):
    status: str
    details: _AsyncDetailsWire = msgspec.field(default_factory=_AsyncDetailsWire)


class _MergedWire(msgspec.Struct):
    sha: str


async def state_of(client: RepositoryClient, number: int, rules: BaseRules) -> PullState:
    """A pull request's state, polled a few times until GitHub has computed its mergeability.

    `rules` are those of its base; they say what else has to be read.
    """
    retries = Retries(retrying.GITHUB_MERGEABILITY, client.github.sleep)
    while True:
        found = await _read_state(client, number)
        known = found.mergeable != "UNKNOWN" and found.status != "UNKNOWN"
        if known or found.state != "open" or not await retries.pause():
            break
    if found.state != "open":
        return found
    more: dict[str, Any] = {}
    if rules.environments:
        more["deployed_to"] = await deployments.deployed_to(
            client, found.head_sha, rules.environments
        )
    if rules.signatures:
        more["unsigned"] = await _unsigned(client, number)
    return found.model_copy(update=more)


async def rules_of(client: RepositoryClient, branch: str) -> BaseRules:
    """What the rulesets of a branch require; classic protection is not among them."""
    found = await rules_for_branch(client, branch)
    return read_rules((each.type, each.parameters) for each in found)


async def merge(
    client: RepositoryClient, number: int, sha: CommitSha, method: MergeMethod
) -> MergeCallResult:
    """Merge the pull request if its head is `sha`, and wait until GitHub has done it.

    Merging again what is merged gives the same result. Raises RetryableError when GitHub has
    accepted the merge and not finished it; asking again continues to wait.
    """
    request = ApiRequest(
        "PUT",
        _MERGE_ASYNC,
        path={"pull_number": number},
        body={"sha": sha, "merge_method": method, "merge_action": "direct_merge"},
        # With the head's SHA, a second call finds the first one's merge.
        repeatable=True,
        accept={400, 404, 409, 422},
    )
    answer = await client.send(request)
    if answer.status == 404:
        # An Enterprise Server may have only the older call.
        return await _merge_at_once(client, number, sha, method)
    if answer.status == 422:
        return await _outcome(client, number, sha, answer.reason)
    found = answer.read(_AsyncWire)
    retries = Retries(retrying.GITHUB_MERGE, client.github.sleep)
    while found.status == "pending":
        if not await retries.pause():
            raise RetryableError(f"GitHub is still merging #{number}.")
        path: dict[str, str | int] = {"pull_number": number, "uuid": found.details.uuid}
        polled = await client.get(f"{_MERGE_ASYNC}/{{uuid}}", path=path, just_created=True)
        found = polled.read(_AsyncWire)
    return await _outcome(client, number, sha, found.details.message)


async def _merge_at_once(
    client: RepositoryClient, number: int, sha: CommitSha, method: MergeMethod
) -> MergeCallResult:
    """https://docs.github.com/en/rest/pulls/pulls#merge-a-pull-request"""
    answer = await client.send(
        ApiRequest(
            "PUT",
            _MERGE,
            path={"pull_number": number},
            body={"sha": sha, "merge_method": method},
            repeatable=True,
            accept={405, 409, 422},
        )
    )
    if answer.status >= 400:
        return await _outcome(client, number, sha, answer.reason)
    return MergeCallResult(outcome="merged", sha=commit_sha(answer.read(_MergedWire).sha))


async def _outcome(
    client: RepositoryClient, number: int, sha: CommitSha, reason: str
) -> MergeCallResult:
    """What happened, from the pull request itself: an answer may be of an earlier call."""
    pull = await pull_request(client, number)
    if pull.head_sha != sha:
        return MergeCallResult(outcome="moved")
    if pull.merged:
        return MergeCallResult(outcome="merged", sha=pull.merge_commit)
    return MergeCallResult(outcome="refused", reason=reason)


async def enqueue(client: RepositoryClient, pull: PullState) -> str:
    """Add the pull request to its merge queue; return why GitHub refuses, or nothing."""
    given = {"pullRequestId": pull.node_id, "expectedHeadOid": pull.head_sha}
    answer = await client.mutate("enqueuePullRequest", "clientMutationId", given)
    if answer.get("errors") and not (await _read_state(client, pull.number)).queue_entry:
        return _reason(client, answer)
    return ""


async def enable_auto_merge(
    client: RepositoryClient, pull: PullState, method: MergeMethod | None
) -> str:
    """Let GitHub merge once everything required is there; return why GitHub refuses, or nothing.

    The head is compared now, but GitHub keeps auto-merge on when it moves later: turn it off then.
    """
    given: dict[str, Any] = {"pullRequestId": pull.node_id, "expectedHeadOid": pull.head_sha}
    if method is not None:
        given["mergeMethod"] = method.upper()
    answer = await client.mutate("enablePullRequestAutoMerge", "clientMutationId", given)
    if answer.get("errors") and not (await _read_state(client, pull.number)).auto_merge:
        return _reason(client, answer)
    return ""


def _reason(client: RepositoryClient, answer: Mapping[str, Any]) -> str:
    """GitHub's message. Raises what is no refusal: a limit, an outage, a missing permission."""
    refusal = graphql_refusal(client.repo, answer, _NEEDS_TO_MERGE)
    if getattr(refusal, "status", None) != 422:
        raise refusal
    return getattr(refusal, "reason", "") or str(refusal)


async def ensure_revert(
    client: RepositoryClient, pull: PullRequest, *, title: str, body: str
) -> PullRequest:
    """Open a pull request that reverts a merged one, unless one of ours is open.

    Raises GitHubRefusedError, for example where later changes conflict with it.
    https://docs.github.com/en/graphql/reference/mutations#revertpullrequest
    """
    query = (
        "mutation($input: RevertPullRequestInput!) { revertPullRequest(input: $input)"
        " { revertPullRequest { number } } }"
    )
    given = {"pullRequestId": pull.node_id, "title": title, "body": body}

    async def look() -> PullRequest | None:
        # GitHub names the branch, with the number and the name of the reverted one's branch.
        async for each in newest(client, state="open", most=1):
            ours = await is_our_bot(client, each.author)
            if ours and each.head_ref.startswith(f"revert-{pull.number}-"):
                return await pull_request(client, each.number)
        return None

    async def create() -> PullRequest:
        request = ApiRequest("POST", GRAPHQL, body={"query": query, "variables": {"input": given}})
        answer = (await client.send(request)).read(dict[str, Any])
        made = ((answer.get("data") or {}).get("revertPullRequest") or {}).get("revertPullRequest")
        if answer.get("errors") or not made:
            errors = answer if answer.get("errors") else {"errors": [{"message": ""}]}
            raise graphql_refusal(client.repo, errors, _NEEDS_TO_MERGE)
        return await pull_request(client, made["number"], just_created=True)

    made, _ = await client.ensure(look, create)
    return made


_STATE = (
    "query($owner: String!, $name: String!, $number: Int!, $checks: String, $threads: String) {"
    " repository(owner: $owner, name: $name) {"
    " autoMergeAllowed mergeCommitAllowed squashMergeAllowed rebaseMergeAllowed"
    " pullRequest(number: $number) {"
    " id state isDraft headRefOid baseRefName mergeable mergeStateStatus reviewDecision"
    " viewerCanMergeAsAdmin isMergeQueueEnabled mergeQueueEntry { state }"
    " mergeCommit { oid } autoMergeRequest { mergeMethod }"
    " latestOpinionatedReviews(first: 100, writersOnly: true) {"
    " pageInfo { hasNextPage } nodes { state author { login } } }"
    " reviewRequests(first: 100) { nodes { asCodeOwner requestedReviewer { __typename"
    " ... on User { login } ... on Team { combinedSlug } } } }"
    " reviewThreads(first: 100, after: $threads) {"
    " pageInfo { hasNextPage endCursor } nodes { isResolved } }"
    " statusCheckRollup { contexts(first: 100, after: $checks) {"
    " pageInfo { hasNextPage endCursor } nodes { __typename"
    " ... on CheckRun { name status conclusion isRequired(pullRequestNumber: $number)"
    " checkSuite { app { databaseId } } }"
    " ... on StatusContext { context statusState: state isRequired(pullRequestNumber: $number) }"
    " } } } } } }"
)


async def _read_state(client: RepositoryClient, number: int) -> PullState:
    """One reading, all pages of it. Raises NotFoundError, GitHubRefusedError, RetryableError."""
    contexts: list[CheckContext] = []
    open_threads = 0
    checks: str | None = None
    threads: str | None = None
    for page in range(_MOST_PAGES):
        repository = await _page(client, number, checks, threads)
        try:
            pull = repository["pullRequest"]
            rollup = (pull["statusCheckRollup"] or {}).get("contexts")
            more_checks, more_threads = _more(rollup), _more(pull["reviewThreads"])
            if page == 0 or checks is not None:
                contexts += [_context(each) for each in (rollup or {}).get("nodes") or ()]
            if page == 0 or threads is not None:
                open_threads += sum(
                    not each["isResolved"] for each in pull["reviewThreads"]["nodes"]
                )
            checks, threads = more_checks, more_threads
            if checks is None and threads is None:
                return _state(repository, number, contexts, open_threads)
        except (AttributeError, KeyError, TypeError, ValueError) as malformed:
            raise RetryableError(
                "GitHub's answer about a pull request is malformed."
            ) from malformed
    state = _state(repository, number, contexts, open_threads)
    return state.model_copy(update={"is_complete": False})


async def _page(
    client: RepositoryClient, number: int, checks: str | None, threads: str | None
) -> dict[str, Any]:
    given = {
        "owner": client.repo.owner,
        "name": client.repo.name,
        "number": number,
        "checks": checks,
        "threads": threads,
    }
    answer = await client.graphql(_STATE, given)
    repository = (answer.get("data") or {}).get("repository")
    if answer.get("errors") or not repository or not repository.get("pullRequest"):
        errors = answer if answer.get("errors") else {"errors": [{"type": "NOT_FOUND"}]}
        raise graphql_refusal(client.repo, errors, _NEEDS_TO_READ)
    return dict(repository)


def _more(connection: Mapping[str, Any] | None) -> str | None:
    """The cursor of the next page, if there is one."""
    info = (connection or {}).get("pageInfo") or {}
    return str(info["endCursor"]) if info.get("hasNextPage") else None


def _context(node: Mapping[str, Any]) -> CheckContext:
    required = bool(node["isRequired"])
    if node["__typename"] == "StatusContext":
        state = _STATES.get(node["statusState"], "pending")
        return CheckContext(name=node["context"], state=state, required=required)
    done = node["status"] == "COMPLETED"
    state = "pending" if not done else "success" if node["conclusion"] in _GOOD else "failure"
    app = (node["checkSuite"] or {}).get("app") or {}
    return CheckContext(
        name=node["name"], state=state, app_id=app.get("databaseId"), required=required
    )


_STATES: dict[str, Literal["success", "failure"]] = {
    "SUCCESS": "success",
    "FAILURE": "failure",
    "ERROR": "failure",
}
_GOOD = frozenset({"SUCCESS", "NEUTRAL", "SKIPPED"})
_ALLOWED = {
    "merge": "mergeCommitAllowed",
    "squash": "squashMergeAllowed",
    "rebase": "rebaseMergeAllowed",
}


def _state(
    repository: Mapping[str, Any],
    number: int,
    contexts: Sequence[CheckContext],
    open_threads: int,
) -> PullState:
    pull = repository["pullRequest"]
    reviews = pull["latestOpinionatedReviews"]
    said = [
        (each["state"], (each["author"] or {}).get("login") or "ghost") for each in reviews["nodes"]
    ]
    merge_commit = (pull["mergeCommit"] or {}).get("oid")
    return PullState(
        number=number,
        node_id=pull["id"],
        head_sha=commit_sha(pull["headRefOid"]),
        base_ref=pull["baseRefName"],
        state=pull["state"].lower(),
        merge_commit=commit_sha(merge_commit) if merge_commit else None,
        draft=pull["isDraft"],
        mergeable=pull["mergeable"],
        status=pull["mergeStateStatus"],
        review_decision=pull["reviewDecision"] or "",
        approved_by=tuple(login for state, login in said if state == "APPROVED"),
        changes_requested_by=tuple(login for state, login in said if state == "CHANGES_REQUESTED"),
        code_owners=tuple(
            _reviewer(each["requestedReviewer"] or {})
            for each in pull["reviewRequests"]["nodes"]
            if each["asCodeOwner"]
        ),
        open_threads=open_threads,
        checks=tuple(contexts),
        methods=tuple(each for each in METHODS if repository[_ALLOWED[each]]),
        allows_auto_merge=repository["autoMergeAllowed"],
        auto_merge=pull["autoMergeRequest"] is not None,
        has_queue=pull["isMergeQueueEnabled"],
        queue_entry=(pull["mergeQueueEntry"] or {}).get("state") or "",
        may_bypass=pull["viewerCanMergeAsAdmin"],
        is_complete=not reviews["pageInfo"]["hasNextPage"],
    )


def _reviewer(node: Mapping[str, Any]) -> str:
    return str(node.get("combinedSlug") or node.get("login") or "a code owner")


_COMMITS = (
    "query($owner: String!, $name: String!, $number: Int!, $after: String) {"
    " repository(owner: $owner, name: $name) { pullRequest(number: $number) {"
    " commits(first: 100, after: $after) { pageInfo { hasNextPage endCursor }"
    " nodes { commit { oid signature { isValid } } } } } } }"
)


async def _unsigned(client: RepositoryClient, number: int) -> tuple[CommitSha, ...]:
    """The pull request's commits without a verified signature."""
    found: list[CommitSha] = []
    after: str | None = None
    for _ in range(_MOST_PAGES):
        given = {"owner": client.repo.owner, "name": client.repo.name, "number": number}
        answer = await client.graphql(_COMMITS, {**given, "after": after})
        if answer.get("errors"):
            raise graphql_refusal(client.repo, answer, _NEEDS_TO_READ)
        try:
            page = answer["data"]["repository"]["pullRequest"]["commits"]
            for node in page["nodes"]:
                commit = node["commit"]
                if not (commit["signature"] or {}).get("isValid"):
                    found.append(commit_sha(commit["oid"]))
            after = _more(page)
        except (AttributeError, KeyError, TypeError, ValueError) as malformed:
            raise RetryableError("GitHub's list of commits is malformed.") from malformed
        if after is None:
            break
    return tuple(found)
