"""The shapes of conversations in GraphQL.

Outside contract: https://docs.github.com/graphql/reference/objects
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from . import merge_rules
from .accounts import User
from .api import Call
from .conversation import issue_page
from .git import SimulatedCommit
from .heads import closing_numbers
from .merge_rules import opinions
from .rules import (
    CheckState,
    branch_rules,
    check_states,
    may_bypass,
    mergeable_state,
    merged_tree,
    needs_of,
)
from .shapes import html_url, moment, node_id
from .world import (
    Edit,
    Json,
    Repository,
    ReviewComment,
    ReviewThread,
    SimulatedComment,
    SimulatedIssue,
    SimulatedPullRequest,
    SimulatedReview,
)

_ROLLUP = {"failure": "FAILURE", "pending": "PENDING"}


def payload(mutation: str, given: Json, **fields: Any) -> Json:
    """A mutation's payload."""
    echo = {"clientMutationId": given.get("clientMutationId")}
    return {"__typename": f"{mutation}Payload"} | echo | fields


def connection(kind: str, items: Sequence[Any], shape: Callable[[Any], Json]) -> Any:
    """A field that is a list in pages: `first` or `last` of them, `after` a cursor."""

    def page(arguments: Json) -> Json:
        start = int(arguments.get("after") or 0)
        first, last = arguments.get("first"), arguments.get("last")
        chosen = list(enumerate(items))[start:]
        chosen = chosen[:first] if first is not None else chosen[-(last or 100) :]
        end = chosen[-1][0] + 1 if chosen else start
        info = {
            "__typename": "PageInfo",
            "hasNextPage": end < len(items),
            "hasPreviousPage": bool(chosen) and chosen[0][0] > 0,
            "startCursor": str(chosen[0][0]) if chosen else None,
            "endCursor": str(end) if chosen else None,
        }
        nodes = [shape(item) for _, item in chosen]
        whole = {"totalCount": len(items), "nodes": nodes, "pageInfo": info}
        return {"__typename": f"{kind}Connection"} | whole

    return page


def actor_object(call: Call, user: User | None) -> Json | None:
    """An account."""
    if user is None:
        return None
    login = user.login.removesuffix("[bot]")
    kind, prefix = ("Bot", "BOT") if user.type == "Bot" else ("User", "U")
    return {
        "__typename": kind,
        "id": node_id(prefix, user.id),
        "databaseId": user.id,
        "login": login,
        "url": f"{call.world.url}/{user.login}",
    }


def _edits(call: Call, edits: list[Edit]) -> Json:
    """The versions of a text, with author and time; the first one counts as an edit once there is a
    second.
    """
    last = edits[-1] if edits else None
    return {
        "lastEditedAt": moment(last.edited_at) if last else None,
        "editor": actor_object(call, last.editor) if last else None,
        "includesCreatedEdit": bool(edits),
        "userContentEdits": connection(
            "UserContentEdit", edits[::-1], lambda edit: _edit_object(call, edit)
        ),
    }


def _edit_object(call: Call, edit: Edit) -> Json:
    when = moment(edit.edited_at)
    return {
        "__typename": "UserContentEdit",
        "id": node_id("UCE", edit.id),
        "createdAt": when,
        "editedAt": when,
        "updatedAt": when,
        "deletedAt": None,
        "editor": actor_object(call, edit.editor),
        # Despite its name this is the whole text of the version.
        "diff": edit.text,
    }


def _minimised(thing: SimulatedComment | SimulatedReview) -> Json:
    reason = thing.minimised
    shown_reason = reason.lower().replace("_", "-") if reason else None
    return {"isMinimized": reason is not None, "minimizedReason": shown_reason}


def comment_object(call: Call, issue: SimulatedIssue, comment: SimulatedComment) -> Json:
    """A comment on an issue or pull request."""
    page = issue_page(call.world, call.repository, issue)
    return {
        "__typename": "IssueComment",
        "id": node_id("IC", comment.id),
        "databaseId": comment.id,
        "url": f"{page}#issuecomment-{comment.id}",
        "body": comment.body,
        "author": actor_object(call, comment.author),
        "createdAt": moment(comment.created_at),
        "updatedAt": moment(comment.updated_at),
        **_edits(call, comment.edits),
        **_minimised(comment),
    }


def review_object(call: Call, issue: SimulatedIssue, review: SimulatedReview) -> Json:
    """A review."""
    page = issue_page(call.world, call.repository, issue)
    return {
        "__typename": "PullRequestReview",
        "id": node_id("PRR", review.id),
        "databaseId": review.id,
        "url": f"{page}#pullrequestreview-{review.id}",
        "body": review.body,
        "state": review.state,
        "author": actor_object(call, review.author),
        "submittedAt": moment(review.submitted_at),
        **_edits(call, review.edits),
        **_minimised(review),
    }


def review_comment_object(
    call: Call, issue: SimulatedIssue, thread: ReviewThread, comment: ReviewComment
) -> Json:
    """A comment on lines."""
    page = issue_page(call.world, call.repository, issue)
    return {
        "__typename": "PullRequestReviewComment",
        "id": node_id("PRRC", comment.id),
        "databaseId": comment.id,
        "url": f"{page}#discussion_r{comment.id}",
        "body": comment.body,
        "path": thread.path,
        "line": thread.line,
        "originalLine": thread.original_line,
        "diffHunk": comment.diff_hunk,
        "outdated": thread.outdated,
        "author": actor_object(call, comment.author),
        "createdAt": moment(comment.created_at),
        "updatedAt": moment(comment.updated_at),
        **_edits(call, comment.edits),
        **_minimised(comment),
    }


def thread_object(call: Call, issue: SimulatedIssue, thread: ReviewThread) -> Json:
    """A thread of a review."""
    return {
        "__typename": "PullRequestReviewThread",
        "id": node_id("PRRT", thread.id),
        "isResolved": thread.resolved_by is not None,
        "resolvedBy": actor_object(call, thread.resolved_by),
        "isOutdated": thread.outdated,
        "path": thread.path,
        "line": thread.line,
        "startLine": thread.start,
        "originalLine": thread.original_line,
        "diffSide": thread.side,
        "subjectType": thread.subject.upper(),
        "comments": connection(
            "PullRequestReviewComment",
            thread.comments,
            lambda comment: review_comment_object(call, issue, thread, comment),
        ),
    }


def _conversation(call: Call, issue: SimulatedIssue) -> Json:
    """What issues and pull requests have in common."""
    reason = issue.lock_reason
    return {
        "id": node_id("PR" if issue.pull else "I", issue.id),
        "number": issue.number,
        "title": issue.title,
        "body": issue.body or "",
        "url": issue_page(call.world, call.repository, issue),
        "author": actor_object(call, issue.author),
        "createdAt": moment(issue.created_at),
        "updatedAt": moment(issue.updated_at),
        "closedAt": moment(issue.closed_at),
        "closed": issue.state == "closed",
        "locked": issue.locked,
        "activeLockReason": reason.upper().replace("-", "_").replace(" ", "_") if reason else None,
        "comments": connection(
            "IssueComment", issue.comments, lambda one: comment_object(call, issue, one)
        ),
        **_edits(call, issue.edits),
    }


def issue_object(call: Call, issue: SimulatedIssue) -> Json:
    """An issue."""
    reason = issue.state_reason
    return {
        "__typename": "Issue",
        "databaseId": issue.id,
        "state": issue.state.upper(),
        "stateReason": reason.upper() if reason else None,
        "closedByPullRequestsReferences": lambda arguments: _closing(call, issue, arguments),
        **_conversation(call, issue),
    }


def _closing(call: Call, issue: SimulatedIssue, arguments: Json) -> Json:
    """The pull requests whose text says that they close this issue, open ones unless asked."""
    repository, closed = call.repository, bool(arguments.get("includeClosedPrs"))
    found = [
        (other, pull)
        for other, pull in repository.pulls()
        if pull.base == repository.default_branch
        and issue.number in closing_numbers(other.body or "")
        and (closed or other.state == "open")
    ]
    whole: Json = connection("PullRequest", found, lambda pair: pull_object(call, *pair))(arguments)
    return whole


def pull_object(call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest) -> Json:
    """A pull request; fields that need git are computed only if requested."""
    source = pull.head_repository
    return {
        "__typename": "PullRequest",
        "databaseId": pull.id,
        "state": "MERGED" if pull.merged_at else issue.state.upper(),
        "merged": pull.merged_at is not None,
        "mergedAt": moment(pull.merged_at),
        "isDraft": pull.draft,
        "headRefName": pull.head,
        "headRefOid": pull.head_sha,
        "baseRefName": pull.base,
        "baseRefOid": pull.base_sha,
        "isCrossRepository": source is not call.repository,
        "headRepository": lambda _: repository_object(call, source) if source else None,
        "repository": lambda _: repository_object(call, call.repository),
        "maintainerCanModify": pull.maintainer_can_modify,
        "isInMergeQueue": pull.queued is not None,
        "isMergeQueueEnabled": lambda _: _has_queue(call, pull),
        "mergeQueueEntry": lambda _: _queue_entry(call, pull),
        "mergeCommit": _oid(pull.merge_commit_sha) if pull.merged_at else None,
        "viewerCanMergeAsAdmin": may_bypass(call.world, call.repository, pull.base, call.user),
        "mergeable": lambda _: _mergeable(call, pull),
        "mergeStateStatus": lambda _: _merge_state(call, issue, pull),
        "reviewDecision": lambda _: _decision(call, pull),
        "latestOpinionatedReviews": lambda arguments: _opinions(call, issue, pull, arguments),
        "reviewRequests": lambda arguments: _requests(call, pull, arguments),
        "statusCheckRollup": _rollup(call, pull),
        "autoMergeRequest": _auto_merge(call, pull),
        "reviews": connection(
            "PullRequestReview",
            [one for one in pull.reviews if one.state != "PENDING" or one.author is call.user],
            lambda one: review_object(call, issue, one),
        ),
        "commits": lambda arguments: _commits(call, pull, arguments),
        "timelineItems": lambda arguments: _timeline(issue, arguments),
        "reviewThreads": connection(
            "PullRequestReviewThread", pull.threads, lambda one: thread_object(call, issue, one)
        ),
        **_conversation(call, issue),
    }


_TIMELINE = {"BASE_REF_CHANGED_EVENT": ("base_ref_changed", "BaseRefChangedEvent")}
"""The kinds of events that the playground's timeline has, by the names of their types."""


def _timeline(issue: SimulatedIssue, arguments: Json) -> Json:
    kinds = dict(_TIMELINE[each] for each in arguments["itemTypes"] if each in _TIMELINE)
    items = [one for one in issue.events if one.event in kinds]
    page: Json = connection(
        "PullRequestTimelineItems",
        items,
        lambda one: {"__typename": kinds[one.event], "createdAt": moment(one.created_at)},
    )(arguments)
    return page


async def _commits(call: Call, pull: SimulatedPullRequest, arguments: Json) -> Json:
    git = call.repository.git
    commits = [await git.commit(sha) for sha in await git.range(pull.base_sha, pull.head_sha)]
    page: Json = connection(
        "PullRequestCommit",
        commits,
        lambda one: {"__typename": "PullRequestCommit", "commit": _commit_object(call, one)},
    )(arguments)
    return page


_CO_AUTHOR = re.compile(r"(?im)^co-authored-by:[ \t]*(?P<name>[^<\n]*?)[ \t]*<(?P<email>[^>\n]*)>")


def _commit_object(call: Call, commit: SimulatedCommit) -> Json:
    """A commit; its co-authors are those that its message names."""
    named = [(found["name"], found["email"]) for found in _CO_AUTHOR.finditer(commit.message)]
    authors = list(dict.fromkeys([(commit.author.name, commit.author.email), *named]))
    signature = {
        "__typename": "GpgSignature",
        "isValid": commit.sha in call.repository.signed,
        "wasSignedByGitHub": commit.sha in call.repository.signed,
    }
    return {
        "__typename": "Commit",
        "oid": commit.sha,
        "message": commit.message,
        "signature": signature if commit.signature else None,
        "author": _git_actor(call, commit.author.name, commit.author.email),
        "authors": connection("GitActor", authors, lambda one: _git_actor(call, *one)),
        "committer": _git_actor(call, commit.committer.name, commit.committer.email),
    }


def _git_actor(call: Call, name: str, email: str) -> Json:
    """A person in a commit. Bots and GitHub itself have no account here."""
    people = (one for one in call.world.users.values() if one.type == "User")
    user = next((one for one in people if one.email == email), None)
    return {
        "__typename": "GitActor",
        "name": name,
        "email": email,
        "user": actor_object(call, user),
    }


async def _mergeable(call: Call, pull: SimulatedPullRequest) -> str:
    clean = await merged_tree(call.repository, pull) is not None
    return "MERGEABLE" if clean else "CONFLICTING"


async def _merge_state(call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest) -> str:
    return (await mergeable_state(call.world, call.repository, issue, pull)).upper()


async def _decision(call: Call, pull: SimulatedPullRequest) -> str | None:
    """Null where no review is required."""
    world, repository = call.world, call.repository
    given = {one.state for one in opinions(repository, pull).values()}
    wanted = [one.reviews for one in needs_of(world, repository, pull.base, None) if one.reviews]
    rules = branch_rules(world, repository, pull.base)
    reviews = [pair for pair in rules if pair[1]["type"] == "pull_request"]
    missing = await merge_rules.missing(repository, pull, reviews)
    if "CHANGES_REQUESTED" in given:
        return "CHANGES_REQUESTED"
    approvals = [one for one in opinions(repository, pull).values() if one.state == "APPROVED"]
    if missing or len(approvals) < max(wanted, default=0):
        return "REVIEW_REQUIRED"
    return "APPROVED" if wanted or approvals else None


def _opinions(
    call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest, arguments: Json
) -> Json:
    only = bool(arguments.get("writersOnly"))
    found = list(opinions(call.repository, pull, writers_only=only).values())
    page: Json = connection(
        "PullRequestReview", found, lambda one: review_object(call, issue, one)
    )(arguments)
    return page


async def _requests(call: Call, pull: SimulatedPullRequest, arguments: Json) -> Json:
    """Requested reviews; where code owners must review, GitHub requests theirs by itself."""
    world, repository = call.world, call.repository
    wanted = any(
        (rule.get("parameters") or {}).get("require_code_owner_review")
        for _, rule in branch_rules(world, repository, pull.base)
    )
    owners = await merge_rules.code_owners(repository, pull) if wanted else set()
    reviewed = {one.author for one in pull.reviews if one.state != "PENDING"}
    asked = dict.fromkeys(pull.reviewers, False)
    for login in sorted(owners):
        user = world.users.get(login)
        if user is not None and user not in reviewed:
            asked[user] = True
    page: Json = connection(
        "ReviewRequest",
        list(asked.items()),
        lambda pair: {
            "__typename": "ReviewRequest",
            "asCodeOwner": pair[1],
            "requestedReviewer": actor_object(call, pair[0]),
        },
    )(arguments)
    return page


def _has_queue(call: Call, pull: SimulatedPullRequest) -> bool:
    needs = needs_of(call.world, call.repository, pull.base, None)
    return any(one.queue is not None for one in needs)


def _queue_entry(call: Call, pull: SimulatedPullRequest) -> Json | None:
    entry = pull.queued
    if entry is None:
        return None
    return {
        "__typename": "MergeQueueEntry",
        "id": node_id("MQE", entry.id),
        "enqueuedAt": moment(entry.enqueued_at),
        "state": "AWAITING_CHECKS",
    }


def _oid(sha: str | None) -> Json:
    return {"__typename": "Commit", "oid": sha}


def _rollup(call: Call, pull: SimulatedPullRequest) -> Json | None:
    found = check_states(call.world, call.repository, pull.head_sha)
    states = {one.state for one in found}
    if not states:
        return None
    worst = next((_ROLLUP[state] for state in _ROLLUP if state in states), "SUCCESS")
    contexts = connection("StatusCheckRollupContext", found, lambda one: _context(call, pull, one))
    return {"__typename": "StatusCheckRollup", "state": worst, "contexts": contexts}


def _context(call: Call, pull: SimulatedPullRequest, one: CheckState) -> Json:
    needs = needs_of(call.world, call.repository, pull.base, None)
    required = any(
        check.context == one.context and check.app_id in (None, -1, one.app_id)
        for each in needs
        for check in each.checks
    )
    state = {"failure": "FAILURE", "pending": "PENDING"}.get(one.state, "SUCCESS")
    if one.app_id is None:
        named = {"__typename": "StatusContext", "context": one.context, "state": state}
        return named | {"isRequired": lambda _: required}
    app = {"__typename": "App", "databaseId": one.app_id}
    return {
        "__typename": "CheckRun",
        "name": one.context,
        "status": "IN_PROGRESS" if one.state == "pending" else "COMPLETED",
        "conclusion": None if one.state == "pending" else state,
        "isRequired": lambda _: required,
        "checkSuite": {"__typename": "CheckSuite", "app": app},
    }


def _auto_merge(call: Call, pull: SimulatedPullRequest) -> Json | None:
    order = pull.auto_merge
    if order is None:
        return None
    return {
        "__typename": "AutoMergeRequest",
        "enabledBy": actor_object(call, order.enabled_by),
        "mergeMethod": order.method.upper(),
        "commitHeadline": order.title,
        "commitBody": order.message,
    }


def repository_object(call: Call, repository: Repository) -> Json:
    """A repository."""
    return {
        "__typename": "Repository",
        "id": node_id("R", repository.id),
        "databaseId": repository.id,
        "name": repository.name,
        "nameWithOwner": repository.full_name,
        "url": html_url(call.world, repository),
        "isPrivate": repository.private,
        "isArchived": repository.archived,
        "isFork": repository.parent is not None,
        "autoMergeAllowed": repository.allow_auto_merge,
        "deleteBranchOnMerge": repository.delete_branch_on_merge,
        "mergeCommitAllowed": "merge" in repository.merge_methods,
        "squashMergeAllowed": "squash" in repository.merge_methods,
        "rebaseMergeAllowed": "rebase" in repository.merge_methods,
        "issue": lambda arguments: _by_number(call, repository, arguments, "I"),
        "pullRequest": lambda arguments: _by_number(call, repository, arguments, "PR"),
        "issueOrPullRequest": lambda arguments: _by_number(call, repository, arguments, "I PR"),
    }


def _by_number(call: Call, repository: Repository, arguments: Json, kinds: str) -> Json | None:
    call.found = repository
    issue = repository.issues.get(arguments["number"])
    if issue is None or ("PR" if issue.pull else "I") not in kinds.split():
        return None
    return pull_object(call, issue, issue.pull) if issue.pull else issue_object(call, issue)
