"""Issues: create, read, edit, assign, and their events.

Outside contract: https://docs.github.com/rest/issues
"""

from __future__ import annotations

from urllib.parse import quote

from .accounts import User
from .api import Answer, ApiEndpoint, Call, limited
from .comments import comment_shape
from .conversation import BODY_LIMIT, add_event, announce, close, issue_shape, next_number
from .labels import attach, detach
from .refusals import Refusal, custom, no_permission, not_found, validation
from .shapes import app_shape, moment, node_id, repository_url, user_shape, via_app
from .world import IssueEvent, Json, SimulatedIssue, SimulatedPullRequest

_TITLE_LIMIT = 256
_MOST_ASSIGNEES = 10


# -- endpoints


async def list_issues(call: Call) -> Answer:
    if not call.repository.has_issues:
        raise Refusal(410, "Issues are disabled for this repo")
    wanted = call.query.get("state", "open")
    labels = {name.lower() for name in call.query.get("labels", "").split(",") if name}
    since = call.query.get("since", "")
    found = [
        issue
        for issue in sorted(call.repository.issues.values(), key=lambda one: -one.number)
        if wanted in ("all", issue.state)
        and labels <= {name.lower() for name in issue.label_names}
        and (moment(issue.updated_at) or "") >= since
    ]
    if call.query.get("direction") == "asc":
        found.reverse()
    return call.page(found, lambda one: issue_shape(call.world, call.repository, one, call.accept))


async def get_issue(call: Call) -> Answer:
    return Answer(200, issue_shape(call.world, call.repository, call.issue(), call.accept))


async def create_issue(call: Call) -> Answer:
    world, repository = call.world, call.repository
    if not repository.has_issues:
        raise Refusal(410, "Issues has been disabled in this repository.")
    title, body = _title(call), _body(call)
    now = world.clock.now()
    issue = SimulatedIssue(
        world.new_id(), next_number(repository), title, body, call.user, now, now
    )
    assignees = _assignable(call, call.strings("assignees")) if call.can("triage") else []
    repository.issues[issue.number] = issue
    _announce(call, issue, "opened")
    if call.can("triage"):
        # GitHub silently drops labels from people without triage permission.
        attach(call, issue, call.strings("labels"))
    _assign(call, issue, assignees)
    return Answer(201, issue_shape(world, repository, issue))


async def edit_issue(call: Call) -> Answer:
    issue = call.issue()
    if issue.author is not call.user and not call.can("triage"):
        raise Refusal(403, "Must have admin rights to Repository.")
    changes: Json = {}
    if call.given("title") and (title := _title(call)) != issue.title:
        changes["title"] = {"from": issue.title}
        add_event(
            call.world, issue, "renamed", call.user, rename={"from": issue.title, "to": title}
        )
        issue.title = title
    if call.given("body") and (body := _body(call)) != issue.body:
        changes["body"] = {"from": issue.body or ""}
        call.world.edited(issue, call.user, issue.body or "", body or "")
        issue.body = body
    call.world.touch(issue)
    if changes:
        _announce(call, issue, "edited", changes=changes)
    if call.can("triage"):
        _edit_sets(call, issue)
    state = call.choice("state", ("open", "closed"))
    if state is not None and state != issue.state:
        await set_state(call, issue, state, call.optional("state_reason", str))
    return Answer(200, issue_shape(call.world, call.repository, issue))


def _edit_sets(call: Call, issue: SimulatedIssue) -> None:
    if call.given("labels"):
        names = call.strings("labels")
        kept = {name.lower() for name in names}
        for name in issue.label_names:
            if name.lower() not in kept:
                detach(call, issue, name)
        attach(call, issue, names)
    if call.given("assignees"):
        users = _assignable(call, call.strings("assignees"))
        _unassign(call, issue, [user for user in issue.assignees if user not in users])
        _assign(call, issue, users)


async def set_state(
    call: Call, issue: SimulatedIssue, state: str, reason: str | None = None
) -> None:
    """Close or reopen, with the resulting events."""
    if state == "closed":
        close(call.world, call.repository, issue, call.user, reason)
        return
    if issue.pull and (words := await _no_way_back(call, issue.pull)):
        raise custom("PullRequest", f"state cannot be changed. {words}")
    issue.state, issue.closed_at, issue.closed_by = "open", None, None
    issue.state_reason = None if issue.pull else "reopened"
    add_event(call.world, issue, "reopened", call.user)
    _announce(call, issue, "reopened")


async def _no_way_back(call: Call, pull: SimulatedPullRequest) -> str | None:
    """Why a closed pull request cannot be opened again."""
    source = pull.head_repository
    if pull.merged_at:
        return "The pull request is already merged."
    if source is None:
        return "The repository that submitted this pull request has been deleted."
    if any(other.base == pull.base for _, other in call.repository.open_pulls(pull.head, source)):
        return f"There is already an open pull request for {pull.head}."
    head = await source.git.ref(f"refs/heads/{pull.head}")
    if head is None:
        return f"The {pull.head} branch has been deleted."
    if not await source.git.is_ancestor(pull.head_sha, head):
        return f"The {pull.head} branch was force-pushed or recreated."
    pull.head_sha = head
    return None


async def add_assignees(call: Call) -> Answer:
    issue = call.issue()
    # People who cannot be assigned are silently left out.
    known = [name for name in call.strings("assignees") if _can_be_assigned(call, name)]
    _assign(call, issue, _assignable(call, known))
    return Answer(201, issue_shape(call.world, call.repository, issue))


async def remove_assignees(call: Call) -> Answer:
    issue = call.issue()
    names = {name.lower() for name in call.strings("assignees")}
    _unassign(call, issue, [user for user in issue.assignees if user.login.lower() in names])
    return Answer(200, issue_shape(call.world, call.repository, issue))


def _can_be_assigned(call: Call, name: str) -> bool:
    user = call.world.users.get(name.lower())
    return user is not None and call.repository.is_collaborator(user)


def _assignable(call: Call, names: list[str]) -> list[User]:
    for name in names:
        if not _can_be_assigned(call, name):
            raise validation("Issue", "assignees", "invalid", value=name)
    return [call.world.user(name) for name in names][:_MOST_ASSIGNEES]


def _assign(call: Call, issue: SimulatedIssue, users: list[User]) -> None:
    for user in users:
        if user not in issue.assignees:
            issue.assignees.append(user)
            shape = user_shape(call.world, user)
            add_event(call.world, issue, "assigned", call.user, assignee=shape)
            _announce(call, issue, "assigned", assignee=shape)


def _unassign(call: Call, issue: SimulatedIssue, users: list[User]) -> None:
    for user in users:
        issue.assignees.remove(user)
        shape = user_shape(call.world, user)
        add_event(call.world, issue, "unassigned", call.user, assignee=shape)
        _announce(call, issue, "unassigned", assignee=shape)


def _announce(call: Call, issue: SimulatedIssue, action: str, **more: object) -> None:
    announce(call.world, call.repository, issue, action, call.user, **more)


def _title(call: Call) -> str:
    title = str(call.required("title", str)).strip()
    if not title:
        raise validation("Issue", "title", "missing_field")
    return limited("Issue", "title", title, _TITLE_LIMIT) or ""


def _body(call: Call) -> str | None:
    return limited("Issue", "body", call.optional("body", str), BODY_LIMIT)


def _event_shape(call: Call, issue: SimulatedIssue, event: IssueEvent) -> Json:
    world = call.world
    actor = user_shape(world, event.actor)
    shape = {
        "id": event.id,
        "node_id": node_id("LE", event.id),
        "url": f"{repository_url(world, call.repository)}/issues/events/{event.id}",
        "actor": actor,
        "event": event.event,
        "commit_id": None,
        "commit_url": None,
        "created_at": moment(event.created_at),
        "performed_via_github_app": via_app(world, event.actor),
    }
    if "assignee" in event.more:
        shape["assigner"] = actor
    if event.event in ("closed", "reopened"):
        shape["state_reason"] = issue.state_reason
    return shape | event.more


async def list_events(call: Call) -> Answer:
    issue = call.issue()
    return call.page(issue.events, lambda event: _event_shape(call, issue, event))


async def list_all_events(call: Call) -> Answer:
    world, repository = call.world, call.repository
    found = [(one, event) for one in repository.issues.values() for event in one.events]
    found.sort(key=lambda pair: -pair[1].id)
    return call.page(
        found,
        lambda pair: _event_shape(call, *pair) | {"issue": issue_shape(world, repository, pair[0])},
    )


async def list_timeline(call: Call) -> Answer:
    issue = call.issue()
    rows = [(event.created_at, _event_shape(call, issue, event)) for event in issue.events]
    for comment in issue.comments:
        shape = comment_shape(call.world, call.repository, issue, comment, call.accept)
        actor = {"event": "commented", "actor": shape["user"]}
        rows.append((comment.created_at, shape | actor))
    rows.sort(key=lambda row: row[0])
    return call.page([row for _, row in rows], lambda row: row)


async def get_user(call: Call) -> Answer:
    if call.path == "/user" and call.actor.kind in ("installation", "app"):
        raise no_permission()
    user = call.user if call.path == "/user" else call.world.user(call.params["username"])
    now = moment(call.world.created_at)
    numbers = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
    texts = dict.fromkeys(("company", "location", "email", "hireable", "bio"), None)
    more = {"name": user.name, "blog": "", "created_at": now, "updated_at": now}
    return Answer(200, user_shape(call.world, user) | numbers | texts | more)


async def get_app_by_slug(call: Call) -> Answer:
    if quote(call.params["app_slug"]) != call.world.app.slug:
        raise not_found()
    return Answer(200, app_shape(call.world))


_ISSUE = "/repos/{owner}/{repo}/issues/{issue_number}"
_READ = "issues:read|pull_requests:read"
_WRITE = "issues:write|pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", "/repos/{owner}/{repo}/issues/events", list_all_events, "issues:read"),
    ApiEndpoint("GET", "/repos/{owner}/{repo}/issues", list_issues, "issues:read"),
    ApiEndpoint("POST", "/repos/{owner}/{repo}/issues", create_issue, "issues:write"),
    ApiEndpoint("GET", _ISSUE, get_issue, _READ),
    ApiEndpoint("PATCH", _ISSUE, edit_issue, _WRITE),
    ApiEndpoint("POST", f"{_ISSUE}/assignees", add_assignees, _WRITE, "triage"),
    ApiEndpoint("DELETE", f"{_ISSUE}/assignees", remove_assignees, _WRITE, "triage"),
    ApiEndpoint("GET", f"{_ISSUE}/events", list_events, _READ),
    ApiEndpoint("GET", f"{_ISSUE}/timeline", list_timeline, _READ),
    ApiEndpoint("GET", "/user", get_user, "any"),
    ApiEndpoint("GET", "/users/{username}", get_user, "any"),
    ApiEndpoint("GET", "/apps/{app_slug}", get_app_by_slug, "any"),
]
