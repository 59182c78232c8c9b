"""Check runs and their suites.

Outside contract: https://docs.github.com/rest/checks/runs
"""

from __future__ import annotations

from datetime import UTC, datetime

from .accounts import User
from .api import Answer, ApiEndpoint, Call
from .git import ZERO, SimulatedCommit
from .records import CheckRun, CheckSuite
from .refusals import Refusal, invalid_request, not_found, validation
from .shapes import (
    app_shape,
    html_url,
    moment,
    node_id,
    repository_shape,
    repository_url,
)
from .webhooks import emit
from .world import Json, Repository, SimulatedIssue, SimulatedPullRequest, World

STATUSES = ("queued", "in_progress", "completed", "waiting", "requested", "pending")
CONCLUSIONS = (
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "success",
    "skipped",
    "timed_out",
)
_LEVELS = ("notice", "warning", "failure")
_MOST_ANNOTATIONS = 50
_MOST_ACTIONS = 3
_ACTION_LIMITS = {"label": 20, "description": 40, "identifier": 20}
_TEXT_LIMIT = 65_535
_ANNOTATION_LIMIT = 64 * 1024
_BAD = ("failure", "cancelled", "timed_out", "action_required")


# -- shapes


def pulls_of(world: World, repository: Repository, sha: str) -> list[Json]:
    """The open pull requests with this head, in the shortest form."""
    return [
        _pull(world, repository, issue, pull)
        for issue, pull in repository.pulls()
        if issue.state == "open" and pull.head_sha == sha
    ]


def _pull(
    world: World, repository: Repository, issue: SimulatedIssue, pull: SimulatedPullRequest
) -> Json:
    url = repository_url(world, repository)
    repo = {"id": repository.id, "url": url, "name": repository.name}
    return {
        "id": pull.id,
        "number": issue.number,
        "url": f"{url}/pulls/{issue.number}",
        "head": {"ref": pull.head, "sha": pull.head_sha, "repo": repo},
        "base": {"ref": pull.base, "sha": pull.base_sha, "repo": repo},
    }


def run_shape(world: World, repository: Repository, run: CheckRun) -> Json:
    """A check run."""
    url = f"{repository_url(world, repository)}/check-runs/{run.id}"
    page = html_url(world, repository, "runs", run.id)
    return {
        "id": run.id,
        "node_id": node_id("CR", run.id),
        "name": run.name,
        "head_sha": run.head_sha,
        "external_id": run.external_id or "",
        "url": url,
        "html_url": page,
        "details_url": run.details_url or page,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": len(run.annotations),
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": {"id": run.suite.id},
        "app": app_shape(world, run.suite.app),
        "pull_requests": pulls_of(world, repository, run.head_sha),
    }


def suite_state(suite: CheckSuite) -> tuple[str, str | None]:
    """Status and conclusion of a suite, from its latest runs."""
    if suite.settled is not None:
        return "completed", suite.settled
    latest = {run.name: run for run in suite.runs}.values()
    if not latest or any(run.status != "completed" for run in latest):
        busy = any(run.status != "queued" for run in latest)
        return ("in_progress" if busy else "queued"), None
    for conclusion in _BAD:
        if any(run.conclusion == conclusion for run in latest):
            return "completed", conclusion
    good = any(run.conclusion == "success" for run in latest)
    return "completed", "success" if good else "neutral"


def suite_shape(world: World, repository: Repository, suite: CheckSuite) -> Json:
    """A check suite, without its commit."""
    status, conclusion = suite_state(suite)
    url = f"{repository_url(world, repository)}/check-suites/{suite.id}"
    return {
        "id": suite.id,
        "node_id": node_id("CS", suite.id),
        "head_branch": suite.head_branch,
        "head_sha": suite.head_sha,
        "status": status,
        "conclusion": conclusion,
        "url": url,
        "before": suite.before,
        "after": suite.head_sha,
        "head_commit": head_commit_shape(suite.commit),
        "pull_requests": pulls_of(world, repository, suite.head_sha),
        "app": app_shape(world, suite.app),
        "created_at": moment(suite.created_at),
        "updated_at": moment(suite.updated_at),
        "latest_check_runs_count": len({run.name for run in suite.runs}),
        "check_runs_url": f"{url}/check-runs",
        "rerequestable": True,
        "runs_rerequestable": True,
    }


def head_commit_shape(commit: SimulatedCommit) -> Json:
    """A commit in the short form that checks and workflow runs carry (`simple-commit`)."""
    people = {
        role: {"name": person.name, "email": person.email}
        for role, person in (("author", commit.author), ("committer", commit.committer))
    }
    when = datetime.fromtimestamp(int(commit.committer.stamp.split()[0]), UTC)
    head: Json = {"id": commit.sha, "tree_id": commit.tree, "message": commit.message}
    return head | {"timestamp": moment(when)} | people


def _suite_with_repository(call: Call, suite: CheckSuite) -> Json:
    shape = suite_shape(call.world, call.repository, suite)
    return shape | {"repository": repository_shape(call.world, call.repository)}


# -- events


def announce_run(
    world: World, repository: Repository, run: CheckRun, action: str, actor: User, **more: object
) -> None:
    """Send `check_run`, which carries its suite."""
    shape = run_shape(world, repository, run)
    shape["check_suite"] = suite_shape(world, repository, run.suite)
    emit(world, repository, "check_run", action, actor, {"check_run": shape} | more)


def announce_suite(
    world: World, repository: Repository, suite: CheckSuite, action: str, actor: User
) -> None:
    """Send `check_suite`."""
    shape = suite_shape(world, repository, suite)
    emit(world, repository, "check_suite", action, actor, {"check_suite": shape})


async def request_suite(
    world: World, repository: Repository, actor: User, sha: str, branch: str, before: str
) -> None:
    """Create the App's suite for a pushed commit and send the event; its sender is the pusher."""
    if not any(_is_ours(suite, sha) for suite in repository.suites.values()):
        suite = await new_suite(world, repository, sha, branch, before)
        announce_suite(world, repository, suite, "requested", actor)


async def new_suite(
    world: World, repository: Repository, sha: str, branch: str | None, before: str = ZERO
) -> CheckSuite:
    """A suite of our App's on a commit."""
    now = world.clock.now()
    commit = await repository.git.commit(sha)
    suite = CheckSuite(world.new_id(), sha, branch, before, now, now, commit)
    repository.suites[suite.id] = suite
    return suite


def _is_ours(suite: CheckSuite, sha: str) -> bool:
    return suite.head_sha == sha and suite.app is None


async def _suite_of(call: Call, sha: str) -> CheckSuite:
    for suite in call.repository.suites.values():
        if _is_ours(suite, sha):
            return suite
    heads = await call.repository.git.refs("refs/heads")
    branch = next((name for name, head in heads.items() if head == sha), None)
    return await new_suite(
        call.world, call.repository, sha, branch.removeprefix("refs/heads/") if branch else None
    )


# -- what may be written


def _only_apps(call: Call) -> None:
    if call.actor.kind != "installation":
        raise Refusal(403, "You must authenticate via a GitHub App.")


def _only_our_own(call: Call, suite: CheckSuite) -> None:
    if call.actor.kind == "installation" and suite.app is not None:
        words = f"Invalid app_id `{call.world.app.app_id}` - check run can only be modified by the "
        raise Refusal(403, words + "GitHub App that created it.")


def _read_output(call: Call, run: CheckRun, needed: tuple[str, ...]) -> None:
    output = call.optional("output", dict)
    if output is None:
        return
    for name in needed:
        if not isinstance(output.get(name), str):
            raise invalid_request(f'"{name}" wasn\'t supplied.')
    for name in ("title", "summary", "text"):
        if output.get(name) is not None:
            _check_length(f"output/{name}", output[name], _TEXT_LIMIT)
            setattr(run, name, output[name])
    annotations = output.get("annotations") or []
    if len(annotations) > _MOST_ANNOTATIONS:
        raise invalid_request(
            f"No more than {_MOST_ANNOTATIONS} items are allowed; {len(annotations)} were supplied."
        )
    for annotation in annotations:
        _check_annotation(annotation)
    run.annotations += annotations


def _check_length(name: str, text: object, limit: int) -> None:
    if not isinstance(text, str):
        raise invalid_request(f"For 'properties/{name}', {text!r} is not a string.")
    if len(text) > limit:
        raise invalid_request(f"Only {limit} characters are allowed; {len(text)} were supplied.")


def _check_annotation(annotation: Json) -> None:
    for name in ("path", "start_line", "end_line", "annotation_level", "message"):
        if annotation.get(name) is None:
            raise invalid_request(f'"{name}" wasn\'t supplied.')
    if annotation["annotation_level"] not in _LEVELS:
        raise invalid_request(f"{annotation['annotation_level']!r} is not a member of the enum.")
    if annotation["end_line"] < annotation["start_line"]:
        raise validation("CheckAnnotation", "end_line", "invalid")
    one_line = annotation["start_line"] == annotation["end_line"]
    if not one_line and ("start_column" in annotation or "end_column" in annotation):
        raise validation("CheckAnnotation", "start_column", "invalid")
    _check_length("message", annotation["message"], _ANNOTATION_LIMIT)


def _read_actions(call: Call, run: CheckRun) -> None:
    if not call.given("actions"):
        return
    actions = call.value("actions", list, [])
    if len(actions) > _MOST_ACTIONS:
        words = f"No more than {_MOST_ACTIONS} items are allowed; {len(actions)} were supplied."
        raise invalid_request(words)
    for action in actions:
        for name, limit in _ACTION_LIMITS.items():
            if not isinstance(action, dict) or action.get(name) is None:
                raise invalid_request(f'"{name}" wasn\'t supplied.')
            _check_length(f"actions/{name}", action[name], limit)
    run.actions = actions


def _read_state(call: Call, run: CheckRun) -> None:
    now = moment(call.world.clock.now()) or ""
    status = call.choice("status", STATUSES)
    conclusion = call.choice("conclusion", CONCLUSIONS)
    if status == "completed" and conclusion is None:
        raise invalid_request('"conclusion" wasn\'t supplied.')
    if conclusion is not None:
        # A conclusion completes the run, whatever status came with it.
        run.status, run.conclusion = "completed", conclusion
        run.completed_at = call.optional("completed_at", str) or now
    elif status is not None:
        run.status, run.conclusion, run.completed_at = status, None, None
    run.started_at = call.optional("started_at", str) or run.started_at or now


def _read_rest(call: Call, run: CheckRun, needed: tuple[str, ...]) -> None:
    run.name = call.optional("name", str) or run.name
    run.external_id = call.optional("external_id", str) or run.external_id
    run.details_url = call.optional("details_url", str) or run.details_url
    if run.details_url and not run.details_url.startswith(("http://", "https://")):
        raise validation("CheckRun", "details_url", "invalid")
    _read_state(call, run)
    _read_actions(call, run)
    _read_output(call, run, needed)


def _run(call: Call) -> CheckRun:
    number = call.number("check_run_id")
    for run in call.repository.check_runs():
        if run.id == number:
            return run
    raise not_found()


def _tell(call: Call, run: CheckRun, action: str) -> None:
    run.suite.updated_at = call.world.clock.now()
    announce_run(call.world, call.repository, run, action, call.user)
    if run.status != "completed":
        return
    if action == "created":
        announce_run(call.world, call.repository, run, "completed", call.user)
    if suite_state(run.suite)[0] == "completed":
        announce_suite(call.world, call.repository, run.suite, "completed", call.user)


# -- endpoints


async def create_run(call: Call) -> Answer:
    _only_apps(call)
    name, sha = call.required("name", str), call.required("head_sha", str)
    if await call.repository.git.kind(sha) != "commit":
        raise Refusal(422, f"No commit found for SHA: {sha}")
    suite = await _suite_of(call, sha)
    run = CheckRun(call.world.new_id(), suite, name, "queued", None, "", None)
    _read_rest(call, run, ("title", "summary"))
    suite.runs.append(run)
    _tell(call, run, "created")
    return Answer(201, run_shape(call.world, call.repository, run))


async def update_run(call: Call) -> Answer:
    _only_apps(call)
    run = _run(call)
    _only_our_own(call, run.suite)
    before = run.status
    _read_rest(call, run, ("summary",))
    if run.status == "completed" and before != "completed":
        _tell(call, run, "completed")
    return Answer(200, run_shape(call.world, call.repository, run))


async def get_run(call: Call) -> Answer:
    return Answer(200, run_shape(call.world, call.repository, _run(call)))


async def list_annotations(call: Call) -> Answer:
    run = _run(call)
    names = ("start_column", "end_column", "title", "raw_details")
    page = html_url(call.world, call.repository, "blob", run.head_sha)

    def shape(annotation: Json) -> Json:
        blank: Json = dict.fromkeys(names)
        return blank | annotation | {"blob_href": f"{page}/{annotation['path']}"}

    return call.page(run.annotations, shape)


async def runs_of_commit(call: Call) -> Answer:
    sha = await call.repository.git.commit_of(call.params["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {call.params['ref']}")
    return _list(call, [run for run in call.repository.check_runs() if run.head_sha == sha])


async def runs_of_suite(call: Call) -> Answer:
    suite = call.repository.suites.get(call.number("check_suite_id"))
    if suite is None:
        raise not_found()
    return _list(call, suite.runs)


def _list(call: Call, runs: list[CheckRun]) -> Answer:
    if call.query.get("filter", "latest") == "latest":
        runs = list({run.name: run for run in runs}.values())
    name, status = call.query.get("check_name"), call.query.get("status")
    found = [
        run
        for run in sorted(runs, key=lambda run: -run.id)
        if name in (None, run.name) and status in (None, run.status)
    ]
    if wanted := call.query.get("app_id"):
        found = [run for run in found if wanted == str(_app_id(call.world, run.suite))]
    return call.page(
        found, lambda run: run_shape(call.world, call.repository, run), under="check_runs"
    )


def _app_id(world: World, suite: CheckSuite) -> int:
    return suite.app.id if suite.app else world.app.app_id


async def suites_of_commit(call: Call) -> Answer:
    sha = await call.repository.git.commit_of(call.params["ref"])
    suites = [suite for suite in call.repository.suites.values() if suite.head_sha == sha]
    if wanted := call.query.get("app_id"):
        suites = [suite for suite in suites if wanted == str(_app_id(call.world, suite))]
    return call.page(suites, lambda one: _suite_with_repository(call, one), under="check_suites")


async def get_suite(call: Call) -> Answer:
    suite = call.repository.suites.get(call.number("check_suite_id"))
    if suite is None:
        raise not_found()
    return Answer(200, _suite_with_repository(call, suite))


async def rerequest_run(call: Call) -> Answer:
    run = _run(call)
    _only_our_own(call, run.suite)
    if run.suite.app is None:
        announce_run(call.world, call.repository, run, "rerequested", call.user)
    return Answer(201, {})


async def rerequest_suite(call: Call) -> Answer:
    suite = call.repository.suites.get(call.number("check_suite_id"))
    if suite is None:
        raise not_found()
    _only_our_own(call, suite)
    if suite.app is None:
        announce_suite(call.world, call.repository, suite, "rerequested", call.user)
    return Answer(201, {})


def press(world: World, repository: Repository, run: CheckRun, identifier: str, who: User) -> None:
    """A person presses a button of a completed run. Refuses with 422 if there is none."""
    buttons = [action["identifier"] for action in run.actions]
    if run.status != "completed" or identifier not in buttons:
        raise validation("CheckRun", "identifier", "invalid")
    action = {"identifier": identifier}
    announce_run(world, repository, run, "requested_action", who, requested_action=action)


_REPO = "/repos/{owner}/{repo}"
_RUN = f"{_REPO}/check-runs/{{check_run_id}}"
_SUITE = f"{_REPO}/check-suites/{{check_suite_id}}"

ENDPOINTS = [
    ApiEndpoint("POST", f"{_REPO}/check-runs", create_run, "checks:write"),
    ApiEndpoint("GET", _RUN, get_run, "checks:read"),
    ApiEndpoint("PATCH", _RUN, update_run, "checks:write"),
    ApiEndpoint("GET", f"{_RUN}/annotations", list_annotations, "checks:read"),
    ApiEndpoint("POST", f"{_RUN}/rerequest", rerequest_run, "checks:write", "write"),
    ApiEndpoint("GET", f"{_REPO}/commits/{{ref}}/check-runs", runs_of_commit, "checks:read"),
    ApiEndpoint("GET", f"{_REPO}/commits/{{ref}}/check-suites", suites_of_commit, "checks:read"),
    ApiEndpoint("GET", _SUITE, get_suite, "checks:read"),
    ApiEndpoint("GET", f"{_SUITE}/check-runs", runs_of_suite, "checks:read"),
    ApiEndpoint("POST", f"{_SUITE}/rerequest", rerequest_suite, "checks:write", "write"),
]
