"""Installations of the App: suspension, permissions, repositories.

Outside contract: https://docs.github.com/rest/apps/apps and
https://docs.github.com/webhooks/webhook-events-and-payloads#installation
"""

from __future__ import annotations

from .accounts import SimulatedInstallation, User
from .api import Answer, ApiEndpoint, Call, sees
from .auth import find_installation
from .refusals import Refusal, not_found
from .shapes import full_repository_shape, installation_shape, node_id, user_shape
from .world import Json, Repository, World


def repositories_of(world: World, installation: SimulatedInstallation) -> list[Repository]:
    """The repositories that an installation covers."""
    return [
        one for one in world.repositories.values() if world.installation_of(one) is installation
    ]


# -- what people do


def install(world: World, account: User, sender: User) -> SimulatedInstallation:
    """Install the App on an account, with all requested permissions on all its repositories."""
    known = world.installations.get(account.login.lower())
    if known is not None:
        return known
    made = SimulatedInstallation(world.new_id(), account, world.clock.now())
    made.permissions = dict(world.app.permissions)
    world.installations[account.login.lower()] = made
    for repository in world.repositories.values():
        if repository.owner is account:
            repository.installed = True
    _announce(world, made, "created", sender, requester=None)
    return made


def uninstall(world: World, installation: SimulatedInstallation, sender: User) -> None:
    """Uninstall the App: its tokens become invalid."""
    _announce(world, installation, "deleted", sender)
    del world.installations[installation.account.login.lower()]
    for token in list(world.tokens.values()):
        if token.installation is installation:
            del world.tokens[token.text]


def suspend(world: World, installation: SimulatedInstallation, sender: User) -> None:
    """Suspend the installation; the App gets no events until it is unsuspended."""
    installation.suspended_at, installation.suspended_by = world.clock.now(), sender
    _announce(world, installation, "suspend", sender)


def unsuspend(world: World, installation: SimulatedInstallation, sender: User) -> None:
    """Unsuspend the installation."""
    installation.suspended_at = installation.suspended_by = None
    _announce(world, installation, "unsuspend", sender)


def accept(
    world: World, installation: SimulatedInstallation, permissions: dict[str, str], sender: User
) -> None:
    """Change the granted permissions, also for existing tokens."""
    installation.permissions = dict(permissions)
    _announce(world, installation, "new_permissions_accepted", sender)


def choose(world: World, repository: Repository, sender: User, *, covered: bool) -> None:
    """Add a repository to its owner's installation, or remove it."""
    installation = world.installations.get(repository.owner.login.lower())
    if installation is None:
        raise not_found()
    if repository.installed == covered:
        return
    repository.installed = covered
    shape = [_short_shape(repository)]
    payload: Json = {
        "repository_selection": installation_shape(world, installation)["repository_selection"],
        "repositories_added": shape if covered else [],
        "repositories_removed": [] if covered else shape,
        "requester": None,
    }
    action = "added" if covered else "removed"
    _send(world, installation, "installation_repositories", action, sender, payload)


def _short_shape(repository: Repository) -> Json:
    return {
        "id": repository.id,
        "node_id": node_id("R", repository.id),
        "name": repository.name,
        "full_name": repository.full_name,
        "private": repository.private,
    }


def _announce(
    world: World, installation: SimulatedInstallation, action: str, sender: User, **more: object
) -> None:
    covered = [_short_shape(one) for one in repositories_of(world, installation)]
    payload: Json = {"repositories": covered} | more
    _send(world, installation, "installation", action, sender, payload)


def _send(
    world: World,
    installation: SimulatedInstallation,
    event: str,
    action: str,
    sender: User,
    payload: Json,
) -> None:
    """Send the event to the App, even if it has not subscribed."""
    whole = {"action": action, "installation": installation_shape(world, installation)}
    whole |= payload | {"sender": user_shape(world, sender)}
    world.webhooks.send(event, action, whole, installation.id, None)


# -- endpoints


async def suspend_by_app(call: Call) -> Answer:
    suspend(call.world, find_installation(call), call.user)
    return Answer(204)


async def unsuspend_by_app(call: Call) -> Answer:
    installation = find_installation(call)
    if installation.suspended_by is not call.world.bot:
        # An App may only uninstall itself.
        raise Refusal(403, "This installation was suspended by its account.")
    unsuspend(call.world, installation, call.user)
    return Answer(204)


async def uninstall_by_app(call: Call) -> Answer:
    uninstall(call.world, find_installation(call), call.user)
    return Answer(204)


async def of_person(call: Call) -> Answer:
    _only_people(call)
    found = [one for one in call.world.installations.values() if _visible(call, one)]
    return call.page(found, lambda one: installation_shape(call.world, one), under="installations")


async def repositories_of_person(call: Call) -> Answer:
    _only_people(call)
    found = _visible(call, find_installation(call))
    if not found:
        raise not_found()
    return call.page(found, lambda one: _with_permissions(call, one), under="repositories")


def _only_people(call: Call) -> None:
    token = call.actor.token
    if call.actor.kind == "anonymous":
        raise Refusal(401, "Requires authentication")
    if call.actor.kind != "person" or token is None or not token.via_app:
        words = "You must authenticate with an access token authorized to a GitHub App in order "
        raise Refusal(403, f"{words}to list installations")


def _visible(call: Call, installation: SimulatedInstallation) -> list[Repository]:
    """The repositories of an installation to which the person has explicit access."""
    return [
        one
        for one in repositories_of(call.world, installation)
        if sees(call.world, call.actor, one) and one.is_collaborator(call.user)
    ]


def _with_permissions(call: Call, repository: Repository) -> Json:
    levels = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain"}
    flags = {
        name: repository.allows(call.user, level)
        for name, level in (levels | {"admin": "admin"}).items()
    }
    return full_repository_shape(call.world, repository) | {"permissions": flags}


_INSTALLATION = "/app/installations/{installation_id}"
_PERSON = "/user/installations"

ENDPOINTS = [
    ApiEndpoint("PUT", f"{_INSTALLATION}/suspended", suspend_by_app, "app"),
    ApiEndpoint("DELETE", f"{_INSTALLATION}/suspended", unsuspend_by_app, "app"),
    ApiEndpoint("DELETE", _INSTALLATION, uninstall_by_app, "app"),
    ApiEndpoint("GET", _PERSON, of_person, "any"),
    ApiEndpoint(
        "GET", f"{_PERSON}/{{installation_id}}/repositories", repositories_of_person, "any"
    ),
]
