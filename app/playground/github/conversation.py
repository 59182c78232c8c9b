"""The shapes of issues and pull requests, and the events of their changes.

Outside contract: https://docs.github.com/rest/issues and https://docs.github.com/rest/pulls
"""

from __future__ import annotations

from .accounts import User
from .api import Call
from .refusals import Refusal
from .shapes import (
    association,
    body_texts,
    full_repository_shape,
    html_url,
    label_shape,
    moment,
    node_id,
    optional_user,
    repository_url,
    user_shape,
    via_app,
)
from .webhooks import emit
from .world import (
    IssueEvent,
    Json,
    Reaction,
    Repository,
    SimulatedIssue,
    SimulatedPullRequest,
    World,
)

BODY_LIMIT = 65_536
"""Characters of an issue's or comment's body."""
_SHARED = (
    "node_id",
    "number",
    "title",
    "body",
    "user",
    "state",
    "locked",
    "active_lock_reason",
    "labels",
    "assignee",
    "assignees",
    "milestone",
    "created_at",
    "updated_at",
    "closed_at",
    "author_association",
)
"""What a pull request has in common with the issue it also is."""
CONTENTS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes")
"""The possible reactions."""


def reactions_shape(url: str, reactions: list[Reaction]) -> Json:
    """How often each reaction was given."""
    counts = {one: sum(r.content == one for r in reactions) for one in CONTENTS}
    return {"url": f"{url}/reactions", "total_count": len(reactions)} | counts


def issue_shape(
    world: World, repository: Repository, issue: SimulatedIssue, accept: str = ""
) -> Json:
    """An issue, or a pull request seen as one."""
    url = f"{repository_url(world, repository)}/issues/{issue.number}"
    assignees = [user_shape(world, user) for user in issue.assignees]
    shape = {
        "id": issue.id,
        "node_id": node_id("PR" if issue.pull else "I", issue.id),
        "number": issue.number,
        "title": issue.title,
        "user": user_shape(world, issue.author),
        "state": issue.state,
        "state_reason": issue.state_reason,
        "locked": issue.locked,
        "active_lock_reason": issue.lock_reason,
        "labels": [label_shape(world, repository, label) for label in issue.labels],
        "assignee": assignees[0] if assignees else None,
        "assignees": assignees,
        "milestone": None,
        "comments": len(issue.comments),
        "created_at": moment(issue.created_at),
        "updated_at": moment(issue.updated_at),
        "closed_at": moment(issue.closed_at),
        "closed_by": optional_user(world, issue.closed_by),
        "author_association": association(repository, issue.author),
        "performed_via_github_app": via_app(world, issue.author),
        "reactions": reactions_shape(url, issue.reactions),
        "url": url,
        "repository_url": repository_url(world, repository),
        "labels_url": f"{url}/labels{{/name}}",
        "comments_url": f"{url}/comments",
        "events_url": f"{url}/events",
        "timeline_url": f"{url}/timeline",
        "html_url": issue_page(world, repository, issue),
    }
    if issue.pull:
        shape["draft"] = issue.pull.draft
        shape["pull_request"] = _pull_links(world, repository, issue)
    return shape | body_texts(issue.body, accept)


def issue_page(world: World, repository: Repository, issue: SimulatedIssue) -> str:
    """The page of an issue or a pull request."""
    return html_url(world, repository, "pull" if issue.pull else "issues", issue.number)


def _pull_links(world: World, repository: Repository, issue: SimulatedIssue) -> Json:
    page = issue_page(world, repository, issue)
    merged = issue.pull.merged_at if issue.pull else None
    return {
        "url": f"{repository_url(world, repository)}/pulls/{issue.number}",
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "merged_at": moment(merged),
    }


def pull_shape(
    world: World, repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> Json:
    """A pull request in short (`pull-request-simple`)."""
    page = issue_page(world, repository, issue)
    api = repository_url(world, repository)
    url = f"{api}/pulls/{issue.number}"
    seen_as_issue = issue_shape(world, repository, issue)
    links = {
        "issue_url": f"{api}/issues/{issue.number}",
        "comments_url": f"{api}/issues/{issue.number}/comments",
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{api}/pulls/comments{{/number}}",
        "statuses_url": f"{api}/statuses/{pull.head_sha}",
    }
    hrefs = {
        "self": url,
        "html": page,
        "issue": links["issue_url"],
        "comments": links["comments_url"],
    }
    hrefs |= {"review_comments": links["review_comments_url"], "commits": links["commits_url"]}
    hrefs |= {"review_comment": links["review_comment_url"], "statuses": links["statuses_url"]}
    return {
        **{name: seen_as_issue[name] for name in _SHARED},
        **links,
        "url": url,
        "id": pull.id,
        "html_url": page,
        "diff_url": f"{page}.diff",
        "patch_url": f"{page}.patch",
        "merged_at": moment(pull.merged_at),
        "merge_commit_sha": pull.merge_commit_sha,
        "requested_reviewers": [user_shape(world, user) for user in pull.reviewers],
        "requested_teams": [],
        "draft": pull.draft,
        "auto_merge": _auto_merge(world, pull),
        "head": _end(world, pull.head_repository, pull.head_owner, pull.head, pull.head_sha),
        "base": _end(world, repository, repository.owner, pull.base, pull.base_sha),
        "_links": {name: {"href": href} for name, href in hrefs.items()},
    }


def _end(
    world: World, repository: Repository | None, owner: User | None, branch: str, sha: str
) -> Json:
    return {
        "label": f"{owner.login if owner else 'unknown'}:{branch}",
        "ref": branch,
        "sha": sha,
        "user": optional_user(world, owner),
        "repo": full_repository_shape(world, repository) if repository else None,
    }


def _auto_merge(world: World, pull: SimulatedPullRequest) -> Json | None:
    order = pull.auto_merge
    if order is None:
        return None
    return {
        "enabled_by": user_shape(world, order.enabled_by),
        "merge_method": order.method,
        "commit_title": order.title or "",
        "commit_message": order.message or "",
    }


def full_pull_shape(
    world: World, repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> Json:
    """A pull request (`pull-request`); whether it can be merged is for the caller to find out."""
    return pull_shape(world, repository, issue, pull) | {
        "merged": pull.merged_at is not None,
        "merged_by": optional_user(world, pull.merged_by),
        "mergeable": None,
        "rebaseable": None,
        "mergeable_state": "unknown",
        "maintainer_can_modify": pull.maintainer_can_modify,
        "comments": len(issue.comments),
        "review_comments": len(pull.review_comments),
        "commits": pull.size.commits,
        "additions": pull.size.additions,
        "deletions": pull.size.deletions,
        "changed_files": pull.size.changed_files,
    }


def announce(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    action: str,
    actor: User,
    **more: object,
) -> None:
    """Send the event of a change: `pull_request` for a pull request, `issues` for an issue."""
    if issue.pull is None:
        payload: Json = {"issue": issue_shape(world, repository, issue)}
        emit(world, repository, "issues", action, actor, payload | more)
        return
    shape = full_pull_shape(world, repository, issue, issue.pull)
    payload = {"number": issue.number, "pull_request": shape}
    emit(world, repository, "pull_request", action, actor, payload | more)


def close(
    world: World,
    repository: Repository,
    issue: SimulatedIssue,
    actor: User,
    reason: str | None = None,
) -> None:
    """Close an issue or a pull request, with the event that this brings."""
    issue.state = "closed"
    issue.state_reason = None if issue.pull else (reason or "completed")
    issue.closed_at, issue.closed_by = world.clock.now(), actor
    if issue.pull:
        issue.pull.auto_merge = None
    add_event(world, issue, "closed", actor)
    announce(world, repository, issue, "closed", actor)


def add_event(world: World, issue: SimulatedIssue, event: str, actor: User, **more: object) -> None:
    """Write a line of the timeline, which also counts as a change of the issue."""
    now = world.clock.now()
    issue.events.append(IssueEvent(world.new_id(), event, actor, now, dict(more)))
    issue.updated_at = now


def may_write(call: Call, issue: SimulatedIssue) -> None:
    """Refuse comments on a locked conversation by people without write access."""
    if issue.locked and not call.can("write"):
        raise Refusal(403, "Unable to create comment because issue is locked.")


def next_number(repository: Repository) -> int:
    """Issues and pull requests are counted together."""
    return max([*repository.issues, *repository.gone], default=0) + 1
