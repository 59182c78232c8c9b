"""Create the sandbox that the operator configured, after testing that it works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from app.errors import UserError
from app.sandbox.bubblewrap import (
    Bubblewrap,
    Sandbox,
    SandboxReport,
    Unsandboxed,
    probe,
)
from app.sandbox.cgroups import Groups
from app.sandbox.container import Container, probe_container
from app.sandbox.workspace_disks import DisksUnavailableError, WorkspaceDisks
from app.settings import Settings

ELSEWHERE = (
    "Where the platform forbids it (many that run a Procfile do), let `honk web` run there and "
    "`honk worker` on a machine of your own, with the same DATABASE_URL."
)


async def chosen_sandbox(settings: Settings) -> Sandbox:
    """Create the configured sandbox. Raises UserError with a next step if it does not work."""
    if settings.sandbox not in KINDS:
        raise UserError(
            f"Unknown sandbox `{settings.sandbox}`.",
            next_step=f"Set HONK_SANDBOX to one of: {', '.join(KINDS)}.",
        )
    return await KINDS[settings.sandbox](settings)


async def _bubblewrap(settings: Settings) -> Sandbox:
    _require(await probe())
    return _limited(Bubblewrap.create(_workspaces(settings), Groups.delegated()), settings)


async def _container(settings: Settings) -> Sandbox:
    image = settings.sandbox_image()
    _require(await probe_container(image))
    return _limited(Container.create(_workspaces(settings), image), settings)


async def _unsandboxed(settings: Settings) -> Sandbox:
    if settings.allow_unsandboxed != "yes":
        raise UserError(
            "HONK_SANDBOX=none runs a repository's code with all rights of this account.",
            next_step="Use bubblewrap, or set HONK_ALLOW_UNSANDBOXED=yes if you are sure.",
        )
    return _limited(Unsandboxed(), settings)


def _limited(sandbox: Bubblewrap | Container | Unsandboxed, settings: Settings) -> Sandbox:
    sandbox.disk_bytes = settings.workspace_bytes
    return sandbox


def _workspaces(settings: Settings) -> Path:
    return settings.home_path / "workspaces"


def _require(found: SandboxReport) -> None:
    if not found.ok:
        raise UserError(
            f"No sandbox can be created here. {found.problem}",
            next_step=f"{found.next_step} {ELSEWHERE}",
        )


KINDS: Mapping[str, Callable[[Settings], Awaitable[Sandbox]]] = {
    "bubblewrap": _bubblewrap,
    "container": _container,
    "none": _unsandboxed,
}
"""The values of HONK_SANDBOX."""


def workspace_disks(settings: Settings) -> WorkspaceDisks:
    """The file systems for workspaces, tried once.

    Raises DisksUnavailableError where a workspace has the machine's disk and is watched instead.
    """
    if settings.workspace_disk == "watched":
        raise DisksUnavailableError("HONK_WORKSPACE_DISK=watched")
    if settings.sandbox == "none":
        raise DisksUnavailableError("HONK_SANDBOX=none")
    return WorkspaceDisks.create(settings.home_path, settings.workspace_bytes)
