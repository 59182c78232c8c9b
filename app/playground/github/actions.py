"""GitHub Actions as another App sees them: a workflow, its runs, jobs, logs and artifacts.

Nothing is really run: `RepositoryPayload.ci` says how it ends and what it uploads. A run of a pull
request works on its head, not on a merge with the base.
Outside contract: https://docs.github.com/rest/actions/workflow-runs and
https://docs.github.com/rest/actions/artifacts
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256

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
from .records import ACTIONS, CheckRun, OtherCi, SimulatedArtifact, SimulatedWorkflowRun
from .refusals import Refusal, not_found
from .shapes import html_url, moment, node_id, repository_shape, repository_url, user_shape
from .signed import signed_url
from .webhooks import emit
from .world import Json, Repository, SimulatedPullRequest, World

_WAITS = "action_required"
_LOG_SECONDS = 60


# -- what happens


async def start_ci(
    world: World,
    repository: Repository,
    actor: User,
    sha: str,
    branch: str,
    *,
    event: str = "push",
    fork_id: int | None = None,
) -> None:
    """Let the repository's CI react to an event, if it does."""
    ci = repository.ci
    if ci is None or ci.state != "active" or event not in ci.on:
        return
    suite = await new_suite(world, repository, sha, branch)
    suite.app = ACTIONS
    now = world.clock.now()
    ci.workflow_id = ci.workflow_id or world.new_id()
    number = len(repository.workflow_runs) + 1
    run = SimulatedWorkflowRun(world.new_id(), number, ci, suite, branch, actor, now, now)
    run.event, run.fork_id = event, fork_id
    repository.workflow_runs[run.id] = run
    _announce(world, repository, run, "requested")
    if ci.conclusion == _WAITS:
        _settle(world, repository, run, _WAITS)
        return
    _start_job(world, repository, run)
    if ci.conclusion is not None:
        finish(world, repository, run, ci.conclusion)


async def start_pull_ci(
    world: World, repository: Repository, pull: SimulatedPullRequest, actor: User
) -> None:
    """Let the repository's CI react to an opened or pushed pull request."""
    head = pull.head_repository
    fork_id = head.id if head is not None and head is not repository else None
    await start_ci(
        world, repository, actor, pull.head_sha, pull.head, event="pull_request", fork_id=fork_id
    )


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
    conclusion = _work(world, run, conclusion)
    job.conclusion = conclusion
    announce_run(world, repository, job, "completed", run.actor)
    _settle(world, repository, run, conclusion)


def _work(world: World, run: SimulatedWorkflowRun, conclusion: str) -> str:
    """Upload the job's artifacts; return its conclusion."""
    if run.ci.works is None:
        return conclusion
    ended, archives = run.ci.works(run)
    for name, content in archives.items():
        digest = f"sha256:{sha256(content).hexdigest()}"
        made = SimulatedArtifact(world.new_id(), name, content, digest, world.clock.now())
        run.artifacts.append(made)
    return ended if conclusion == "success" else conclusion


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
        "workflow": _workflow_shape(world, repository, run.ci),
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
        "path": run.ci.path,
        "display_title": run.suite.commit.message.partition("\n")[0],
        "run_number": run.number,
        "run_attempt": run.attempt,
        "event": run.event,
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
        "head_repository": _head_repository(world, run) or short,
    }


def _head_repository(world: World, run: SimulatedWorkflowRun) -> Json | None:
    found = (one for one in world.repositories.values() if one.id == run.fork_id)
    return next((repository_shape(world, one) for one in found), None)


def _workflow_shape(world: World, repository: Repository, ci: OtherCi) -> Json:
    url = f"{repository_url(world, repository)}/actions/workflows/{ci.workflow_id}"
    created = moment(repository.created_at)
    return {
        "id": ci.workflow_id,
        "node_id": node_id("W", ci.workflow_id),
        "name": ci.workflow,
        "path": ci.path,
        "state": ci.state,
        "created_at": created,
        "updated_at": created,
        "url": url,
        "html_url": html_url(world, repository, "blob", repository.default_branch, ci.path),
        "badge_url": html_url(world, repository, "workflows", ci.workflow, "badge.svg"),
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
    return _listed(call, call.repository.workflow_runs.values())


def _listed(call: Call, runs: Iterable[SimulatedWorkflowRun]) -> Answer:
    wanted = call.query.get
    state = wanted("status")
    found = [
        run
        for run in sorted(runs, key=lambda one: -one.id)
        if wanted("head_sha") in (None, run.suite.head_sha)
        and wanted("branch") in (None, run.branch)
        and wanted("check_suite_id") in (None, str(run.suite.id))
        and wanted("actor") in (None, run.actor.login)
        and wanted("event") in (None, run.event)
        and state in (None, run.status, run.conclusion)
    ]
    world, repository = call.world, call.repository
    return call.page(found, lambda run: _shape(world, repository, run), under="workflow_runs")


def _workflow(call: Call) -> OtherCi:
    """The workflow that the path names by its id or its file."""
    ci, name = call.repository.ci, call.params["workflow_id"]
    if ci is None:
        raise not_found()
    ci.workflow_id = ci.workflow_id or call.world.new_id()
    if name not in (str(ci.workflow_id), ci.path.rpartition("/")[2]):
        raise not_found()
    return ci


async def list_workflows(call: Call) -> Answer:
    ci = call.repository.ci
    if ci is not None:
        ci.workflow_id = ci.workflow_id or call.world.new_id()
    found = [] if ci is None else [ci]
    world, repository = call.world, call.repository
    return call.page(found, lambda ci: _workflow_shape(world, repository, ci), under="workflows")


async def list_runs_of_workflow(call: Call) -> Answer:
    ci = _workflow(call)
    runs = call.repository.workflow_runs.values()
    return _listed(call, [run for run in runs if run.ci.workflow_id == ci.workflow_id])


async def dispatch(call: Call) -> Answer:
    """Start the workflow on a branch. As on GitHub, the answer does not name the run."""
    ci, branch = _workflow(call), call.required("ref", str)
    sha = await call.repository.git.ref(f"refs/heads/{branch.removeprefix('refs/heads/')}")
    if sha is None:
        raise Refusal(422, f"No ref found for: {branch}")
    if ci.state != "active":
        raise Refusal(422, "Cannot trigger a 'workflow_dispatch' on a disabled workflow")
    if "workflow_dispatch" not in ci.on:
        raise Refusal(422, "Workflow does not have 'workflow_dispatch' trigger")
    await start_ci(call.world, call.repository, call.user, sha, branch, event="workflow_dispatch")
    return Answer(204, None)


def _artifact_shape(call: Call, run: SimulatedWorkflowRun, artifact: SimulatedArtifact) -> Json:
    url = f"{repository_url(call.world, call.repository)}/actions/artifacts/{artifact.id}"
    created = moment(artifact.created_at)
    return {
        "id": artifact.id,
        "node_id": node_id("A", artifact.id),
        "name": artifact.name,
        "size_in_bytes": len(artifact.content),
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": artifact.expired,
        "digest": artifact.digest,
        "created_at": created,
        "updated_at": created,
        "expires_at": moment(artifact.created_at + timedelta(days=90)),
        "workflow_run": {
            "id": run.id,
            "repository_id": call.repository.id,
            "head_repository_id": run.fork_id or call.repository.id,
            "head_branch": run.branch,
            "head_sha": run.suite.head_sha,
        },
    }


async def list_artifacts(call: Call) -> Answer:
    run = _run(call)
    return call.page(
        run.artifacts, lambda each: _artifact_shape(call, run, each), under="artifacts"
    )


async def download_artifact(call: Call) -> Answer:
    """Redirect to a URL that is valid for a minute and needs no token."""
    number = call.number("artifact_id")
    found = artifact_of(call.world, call.repository.full_name, str(number))
    if found is None or call.params["archive_format"] != "zip":
        raise not_found()
    if found.expired:
        raise Refusal(410, "Artifact has expired")
    return _lead_to(call, f"/_artifacts/{call.repository.full_name}/{number}.zip")


def artifact_of(world: World, full_name: str, artifact_id: str) -> SimulatedArtifact | None:
    """An artifact of any run of a repository."""
    repository = world.repositories.get(full_name.lower())
    for run in repository.workflow_runs.values() if repository else ():
        for each in run.artifacts:
            if str(each.id) == artifact_id:
                return each
    return None


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
    """Redirect to a URL that is valid for a minute and needs no token."""
    _, job = _job(call)
    if job.status != "completed":
        raise not_found()
    return _lead_to(call, f"/_logs/{call.repository.full_name}/{job.id}.txt")


def _lead_to(call: Call, path: str) -> Answer:
    expires = call.world.clock.timestamp() + _LOG_SECONDS
    return Answer(302, None, {"Location": call.world.url + signed_url(path, expires)})


def log_of(world: World, full_name: str, job_id: str) -> bytes | None:
    """A job's log."""
    repository = world.repositories.get(full_name.lower())
    for run in repository.workflow_runs.values() if repository else ():
        if run.job is not None and str(run.job.id) == job_id:
            return run.log.encode()
    return None


_ACTIONS = "/repos/{owner}/{repo}/actions"
_RUN = f"{_ACTIONS}/runs/{{run_id}}"
_JOB = f"{_ACTIONS}/jobs/{{job_id}}"

_WORKFLOWS = f"{_ACTIONS}/workflows"
_WORKFLOW = f"{_WORKFLOWS}/{{workflow_id}}"
_ZIP = f"{_ACTIONS}/artifacts/{{artifact_id}}/{{archive_format}}"

ENDPOINTS = [
    ApiEndpoint("GET", _WORKFLOWS, list_workflows, "actions:read"),
    ApiEndpoint("GET", f"{_WORKFLOW}/runs", list_runs_of_workflow, "actions:read"),
    ApiEndpoint("POST", f"{_WORKFLOW}/dispatches", dispatch, "actions:write", "write"),
    ApiEndpoint("GET", f"{_RUN}/artifacts", list_artifacts, "actions:read"),
    ApiEndpoint("GET", _ZIP, download_artifact, "actions:read"),
    ApiEndpoint("GET", f"{_ACTIONS}/runs", list_runs, "actions:read"),
    ApiEndpoint("GET", _RUN, get_run, "actions:read"),
    ApiEndpoint("POST", f"{_RUN}/approve", approve_run, "actions:write", "write"),
    ApiEndpoint("GET", f"{_RUN}/jobs", list_jobs, "actions:read"),
    ApiEndpoint("GET", _JOB, get_job, "actions:read"),
    ApiEndpoint("GET", f"{_JOB}/logs", job_logs, "actions:read"),
]
