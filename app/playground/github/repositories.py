"""Repositories: settings, permissions, history.

Outside contract: https://docs.github.com/rest/repos and https://docs.github.com/rest/collaborators
"""

from __future__ import annotations

from .accounts import User
from .api import Answer, ApiEndpoint, Call
from .commits import commit_shape, file_shape
from .conversation import pull_shape
from .refusals import Refusal, custom, not_found
from .shapes import full_repository_shape, html_url, repository_url, user_shape
from .webhooks import emit
from .world import LEVELS, Json, Repository, World

_FOLDED = {"maintain": "write", "triage": "read"}
"""Levels that the old `permission` field does not know."""
_FLAGS = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain"}
_MOST_FILES = 300


def _flags(level: str) -> dict[str, bool]:
    rank = LEVELS.index(level)
    wanted = _FLAGS | {"admin": "admin"}
    return {name: rank >= LEVELS.index(needed) for name, needed in wanted.items()}


def permission_shape(world: World, repository: Repository, user: User) -> Json:
    """What a person may do (`repository-collaborator-permission`)."""
    level = repository.level(user)
    role = repository.role_names.get(user.login.lower(), "" if level == "none" else level)
    more = {"permissions": _flags(level), "role_name": role}
    return {
        "permission": _FOLDED.get(level, level),
        "role_name": role,
        "user": user_shape(world, user) | more,
    }


async def get_repository(call: Call) -> Answer:
    shape = full_repository_shape(call.world, call.repository)
    if call.repository.parent is not None:
        parent = full_repository_shape(call.world, call.repository.parent)
        shape |= {"parent": parent, "source": parent}
    if call.actor.kind == "person":
        shape["permissions"] = _flags(call.repository.level(call.user))
    return Answer(200, shape)


async def edit_repository(call: Call) -> Answer:
    repository = call.repository
    if (name := call.optional("name", str)) and name != repository.name:
        _rename(call, name)
    _edit_merging(call)
    was_archived = repository.archived
    repository.private = call.value("private", bool, repository.private)
    repository.archived = call.value("archived", bool, repository.archived)
    repository.has_issues = call.value("has_issues", bool, repository.has_issues)
    branch = call.optional("default_branch", str)
    if branch is not None:
        if not await repository.git.ref(f"refs/heads/{branch}"):
            words = f"The branch {branch} was not found. Please push that ref first."
            raise Refusal(422, words)
        repository.default_branch = branch
        await repository.git.run("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    if repository.archived != was_archived:
        action = "archived" if repository.archived else "unarchived"
        emit(call.world, repository, "repository", action, call.user, {})
    return await get_repository(call)


def _rename(call: Call, name: str) -> None:
    """Give the repository another name."""
    old = call.repository.name
    _move(call, call.repository.owner, name)
    changes = {"repository": {"name": {"from": old}}}
    emit(call.world, call.repository, "repository", "renamed", call.user, {"changes": changes})


async def transfer_repository(call: Call) -> Answer:
    """Transfer the repository to another account immediately, as to an organization of the
    sender's.
    """
    old = call.repository.owner
    name = call.optional("new_name", str) or call.repository.name
    _move(call, call.world.user(call.value("new_owner", str, "")), name)
    changes = {"owner": {"from": {"user": user_shape(call.world, old)}}}
    emit(call.world, call.repository, "repository", "transferred", call.user, {"changes": changes})
    return Answer(202, full_repository_shape(call.world, call.repository))


def _move(call: Call, owner: User, name: str) -> None:
    """Change the repository's URL; the old one redirects until it is reused."""
    world, repository = call.world, call.repository
    new = f"{owner.login}/{name}".lower()
    if new in world.repositories and world.repositories[new] is not repository:
        raise custom("Repository", "name already exists on this account")
    del world.repositories[repository.full_name.lower()]
    world.renamed[repository.full_name.lower()] = repository
    world.renamed.pop(new, None)
    repository.owner, repository.name = owner, name
    world.repositories[new] = repository


def _edit_merging(call: Call) -> None:
    repository = call.repository
    names = {"merge": "merge_commit", "squash": "squash_merge", "rebase": "rebase_merge"}
    for method, name in names.items():
        allowed = call.value(f"allow_{name}", bool, method in repository.merge_methods)
        (repository.merge_methods.add if allowed else repository.merge_methods.discard)(method)
    auto, forking = repository.allow_auto_merge, repository.allow_forking
    repository.allow_auto_merge = call.value("allow_auto_merge", bool, auto)
    repository.allow_forking = call.value("allow_forking", bool, forking)
    gone = repository.delete_branch_on_merge
    repository.delete_branch_on_merge = call.value("delete_branch_on_merge", bool, gone)


async def get_permission(call: Call) -> Answer:
    user = call.world.user(call.params["username"])
    if user.type != "User":
        raise Refusal(404, f"{user.login} is not a user")
    return Answer(200, permission_shape(call.world, call.repository, user))


async def is_collaborator(call: Call) -> Answer:
    user = call.world.user(call.params["username"])
    if not call.repository.is_collaborator(user):
        raise not_found()
    return Answer(204)


# -- history


async def get_commit(call: Call) -> Answer:
    git = call.repository.git
    if await git.is_empty():
        raise Refusal(409, "Git Repository is empty.")
    sha = await git.commit_of(call.params["ref"])
    if sha is None:
        raise Refusal(422, f"No commit found for SHA: {call.params['ref']}")
    if "vnd.github.sha" in call.accept:
        return Answer(200, sha.encode(), {"Content-Type": "application/vnd.github.sha"})
    commit = await git.commit(sha)
    shape = commit_shape(call.world, call.repository, commit)
    if commit.parents:
        changes = (await git.changes(commit.parents[0], sha))[:_MOST_FILES]
        shape["files"] = [file_shape(call.world, call.repository, sha, one) for one in changes]
        added = sum(change.additions for change in changes)
        removed = sum(change.deletions for change in changes)
        shape["stats"] = {"additions": added, "deletions": removed, "total": added + removed}
    return Answer(200, shape)


async def pulls_of_commit(call: Call) -> Answer:
    sha, git = call.params["commit_sha"], call.repository.git
    if await git.kind(sha) != "commit":
        raise Refusal(422, f"No commit found for SHA: {sha}")
    found = [
        (issue, pull)
        for issue, pull in call.repository.pulls()
        if sha == pull.merge_commit_sha
        or (
            await git.is_ancestor(sha, pull.head_sha)
            and not await git.is_ancestor(sha, pull.base_sha)
        )
    ]
    return call.page(found, lambda pair: pull_shape(call.world, call.repository, *pair))


async def compare(call: Call) -> Answer:
    world, repository, git = call.world, call.repository, call.repository.git
    base_name, dots, head_name = call.params["basehead"].partition("...")
    base, head = await git.commit_of(base_name), await git.commit_of(head_name)
    if not dots or base is None or head is None:
        raise not_found()
    start = await git.merge_base(base, head)
    if start is None:
        words = f"No common ancestor between {base_name} and {head_name}."
        raise Refusal(404, words)
    shas, behind = await git.range(base, head), await git.count(head, base)
    changes = (await git.changes(start, head))[:_MOST_FILES]
    state = ("diverged" if behind else "ahead") if shas else ("behind" if behind else "identical")
    url = f"{repository_url(world, repository)}/compare/{call.params['basehead']}"
    page = html_url(world, repository, "compare", call.params["basehead"])
    commits = [commit_shape(world, repository, await git.commit(s)) for s in shas]
    listed = call.page(commits, lambda shape: shape) if "per_page" in call.query else None
    return Answer(
        200,
        {
            "url": url,
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "base_commit": commit_shape(world, repository, await git.commit(base)),
            "merge_base_commit": commit_shape(world, repository, await git.commit(start)),
            "status": state,
            "ahead_by": len(shas),
            "behind_by": behind,
            "total_commits": len(shas),
            "commits": listed.body if listed else commits,
            "files": [file_shape(world, repository, head, change) for change in changes],
        },
        listed.headers if listed else {},
    )


_REPO = "/repos/{owner}/{repo}"
_PEOPLE = f"{_REPO}/collaborators/{{username}}"

ENDPOINTS = [
    ApiEndpoint("GET", _REPO, get_repository, "metadata:read"),
    ApiEndpoint("PATCH", _REPO, edit_repository, "administration:write", "admin"),
    ApiEndpoint("POST", f"{_REPO}/transfer", transfer_repository, "administration:write", "admin"),
    ApiEndpoint("GET", f"{_PEOPLE}/permission", get_permission, "metadata:read"),
    ApiEndpoint("GET", _PEOPLE, is_collaborator, "metadata:read"),
    ApiEndpoint(
        "GET", f"{_REPO}/commits/{{commit_sha}}/pulls", pulls_of_commit, "pull_requests:read"
    ),
    ApiEndpoint("GET", f"{_REPO}/commits/{{ref}}", get_commit, "contents:read"),
    ApiEndpoint("GET", f"{_REPO}/compare/{{basehead}}", compare, "contents:read"),
]
