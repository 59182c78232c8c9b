"""Refs and branches.

Outside contract: https://docs.github.com/rest/git/refs and https://docs.github.com/rest/branches
"""

from __future__ import annotations

from urllib.parse import quote

from .api import Answer, ApiEndpoint, Call, has_permission
from .commits import commit_shape
from .git import ZERO
from .heads import move_ref
from .refusals import Refusal, not_found
from .rules import check_move, is_protected
from .shapes import html_url, node_id, repository_url
from .world import Json

_SLASHES = 2


async def _ref_shape(call: Call, name: str, sha: str, kind: str | None = None) -> Json:
    url = f"{repository_url(call.world, call.repository)}/git"
    kind = kind or await call.repository.git.kind(sha)
    return {
        "ref": name,
        "node_id": node_id("REF", name),
        "url": f"{url}/{quote(name)}",
        "object": {"sha": sha, "type": kind, "url": f"{url}/{kind}s/{sha}"},
    }


async def get_ref(call: Call) -> Answer:
    await _not_empty(call)
    name = "refs/" + call.params["ref"].removeprefix("refs/")
    sha = await call.repository.git.ref(name)
    if sha is None:
        raise not_found()
    return Answer(200, await _ref_shape(call, name, sha))


async def matching_refs(call: Call) -> Answer:
    await _not_empty(call)
    prefix = "refs/" + call.params["ref"].removeprefix("refs/")
    refs = await call.repository.git.refs()
    found = [(name, sha) for name, sha in refs.items() if name.startswith(prefix)]
    shapes = [await _ref_shape(call, name, sha) for name, sha in found]
    return call.page(shapes, lambda shape: shape)


async def create_ref(call: Call) -> Answer:
    name, sha = call.required("ref", str), call.required("sha", str)
    git = call.repository.git
    await _not_empty(call)
    if not name.startswith("refs/") or name.count("/") < _SLASHES or not await git.good_name(name):
        raise Refusal(422, "Reference name must start with 'refs/' and have at least two slashes.")
    if await git.kind(sha) is None:
        raise Refusal(422, "Object does not exist")
    if await git.ref(name):
        raise Refusal(422, "Reference already exists")
    if await _in_the_way(call, name):
        raise Refusal(422, "Reference update failed")
    await check_rules(call, name, ZERO, sha)
    await move_ref(call.world, call.repository, call.user, name, ZERO, sha)
    return Answer(201, await _ref_shape(call, name, sha))


async def update_ref(call: Call) -> Answer:
    name, sha = "refs/" + call.params["ref"], call.required("sha", str)
    git = call.repository.git
    old = await git.ref(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if await git.kind(sha) is None:
        raise Refusal(422, "Object does not exist")
    if not call.value("force", bool, False) and not await git.is_ancestor(old, sha):
        raise Refusal(422, "Update is not a fast forward")
    await check_rules(call, name, old, sha)
    if old != sha:
        await move_ref(call.world, call.repository, call.user, name, old, sha)
    return Answer(200, await _ref_shape(call, name, sha))


async def delete_ref(call: Call) -> Answer:
    name = "refs/" + call.params["ref"]
    old = await call.repository.git.ref(name)
    if old is None:
        raise Refusal(422, "Reference does not exist")
    if name == f"refs/heads/{call.repository.default_branch}":
        raise Refusal(422, "Cannot delete the default branch")
    await check_rules(call, name, old, ZERO)
    await move_ref(call.world, call.repository, call.user, name, old, ZERO)
    return Answer(204)


async def check_rules(call: Call, name: str, old: str, sha: str) -> None:
    """The same rules that apply to a push through git."""
    if name.startswith("refs/pull/"):
        raise Refusal(422, "Reference cannot be updated")
    if text := call.world.faults.push_refusal(name):
        raise Refusal(422, f"Repository rule violations found\n\n{text}\n\n")
    await check_move(call, name, old, sha)
    installation = call.actor.kind == "installation"
    if sha == ZERO or not installation or has_permission(call.actor, "workflows:write"):
        return
    workflow = await call.repository.git.new_workflow(sha)
    if workflow:
        raise Refusal(
            403,
            f"refusing to allow a GitHub App to create or update workflow `{workflow}` "
            "without `workflows` permission",
        )


async def _in_the_way(call: Call, name: str) -> bool:
    """Whether a part of the name is a ref, or the name is a part of one: git keeps them as files
    and directories.
    """
    refs = await call.repository.git.refs()
    return any(name.startswith(f"{each}/") or each.startswith(f"{name}/") for each in refs)


async def _not_empty(call: Call) -> None:
    if await call.repository.git.is_empty():
        raise Refusal(409, "Git Repository is empty.")


# -- branches


async def list_branches(call: Call) -> Answer:
    url = repository_url(call.world, call.repository)

    def shape(pair: tuple[str, str]) -> Json:
        name, sha = pair
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{url}/commits/{sha}"},
            "protected": is_protected(call.repository, name),
        }

    heads = await call.repository.git.refs("refs/heads")
    return call.page([(n.removeprefix("refs/heads/"), sha) for n, sha in heads.items()], shape)


async def get_branch(call: Call) -> Answer:
    name = call.params["branch"]
    sha = await call.repository.git.ref(f"refs/heads/{name}")
    if sha is None:
        raise Refusal(404, "Branch not found")
    commit = await call.repository.git.commit(sha)
    url = f"{repository_url(call.world, call.repository)}/branches/{quote(name, safe='')}"
    page = html_url(call.world, call.repository, "tree", name)
    checks = {"enforcement_level": "off", "contexts": [], "checks": []}
    protected = is_protected(call.repository, name)
    return Answer(
        200,
        {
            "name": name,
            "commit": commit_shape(call.world, call.repository, commit),
            "_links": {"self": url, "html": page},
            "protected": protected,
            "protection": {"enabled": protected, "required_status_checks": checks},
            "protection_url": f"{url}/protection",
        },
    )


_GIT = "/repos/{owner}/{repo}/git"
_BRANCHES = "/repos/{owner}/{repo}/branches"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_GIT}/ref/{{ref}}", get_ref, "contents:read"),
    ApiEndpoint("GET", f"{_GIT}/matching-refs/{{ref}}", matching_refs, "contents:read"),
    ApiEndpoint("POST", f"{_GIT}/refs", create_ref, "contents:write", "write"),
    ApiEndpoint("PATCH", f"{_GIT}/refs/{{ref}}", update_ref, "contents:write", "write"),
    ApiEndpoint("DELETE", f"{_GIT}/refs/{{ref}}", delete_ref, "contents:write", "write"),
    ApiEndpoint("GET", _BRANCHES, list_branches, "contents:read"),
    ApiEndpoint("GET", f"{_BRANCHES}/{{branch}}", get_branch, "contents:read"),
]
