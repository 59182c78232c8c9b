"""Create the sandbox that the operator configured, after testing that it works."""

from __future__ import annotations

from app.errors import UserError
from app.sandbox.bubblewrap import (
    Bubblewrap,
    Sandbox,
    Unsandboxed,
    probe,
)
from app.sandbox.cgroups import Groups
from app.sandbox.container import Container, probe_container
from app.settings import Settings

ELSEWHERE = (
    "Where the platform forbids it (many that run a Procfile do), let `honk web` run there and "
    "`honk worker` on a machine of your own, with the same DATABASE_URL."
)


async def chosen_sandbox(settings: Settings) -> Sandbox:
    """Create the configured sandbox. Raises UserError with a next step if it does not work."""
    if settings.sandbox == "none":
        if settings.allow_unsandboxed != "yes":
            raise UserError(
                "HONK_SANDBOX=none runs a repository's code with all rights of this account.",
                next_step="Use bubblewrap, or set HONK_ALLOW_UNSANDBOXED=yes if you are sure.",
            )
        return Unsandboxed()
    root = settings.home_path / "workspaces"
    container = settings.sandbox == "container"
    found = await (probe_container(settings.sandbox_image()) if container else probe())
    if not found.ok:
        raise UserError(
            f"No sandbox can be created here. {found.problem}",
            next_step=f"{found.next_step} {ELSEWHERE}",
        )
    if container:
        return Container.create(root, settings.sandbox_image())
    return Bubblewrap.create(root, Groups.delegated())
