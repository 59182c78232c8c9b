"""GitHub Actions as another App sees them: CI on pushes, its runs, jobs and logs.

Nothing is really run: `RepositoryPayload.ci` says how it ends.
Outside contract: https://docs.github.com/rest/actions/workflow-runs
"""

from __future__ import annotations

from .accounts import User
from .api import Answer, ApiEndpoint, Call
from .checks import (
    announce_run,
    announce_suite,
    head_commit_shape,
    new_suite,
    pulls_of,
    suite_state,
)
from .records import ACTIONS, CheckRun, SimulatedWorkflowRun
from .refusals import Refusal, not_found
from .shapes import html_url, moment, node_id, repository_shape, repository_url, user_shape
from .signed import signed_url
from .webhooks import emit
from .world import Json, Repository, World

_WAITS = "action_required"
_LOG_SECONDS = 60


# -- what happens


async def start_ci(
    world: World, repository: Repository, actor: User, sha: str, branch: str
) -> None:
    """Let the repository's CI answer a push, where it has one."""
    ci = repository.ci
    if ci is None:
        return
    suite = await new_suite(world, repository, sha, branch)
    suite.app = ACTIONS
    now = world.clock.now()
    ci.workflow_id = ci.workflow_id or world.new_id()
    number = len(repository.workflow_runs) + 1
    run = SimulatedWorkflowRun(world.new_id(), number, ci, suite, branch, actor, now, now)
    repository.workflow_runs[run.id] = run
    _announce(world, repository, run, "requested")
    if ci.conclusion == _WAITS:
        _settle(world, repository, run, _WAITS)
        return
    _start_job(world, repository, run)
    if ci.conclusion is not None:
        finish(world, repository, run, ci.conclusion)


def _start_job(world: World, repository: Repository, run: SimulatedWorkflowRun) -> None:
    now = moment(world.clock.now()) or ""
    number = world.new_id()
    page = html_url(world, repository, "actions", "runs", run.id, "job", number)
    run.job = CheckRun(number, run.suite, run.ci.job, "in_progress", None, now, None)
    run.job.details_url = page
    run.suite.runs.append(run.job)
    run.suite.settled = None
    run.status, run.conclusion = "in_progress", None
    announce_run(world, repository, run.job, "created", run.actor)
    _announce(world, repository, run, "in_progress")


def finish(
    world: World, repository: Repository, run: SimulatedWorkflowRun, conclusion: str
) -> None:
    """Finish a running workflow run with this conclusion, and the log of the CI's settings."""
    job, ci = run.job, run.ci
    if job is None or run.status == "completed":
        raise Refusal(409, "This run is not in progress.")
    job.status, job.conclusion = "completed", conclusion
    job.completed_at = moment(world.clock.now())
    job.title, job.summary = ci.title or None, ci.summary or None
    job.annotations = list(ci.annotations)
    run.log = ci.log
    announce_run(world, repository, job, "completed", run.actor)
    _settle(world, repository, run, conclusion)


def _settle(
    world: World, repository: Repository, run: SimulatedWorkflowRun, conclusion: str
) -> None:
    run.status, run.conclusion = "completed", conclusion
    run.updated_at = run.suite.updated_at = world.clock.now()
    if run.job is None:
        run.suite.settled = conclusion
    if suite_state(run.suite)[0] == "completed":
        announce_suite(world, repository, run.suite, "completed", run.actor)
    _announce(world, repository, run, "completed")


def _announce(world: World, repository: Repository, run: SimulatedWorkflowRun, action: str) -> None:
    payload = {
        "workflow_run": _shape(world, repository, run),
        "workflow": _workflow_shape(world, repository, run),
    }
    emit(world, repository, "workflow_run", action, run.actor, payload)


# -- shapes


def _shape(world: World, repository: Repository, run: SimulatedWorkflowRun) -> Json:
    api = repository_url(world, repository)
    url = f"{api}/actions/runs/{run.id}"
    actor = user_shape(world, run.actor)
    short = repository_shape(world, repository)
    links = {
        f"{name}_url": f"{url}/{name}" for name in ("jobs", "logs", "artifacts", "cancel", "rerun")
    }
    return links | {
        "id": run.id,
        "name": run.ci.workflow,
        "node_id": node_id("WFR", run.id),
        "head_branch": run.branch,
        "head_sha": run.suite.head_sha,
        "path": run.path,
        "display_title": run.suite.commit.message.partition("\n")[0],
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": "push",
        "status": run.status,
        "conclusion": run.conclusion,
        "workflow_id": run.ci.workflow_id,
        "check_suite_id": run.suite.id,
        "check_suite_node_id": node_id("CS", run.suite.id),
        "check_suite_url": f"{api}/check-suites/{run.suite.id}",
        "url": url,
        "html_url": html_url(world, repository, "actions", "runs", run.id),
        "pull_requests": pulls_of(world, repository, run.suite.head_sha),
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "run_started_at": moment(run.created_at),
        "actor": actor,
        "triggering_actor": actor,
        "referenced_workflows": [],
        "previous_attempt_url": None,
        "workflow_url": f"{api}/actions/workflows/{run.ci.workflow_id}",
        "head_commit": head_commit_shape(run.suite.commit),
        "repository": short,
        "head_repository": short,
    }


def _workflow_shape(world: World, repository: Repository, run: SimulatedWorkflowRun) -> Json:
    url = f"{repository_url(world, repository)}/actions/workflows/{run.ci.workflow_id}"
    created = moment(repository.created_at)
    return {
        "id": run.ci.workflow_id,
        "node_id": node_id("W", run.ci.workflow_id),
        "name": run.ci.workflow,
        "path": run.path,
        "state": "active",
        "created_at": created,
        "updated_at": created,
        "url": url,
        "html_url": html_url(world, repository, "blob", run.branch, run.path),
        "badge_url": html_url(world, repository, "workflows", run.ci.workflow, "badge.svg"),
    }


def _job_shape(call: Call, run: SimulatedWorkflowRun, job: CheckRun) -> Json:
    api = repository_url(call.world, call.repository)
    step = {"name": f"Run {run.ci.job}", "number": 1, "status": job.status}
    times = {"started_at": job.started_at, "completed_at": job.completed_at}
    return times | {
        "id": job.id,
        "run_id": run.id,
        "run_url": f"{api}/actions/runs/{run.id}",
        "run_attempt": run.attempt,
        "node_id": node_id("CR", job.id),
        "head_sha": job.head_sha,
        "head_branch": run.branch,
        "workflow_name": run.ci.workflow,
        "url": f"{api}/actions/jobs/{job.id}",
        "html_url": job.details_url,
        "status": job.status,
        "conclusion": job.conclusion,
        "created_at": moment(run.created_at),
        "name": job.name,
        "steps": [step | times | {"conclusion": job.conclusion}],
        "check_run_url": f"{api}/check-runs/{job.id}",
        "labels": ["ubuntu-latest"],
        "runner_id": 1,
        "runner_name": "GitHub Actions 1",
        "runner_group_id": 0,
        "runner_group_name": "GitHub Actions",
    }


# -- endpoints


async def list_runs(call: Call) -> Answer:
    wanted, query = call.query.get, call.query
    state = wanted("status")
    found = [
        run
        for run in sorted(call.repository.workflow_runs.values(), key=lambda one: -one.id)
        if wanted("head_sha") in (None, run.suite.head_sha)
        and wanted("branch") in (None, run.branch)
        and wanted("check_suite_id") in (None, str(run.suite.id))
        and wanted("actor") in (None, run.actor.login)
        and query.get("event", "push") == "push"
        and state in (None, run.status, run.conclusion)
    ]
    world, repository = call.world, call.repository
    return call.page(found, lambda run: _shape(world, repository, run), under="workflow_runs")


def _run(call: Call) -> SimulatedWorkflowRun:
    run = call.repository.workflow_runs.get(call.number("run_id"))
    if run is None:
        raise not_found()
    return run


def _job(call: Call) -> tuple[SimulatedWorkflowRun, CheckRun]:
    number = call.number("job_id")
    for run in call.repository.workflow_runs.values():
        if run.job is not None and run.job.id == number:
            return run, run.job
    raise not_found()


async def get_run(call: Call) -> Answer:
    return Answer(200, _shape(call.world, call.repository, _run(call)))


async def approve_run(call: Call) -> Answer:
    run = _run(call)
    if run.conclusion != _WAITS:
        raise Refusal(403, "This run is not waiting for approval.")
    _start_job(call.world, call.repository, run)
    return Answer(201, {})


async def list_jobs(call: Call) -> Answer:
    run = _run(call)
    jobs = [] if run.job is None else [run.job]
    return call.page(jobs, lambda job: _job_shape(call, run, job), under="jobs")


async def get_job(call: Call) -> Answer:
    return Answer(200, _job_shape(call, *_job(call)))


async def job_logs(call: Call) -> Answer:
    """Lead to an address that is good for a minute and asks for no token."""
    _, job = _job(call)
    if job.status != "completed":
        raise not_found()
    path = f"/_logs/{call.repository.full_name}/{job.id}.txt"
    expires = call.world.clock.timestamp() + _LOG_SECONDS
    return Answer(302, None, {"Location": call.world.url + signed_url(path, expires)})


def log_of(world: World, full_name: str, job_id: str) -> bytes | None:
    """What a job wrote."""
    repository = world.repositories.get(full_name.lower())
    for run in repository.workflow_runs.values() if repository else ():
        if run.job is not None and str(run.job.id) == job_id:
            return run.log.encode()
    return None


_ACTIONS = "/repos/{owner}/{repo}/actions"
_RUN = f"{_ACTIONS}/runs/{{run_id}}"
_JOB = f"{_ACTIONS}/jobs/{{job_id}}"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_ACTIONS}/runs", list_runs, "actions:read"),
    ApiEndpoint("GET", _RUN, get_run, "actions:read"),
    ApiEndpoint("POST", f"{_RUN}/approve", approve_run, "actions:write", "write"),
    ApiEndpoint("GET", f"{_RUN}/jobs", list_jobs, "actions:read"),
    ApiEndpoint("GET", _JOB, get_job, "actions:read"),
    ApiEndpoint("GET", f"{_JOB}/logs", job_logs, "actions:read"),
]
