"""Forks, and pull requests from them.

Outside contract: https://docs.github.com/rest/repos/forks
"""

from __future__ import annotations

from .accounts import User
from .api import Answer, ApiEndpoint, Call
from .git import Git
from .refusals import Refusal, validation
from .shapes import full_repository_shape
from .webhooks import emit
from .world import Repository, World


async def make_fork(
    world: World, source: Repository, user: User, name: str = "", *, only_default: bool = False
) -> Repository:
    """Copy a repository to a person's account; return an existing fork if there is one."""
    for fork in world.forks(source):
        if fork.owner is user:
            return fork
    name = name or source.name
    git = Git(world.root / "repositories" / user.login / f"{world.new_id()}.git", world.root)
    await git.create(source.default_branch)
    await git.copy_from(source.git.path, source.default_branch)
    if only_default:
        for ref in await git.refs("refs/heads"):
            if ref != f"refs/heads/{source.default_branch}":
                await git.run("update-ref", "-d", ref)
    fork = Repository(
        world.new_id(), user, name, git, source.default_branch, world.clock.now(), source.private
    )
    fork.parent, fork.installed = source, user.login.lower() in world.installations
    fork.signed = source.signed
    world.repositories[fork.full_name.lower()] = fork
    return fork


def _network(repository: Repository) -> Repository:
    while repository.parent is not None:
        repository = repository.parent
    return repository


def find_head(call: Call, head: str) -> tuple[Repository, str]:
    """The repository and the branch that `owner:branch` or `branch` names. Refuses with 422."""
    owner, colon, branch = head.partition(":")
    name = call.optional("head_repo", str)
    if not colon and name is None:
        return call.repository, head
    for repository in call.world.repositories.values():
        mine = not colon or repository.owner.login.lower() == owner.lower()
        named = name is None or name.lower() in (repository.name, repository.full_name.lower())
        if mine and named and _network(repository) is _network(call.repository):
            return repository, branch if colon else head
    raise validation("PullRequest", "head", "invalid")


def may_push(world: World, user: User, repository: Repository, branch: str) -> bool:
    """Whether a person may push to a branch: with write access, or as a maintainer allowed by a
    fork.
    """
    return repository.allows(user, "write") or branch in open_to(world, user, repository)


def open_to(world: World, user: User, repository: Repository) -> set[str]:
    """The branches of a fork that a person may push to because of a pull request."""
    return {
        pull.head
        for base in world.repositories.values()
        for issue, pull in base.pulls()
        if pull.head_repository is repository
        and base is not repository
        and issue.state == "open"
        and pull.maintainer_can_modify
        and base.allows(user, "write")
    }


def forget(world: World, repository: Repository) -> None:
    """Delete a repository; pull requests from it stay, without their head."""
    del world.repositories[repository.full_name.lower()]
    for other in world.repositories.values():
        if other.parent is repository:
            other.parent = repository.parent
        for _, pull in other.pulls():
            if pull.head_repository is repository:
                pull.head_repository = None


# -- endpoints


async def list_forks(call: Call) -> Answer:
    found = call.world.forks(call.repository)
    return call.page(found[::-1], lambda one: full_repository_shape(call.world, one))


async def create_fork(call: Call) -> Answer:
    if not call.repository.allow_forking:
        raise Refusal(403, "Forking is disabled for this repository.")
    if call.repository.owner is call.user:
        raise Refusal(403, "You cannot fork your own repository to the same account.")
    name = call.value("name", str, "")
    only = call.value("default_branch_only", bool, False)
    fork = await make_fork(call.world, call.repository, call.user, name, only_default=only)
    shape = full_repository_shape(call.world, fork)
    emit(call.world, call.repository, "fork", None, call.user, {"forkee": shape})
    return Answer(202, shape)


async def delete_repository(call: Call) -> Answer:
    emit(call.world, call.repository, "repository", "deleted", call.user, {})
    forget(call.world, call.repository)
    return Answer(204)


_REPO = "/repos/{owner}/{repo}"

ENDPOINTS = [
    ApiEndpoint("GET", f"{_REPO}/forks", list_forks, "metadata:read"),
    ApiEndpoint("POST", f"{_REPO}/forks", create_fork, "administration:write"),
    ApiEndpoint("DELETE", _REPO, delete_repository, "administration:write", "admin"),
]
