"""Deployments and their statuses.

Outside contract: https://docs.github.com/rest/deployments/deployments and
https://docs.github.com/rest/deployments/statuses
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call, limited
from .commits import git_person, web_flow_person, write_commit
from .heads import move_ref
from .records import Deployment, DeploymentStatus
from .refusals import Refusal, invalid_request, not_found, validation
from .rules import check_states, state_of
from .shapes import moment, node_id, repository_url, user_shape, via_app
from .webhooks import emit
from .world import Json, RequiredCheck

_STATES = ("error", "failure", "inactive", "in_progress", "queued", "pending", "success")
_DESCRIPTION_LIMIT = 140


# -- shapes


def _url(call: Call, deployment: Deployment) -> str:
    return f"{repository_url(call.world, call.repository)}/deployments/{deployment.id}"


def _shape(call: Call, deployment: Deployment) -> Json:
    url = _url(call, deployment)
    return {
        "url": url,
        "id": deployment.id,
        "node_id": node_id("DE", deployment.id),
        "sha": deployment.sha,
        "ref": deployment.ref,
        "task": deployment.task,
        "payload": deployment.payload,
        "original_environment": deployment.environment,
        "environment": deployment.environment,
        "description": deployment.description,
        "creator": user_shape(call.world, deployment.creator),
        "created_at": moment(deployment.created_at),
        "updated_at": moment(deployment.updated_at),
        "statuses_url": f"{url}/statuses",
        "repository_url": repository_url(call.world, call.repository),
        "transient_environment": deployment.transient,
        "production_environment": deployment.production,
        "performed_via_github_app": via_app(call.world, deployment.creator),
    }


def _status_shape(call: Call, deployment: Deployment, status: DeploymentStatus) -> Json:
    url = _url(call, deployment)
    when = moment(status.created_at)
    return {
        "url": f"{url}/statuses/{status.id}",
        "id": status.id,
        "node_id": node_id("DES", status.id),
        "state": status.state,
        "creator": user_shape(call.world, status.creator),
        "description": status.description,
        "environment": status.environment,
        "target_url": status.log_url,
        "created_at": when,
        "updated_at": when,
        "deployment_url": url,
        "repository_url": repository_url(call.world, call.repository),
        "environment_url": status.environment_url,
        "log_url": status.log_url,
        "performed_via_github_app": via_app(call.world, status.creator),
    }


# -- deployments


async def create(call: Call) -> Answer:
    world, repository, ref = call.world, call.repository, call.required("ref", str)
    sha = await repository.git.commit_of(ref)
    if sha is None:
        raise Refusal(422, f"No ref found for: {ref}")
    description = call.value("description", str, "")
    limited("Deployment", "description", description, _DESCRIPTION_LIMIT)
    if call.value("auto_merge", bool, True) and await _is_behind(call, sha):
        return await _merge_default(call, ref, sha)
    _check_contexts(call, sha, ref)
    environment = call.value("environment", str, "production")
    now = world.clock.now()
    deployment = Deployment(
        world.new_id(),
        sha,
        ref,
        call.value("task", str, "deploy"),
        environment,
        description,
        call.fields().get("payload") or "",
        call.value("transient_environment", bool, False),
        call.value("production_environment", bool, environment == "production"),
        call.user,
        now,
        now,
    )
    repository.deployments[deployment.id] = deployment
    more = {"deployment": _shape(call, deployment), "workflow": None, "workflow_run": None}
    emit(world, repository, "deployment", "created", call.user, more)
    return Answer(201, _shape(call, deployment))


async def _is_behind(call: Call, sha: str) -> bool:
    git = call.repository.git
    default = await git.ref(f"refs/heads/{call.repository.default_branch}")
    return default is not None and not await git.is_ancestor(default, sha)


async def _merge_default(call: Call, ref: str, sha: str) -> Answer:
    """Merge the default branch into a branch that is behind; the deployment is then not made."""
    repository, git = call.repository, call.repository.git
    name, default = f"refs/heads/{ref}", repository.default_branch
    theirs = await git.ref(f"refs/heads/{default}") or ""
    tree = await git.merged_tree(sha, theirs) if await git.ref(name) == sha else None
    if tree is None:
        raise Refusal(409, f"Conflict merging {default} into {ref}.")
    merged = await write_commit(
        repository,
        tree=tree,
        parents=(sha, theirs),
        message=f"Merge {default} into {ref}",
        author=git_person(call.world, call.user),
        committer=web_flow_person(call.world),
        signed=True,
    )
    await move_ref(call.world, repository, call.user, name, sha, merged)
    return Answer(202, {"message": f"Auto-merged {default} into {ref} on deployment."})


def _check_contexts(call: Call, sha: str, ref: str) -> None:
    """All statuses and check runs of the commit, or the required ones, must pass; none for `[]`."""
    states = check_states(call.world, call.repository, sha)
    wanted = list(dict.fromkeys(one.context for one in states))
    if call.fields().get("required_contexts") is not None:
        wanted = call.strings("required_contexts")
    bad = [name for name in wanted if state_of(states, RequiredCheck(name)) != "success"]
    if bad:
        error = {"resource": "Deployment", "field": "required_contexts", "code": "invalid"}
        contexts = [{"context": name} for name in bad]
        words = f"Conflict: Commit status checks failed for {ref}."
        raise Refusal(409, words, [error | {"contexts": contexts}])


def _find(call: Call) -> Deployment:
    deployment = call.repository.deployments.get(call.number("deployment_id"))
    if deployment is None:
        raise not_found()
    return deployment


async def list_deployments(call: Call) -> Answer:
    wanted = {name: call.query.get(name) for name in ("sha", "ref", "task", "environment")}
    found = [
        deployment
        for deployment in sorted(call.repository.deployments.values(), key=lambda one: -one.id)
        if all(value in (None, "none", getattr(deployment, name)) for name, value in wanted.items())
    ]
    return call.page(found, lambda one: _shape(call, one))


async def get(call: Call) -> Answer:
    return Answer(200, _shape(call, _find(call)))


async def delete(call: Call) -> Answer:
    deployment = _find(call)
    if deployment.active and len(call.repository.deployments) > 1:
        raise Refusal(
            422,
            "We cannot delete an active deployment unless it is the only deployment in a given "
            "repository.",
        )
    del call.repository.deployments[deployment.id]
    return Answer(204)


# -- statuses


async def create_status(call: Call) -> Answer:
    deployment = _find(call)
    state = call.choice("state", _STATES)
    if state is None:
        raise invalid_request('"state" wasn\'t supplied.')
    deployment.environment = call.value("environment", str, deployment.environment)
    status = _add_status(
        call,
        deployment,
        state,
        description=call.value("description", str, ""),
        environment_url=call.value("environment_url", str, ""),
        log_url=call.value("log_url", str, "") or call.value("target_url", str, ""),
    )
    if state == "success" and call.value("auto_inactive", bool, True):
        _retire_others(call, deployment)
    return Answer(201, _status_shape(call, deployment, status))


def _add_status(
    call: Call, deployment: Deployment, state: str, *, description: str = "", **urls: str
) -> DeploymentStatus:
    limited("DeploymentStatus", "description", description, _DESCRIPTION_LIMIT)
    for name, url in urls.items():
        if url and not url.startswith(("http://", "https://")):
            raise validation("DeploymentStatus", name, "custom", message="must use http(s) scheme")
    before = deployment.statuses[-1].environment_url if deployment.statuses else ""
    world, now = call.world, call.world.clock.now()
    environment_url = urls.get("environment_url") or before
    status = DeploymentStatus(
        world.new_id(),
        state,
        call.user,
        description,
        deployment.environment,
        environment_url,
        urls.get("log_url", ""),
        now,
    )
    deployment.statuses.append(status)
    deployment.updated_at = now
    payload = {
        "deployment_status": _status_shape(call, deployment, status),
        "deployment": _shape(call, deployment),
        "check_run": None,
        "workflow_run": None,
    }
    emit(world, call.repository, "deployment_status", "created", call.user, payload)
    return status


def _retire_others(call: Call, deployment: Deployment) -> None:
    """Earlier deployments of the environment end, unless they are transient or of production."""
    for other in list(call.repository.deployments.values()):
        same = other.environment == deployment.environment and other.id < deployment.id
        if same and other.active and not other.transient and not other.production:
            _add_status(call, other, "inactive")


async def list_statuses(call: Call) -> Answer:
    deployment = _find(call)
    newest_first = list(reversed(deployment.statuses))
    return call.page(newest_first, lambda one: _status_shape(call, deployment, one))


async def get_status(call: Call) -> Answer:
    deployment, number = _find(call), call.number("status_id")
    for status in deployment.statuses:
        if status.id == number:
            return Answer(200, _status_shape(call, deployment, status))
    raise not_found()


_ALL = "/repos/{owner}/{repo}/deployments"
_ONE = f"{_ALL}/{{deployment_id}}"
_READ, _WRITE = "deployments:read", "deployments:write"

ENDPOINTS = [
    ApiEndpoint("GET", _ALL, list_deployments, _READ),
    ApiEndpoint("POST", _ALL, create, _WRITE, "write"),
    ApiEndpoint("GET", _ONE, get, _READ),
    ApiEndpoint("DELETE", _ONE, delete, _WRITE, "write"),
    ApiEndpoint("GET", f"{_ONE}/statuses", list_statuses, _READ),
    ApiEndpoint("POST", f"{_ONE}/statuses", create_status, _WRITE, "write"),
    ApiEndpoint("GET", f"{_ONE}/statuses/{{status_id}}", get_status, _READ),
]
