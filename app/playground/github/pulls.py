"""Pull requests: heads, diffs and mergeability come from the git repository.

Outside contract: https://docs.github.com/rest/pulls
"""

from __future__ import annotations

from . import actions, auto_merge
from .accounts import User
from .api import Answer, ApiEndpoint, Call, limited
from .commits import commit_shape, file_shape
from .conversation import (
    BODY_LIMIT,
    add_event,
    announce,
    full_pull_shape,
    next_number,
    pull_shape,
)
from .forks import find_head
from .heads import measure
from .issues import set_state
from .refusals import Refusal, custom, not_found, validation
from .rules import mergeable_state
from .shapes import user_shape
from .world import Json, Repository, SimulatedIssue, SimulatedPullRequest

_TITLE_LIMIT = 256
_MOST_DIFF_LINES = 20_000


def find_pull(call: Call) -> tuple[SimulatedIssue, SimulatedPullRequest]:
    """The pull request of the path. Refuses with 404."""
    issue = call.repository.issue(call.number("pull_number"))
    if issue.pull is None:
        raise not_found()
    return issue, issue.pull


async def _shape(call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest) -> Json:
    """The whole shape, with mergeability from git and the rules."""
    shape = full_pull_shape(call.world, call.repository, issue, pull)
    if issue.state == "open":
        state = await mergeable_state(call.world, call.repository, issue, pull)
        clean = state != "dirty"
        shape |= {"mergeable": clean, "rebaseable": clean, "mergeable_state": state}
    return shape


# -- list, read, create, edit


async def list_pulls(call: Call) -> Answer:
    state = call.query.get("state", "open")
    head, base = call.query.get("head"), call.query.get("base")
    found = [
        (issue, pull)
        for issue, pull in call.repository.pulls()
        if state in ("all", issue.state)
        # GitHub ignores a head without an owner.
        and (not head or ":" not in head or head.lower() == _label(pull).lower())
        and base in (None, pull.base)
    ]
    found.sort(key=lambda pair: pair[0].number, reverse=call.query.get("direction") != "asc")
    return call.page(found, lambda pair: pull_shape(call.world, call.repository, *pair))


def _label(pull: SimulatedPullRequest) -> str:
    return f"{pull.head_owner.login if pull.head_owner else 'unknown'}:{pull.head}"


async def get_pull(call: Call) -> Answer:
    if "diff" in call.accept:
        return await _diff(call)
    return Answer(200, await _shape(call, *find_pull(call)))


async def _diff(call: Call) -> Answer:
    _, pull = find_pull(call)
    git = call.repository.git
    start = await git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    text = (await git.run("diff", "-M", start, pull.head_sha)).out
    if text.count(b"\n") > _MOST_DIFF_LINES:
        words = f"Sorry, the diff exceeded the maximum number of lines ({_MOST_DIFF_LINES})"
        raise Refusal(406, words)
    return Answer(200, text, {"Content-Type": "application/vnd.github.diff; charset=utf-8"})


async def create_pull(call: Call) -> Answer:
    world, repository = call.world, call.repository
    title, body = (
        _title(call),
        limited("PullRequest", "body", call.optional("body", str), BODY_LIMIT),
    )
    pull = await _new_pull(call)
    now = world.clock.now()
    issue = SimulatedIssue(
        world.new_id(), next_number(repository), title, body, call.user, now, now
    )
    issue.pull = pull
    repository.issues[issue.number] = issue
    await measure(repository, issue, pull)
    announce(world, repository, issue, "opened", call.user)
    await actions.start_pull_ci(world, repository, pull, call.user)
    return Answer(201, await _shape(call, issue, pull))


async def _new_pull(call: Call) -> SimulatedPullRequest:
    git = call.repository.git
    source, head = find_head(call, call.required("head", str))
    base = call.required("base", str)
    base_sha = await git.ref(f"refs/heads/{base}")
    if base_sha is None:
        raise validation("PullRequest", "base", "invalid")
    head_sha = await source.git.ref(f"refs/heads/{head}")
    if head_sha is None:
        raise validation("PullRequest", "head", "invalid")
    if any(pull.base == base for _, pull in call.repository.open_pulls(head, source)):
        owner = source.owner.login
        raise custom("PullRequest", f"A pull request already exists for {owner}:{head}.")
    if source is not call.repository:
        await git.fetch(source.git.path, head_sha)
    if not await git.count(base_sha, head_sha):
        raise custom("PullRequest", f"No commits between {base} and {head}")
    draft = call.value("draft", bool, False)
    if draft and not call.repository.drafts_allowed:
        raise Refusal(422, "Draft pull requests are not supported in this repository.")
    pull = SimulatedPullRequest(call.world.new_id(), head, base, head_sha, base_sha, draft)
    pull.head_repository, pull.head_owner = source, source.owner
    pull.maintainer_can_modify = _invites(call, source)
    return pull


def _invites(call: Call, source: Repository) -> bool:
    """Whether maintainers may push to the head: only into a fork, which offers it by default."""
    wanted = call.value("maintainer_can_modify", bool, True)
    if source is call.repository or not wanted:
        return False
    if call.given("maintainer_can_modify") and source.owner is not call.user:
        words = "Fork collab can't be granted by someone without permission"
        raise custom("PullRequest", words)
    return source.owner is call.user


async def edit_pull(call: Call) -> Answer:
    issue, pull = find_pull(call)
    if issue.author is not call.user and not call.can("write"):
        raise Refusal(403, "Must have admin rights to Repository.")
    changes: Json = {}
    if call.given("title") and (title := _title(call)) != issue.title:
        changes["title"], issue.title = {"from": issue.title}, title
    if call.given("body"):
        body = limited("PullRequest", "body", call.optional("body", str), BODY_LIMIT)
        if body != issue.body:
            call.world.edited(issue, call.user, issue.body or "", body or "")
            changes["body"], issue.body = {"from": issue.body or ""}, body
    if (base := call.optional("base", str)) and base != pull.base:
        changes["base"] = {"ref": {"from": pull.base}, "sha": {"from": pull.base_sha}}
        add_event(call.world, issue, "base_ref_changed", call.user)
        await _change_base(call, pull, base)
        reason = "Base branch was changed"
        auto_merge.disable(call.world, call.repository, issue, pull, call.user, reason)
        await measure(call.repository, issue, pull)
    if call.given("maintainer_can_modify") and pull.head_repository is not call.repository:
        pull.maintainer_can_modify = call.value("maintainer_can_modify", bool, False)
    if changes:
        call.world.touch(issue)
        announce(call.world, call.repository, issue, "edited", call.user, changes=changes)
    state = call.choice("state", ("open", "closed"))
    if state is not None and state != issue.state:
        await set_state(call, issue, state)
    return Answer(200, await _shape(call, issue, pull))


async def _change_base(call: Call, pull: SimulatedPullRequest, base: str) -> None:
    sha = await call.repository.git.ref(f"refs/heads/{base}")
    if sha is None:
        raise validation("PullRequest", "base", "invalid")
    if not await call.repository.git.count(sha, pull.head_sha):
        raise custom(
            "PullRequest", f"There are no new commits between base branch '{base}' and head"
        )
    pull.base, pull.base_sha = base, sha


def _title(call: Call) -> str:
    title = call.value("title", str, "").strip()
    if not title:
        raise validation("PullRequest", "title", "missing_field")
    return limited("PullRequest", "title", title, _TITLE_LIMIT) or ""


def set_draft(
    call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest, *, draft: bool
) -> None:
    """Mark a draft as ready, or convert back to a draft, with the event."""
    if pull.draft == draft:
        return
    if draft and not call.repository.drafts_allowed:
        raise Refusal(422, "Draft pull requests are not supported in this repository.")
    pull.draft = draft
    action = "converted_to_draft" if draft else "ready_for_review"
    event = "convert_to_draft" if draft else "ready_for_review"
    add_event(call.world, issue, event, call.user)
    announce(call.world, call.repository, issue, action, call.user)


# -- changes


async def list_files(call: Call) -> Answer:
    _, pull = find_pull(call)
    git = call.repository.git
    start = await git.merge_base(pull.base_sha, pull.head_sha) or pull.base_sha
    changes = await git.changes(start, pull.head_sha)
    return call.page(
        changes, lambda one: file_shape(call.world, call.repository, pull.head_sha, one)
    )


async def list_commits(call: Call) -> Answer:
    _, pull = find_pull(call)
    git = call.repository.git
    commits = [await git.commit(sha) for sha in await git.range(pull.base_sha, pull.head_sha)]
    return call.page(commits, lambda one: commit_shape(call.world, call.repository, one))


# -- reviews


async def get_reviewers(call: Call) -> Answer:
    _, pull = find_pull(call)
    users = [user_shape(call.world, user) for user in pull.reviewers]
    return Answer(200, {"users": users, "teams": []})


async def request_reviewers(call: Call) -> Answer:
    issue, pull = find_pull(call)
    names = call.strings("reviewers")
    users = [user for name in names if (user := call.world.users.get(name.lower()))]
    if any(user is issue.author for user in users):
        raise Refusal(422, "Review cannot be requested from pull request author.")
    strangers = [user for user in users if not call.repository.is_collaborator(user)]
    if strangers or len(users) < len(names):
        raise Refusal(
            422,
            "Reviews may only be requested from collaborators. One or more of the users or teams "
            f"you specified is not a collaborator of the {call.repository.full_name} repository.",
        )
    for user in users:
        _ask_for_review(call, issue, pull, user)
    return Answer(201, pull_shape(call.world, call.repository, issue, pull))


def _ask_for_review(
    call: Call, issue: SimulatedIssue, pull: SimulatedPullRequest, user: User
) -> None:
    if user in pull.reviewers:
        return
    pull.reviewers.append(user)
    shape = user_shape(call.world, user)
    requester = user_shape(call.world, call.user)
    more = {"requested_reviewer": shape, "review_requester": requester}
    add_event(call.world, issue, "review_requested", call.user, **more)
    action = "review_requested"
    announce(call.world, call.repository, issue, action, call.user, requested_reviewer=shape)


async def remove_reviewers(call: Call) -> Answer:
    issue, pull = find_pull(call)
    names = {name.lower() for name in call.strings("reviewers")}
    for user in [one for one in pull.reviewers if one.login.lower() in names]:
        pull.reviewers.remove(user)
        shape = user_shape(call.world, user)
        requester = user_shape(call.world, call.user)
        more = {"requested_reviewer": shape, "review_requester": requester}
        add_event(call.world, issue, "review_request_removed", call.user, **more)
        action = "review_request_removed"
        announce(call.world, call.repository, issue, action, call.user, requested_reviewer=shape)
    return Answer(200, pull_shape(call.world, call.repository, issue, pull))


_PULLS = "/repos/{owner}/{repo}/pulls"
_PULL = f"{_PULLS}/{{pull_number}}"
_READ, _WRITE = "pull_requests:read", "pull_requests:write"

ENDPOINTS = [
    ApiEndpoint("GET", _PULLS, list_pulls, _READ),
    ApiEndpoint("POST", _PULLS, create_pull, _WRITE),
    ApiEndpoint("GET", _PULL, get_pull, _READ),
    ApiEndpoint("PATCH", _PULL, edit_pull, _WRITE),
    ApiEndpoint("GET", f"{_PULL}/files", list_files, _READ),
    ApiEndpoint("GET", f"{_PULL}/commits", list_commits, _READ),
    ApiEndpoint("GET", f"{_PULL}/requested_reviewers", get_reviewers, _READ),
    ApiEndpoint("POST", f"{_PULL}/requested_reviewers", request_reviewers, _WRITE, "write"),
    ApiEndpoint("DELETE", f"{_PULL}/requested_reviewers", remove_reviewers, _WRITE, "write"),
]
