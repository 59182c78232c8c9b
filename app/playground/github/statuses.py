"""Commit statuses, the predecessor of check runs.

Outside contract: https://docs.github.com/rest/commits/statuses
"""

from __future__ import annotations

from .api import Answer, ApiEndpoint, Call, limited
from .commits import commit_shape
from .records import CommitStatus
from .refusals import Refusal, invalid_request, validation
from .rules import is_protected
from .shapes import moment, node_id, repository_shape, repository_url, user_shape
from .webhooks import emit
from .world import Json

_STATES = ("error", "failure", "pending", "success")
_MOST = 1000
"""Statuses of one commit and context."""
_DESCRIPTION_LIMIT = 140


def _short_shape(call: Call, status: CommitStatus) -> Json:
    when = moment(status.created_at)
    return {
        "url": f"{repository_url(call.world, call.repository)}/statuses/{status.sha}",
        "avatar_url": f"{call.world.url}/avatars/{status.creator.id}",
        "id": status.id,
        "node_id": node_id("SC", status.id),
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": when,
        "updated_at": when,
    }


def _shape(call: Call, status: CommitStatus) -> Json:
    return _short_shape(call, status) | {"creator": user_shape(call.world, status.creator)}


async def create(call: Call) -> Answer:
    world, repository, sha = call.world, call.repository, call.params["sha"]
    state = call.choice("state", _STATES)
    if state is None:
        raise invalid_request('"state" wasn\'t supplied.')
    if await repository.git.kind(sha) != "commit":
        raise Refusal(422, f"No commit found for SHA: {sha}")
    context = call.value("context", str, "default")
    text = call.optional("description", str)
    limited("Status", "description", text, _DESCRIPTION_LIMIT)
    address = call.optional("target_url", str)
    if address and not address.startswith(("http://", "https://")):
        raise validation("Status", "target_url", "invalid")
    if (
        len([one for one in repository.statuses if (one.sha, one.context) == (sha, context)])
        >= _MOST
    ):
        words = "This SHA and context has reached the maximum number of statuses."
        raise validation("Status", "context", "custom", message=words)
    now = world.clock.now()
    status = CommitStatus(world.new_id(), sha, state, context, text, address, call.user, now)
    repository.statuses.append(status)
    await _announce(call, status)
    return Answer(201, _shape(call, status))


async def _announce(call: Call, status: CommitStatus) -> None:
    world, repository = call.world, call.repository
    url = repository_url(world, repository)
    commit = await repository.git.commit(status.sha)
    heads = await repository.git.refs("refs/heads")
    names = [n.removeprefix("refs/heads/") for n, sha in heads.items() if sha == status.sha]
    payload = _short_shape(call, status)
    del payload["url"], payload["node_id"]
    payload |= {
        "sha": status.sha,
        "name": repository.full_name,
        "commit": commit_shape(world, repository, commit),
        "branches": [
            {
                "name": name,
                "commit": {"sha": status.sha, "url": f"{url}/commits/{status.sha}"},
                "protected": is_protected(repository, name),
            }
            for name in names
        ],
    }
    emit(world, repository, "status", None, call.user, payload)


async def _of_commit(call: Call) -> tuple[str, list[CommitStatus]]:
    sha = await call.repository.git.commit_of(call.params["ref"])
    if sha is None:
        raise Refusal(404, f"No commit found for SHA: {call.params['ref']}")
    return sha, [one for one in reversed(call.repository.statuses) if one.sha == sha]


async def list_statuses(call: Call) -> Answer:
    _, found = await _of_commit(call)
    return call.page(found, lambda one: _shape(call, one))


async def combined(call: Call) -> Answer:
    world, repository = call.world, call.repository
    sha, found = await _of_commit(call)
    latest = list({one.context: one for one in reversed(found)}.values())
    url = f"{repository_url(world, repository)}/commits/{sha}"
    page = call.page(latest, lambda one: _short_shape(call, one), under="statuses")
    page.body |= {
        "state": _combined_state(latest),
        "sha": sha,
        "repository": repository_shape(world, repository),
        "commit_url": url,
        "url": f"{url}/status",
    }
    return page


def _combined_state(latest: list[CommitStatus]) -> str:
    states = {one.state for one in latest}
    if states & {"error", "failure"}:
        return "failure"
    # Without any status it is pending too.
    return "success" if states == {"success"} else "pending"


_REPO = "/repos/{owner}/{repo}"

ENDPOINTS = [
    ApiEndpoint("POST", f"{_REPO}/statuses/{{sha}}", create, "statuses:write", "write"),
    ApiEndpoint("GET", f"{_REPO}/commits/{{ref}}/status", combined, "statuses:read"),
    ApiEndpoint("GET", f"{_REPO}/commits/{{ref}}/statuses", list_statuses, "statuses:read"),
]
