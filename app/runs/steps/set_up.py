"""The commands that make a checkout ready to work and to be tested in.

They run once for a set of dependency files; what they made is kept and laid into every checkout
that has the same ones: the agent's, the base's and that of the commit which is judged.

What was kept is another's code at work in a checkout. So its key says whose code made it: what the
base branch made serves that branch, and what a pull request, a fork or a run's own work made serves
the very same tree.
"""

from __future__ import annotations

import asyncio
import functools
import os
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app import __version__, messages
from app.domain import (
    setup,
)
from app.domain.run import Ground, RunInput
from app.domain.setup import BlockedHost
from app.domain.values import TreeSha, Value
from app.egress.setup_proxy import Mode, SetupProxy
from app.errors import UserError
from app.git.checkout import Workspace
from app.git.setup_snapshots import SetupSnapshot, SnapshotInfo
from app.runs.checkouts import check_out
from app.runs.services import Services
from app.sandbox.spec import Completed, ResourceLimits

_LIMITS = ResourceLimits(seconds=1800)
_PACKAGE_JSON_BYTES = 1 << 20


class SetupError(UserError):
    """A set-up command failed. `line` is the command, `how` says how it ended."""

    def __init__(self, line: str, how: str, output: str, *, has_network: bool) -> None:
        problem, next_step = messages.refusals.setup_failed(line, how)
        details = messages.refusals.set_up_output(output, has_network=has_network)
        super().__init__(problem, next_step=next_step, details=details)
        self.line = line
        self.how = how
        self.output = output


class _CommandResult(Value):
    """What the last command said, and what all of them were not let through to."""

    said: str
    tried: tuple[BlockedHost, ...] = ()
    stopped: bool = False  # a person stopped the run meanwhile, so nothing is ready


class _Plan(Value):
    """How one tree is set up. `key` names the snapshot, which is made of `tree` in `make_mode`.

    `wanted` is the checkout's tree, in which the commands run in `mode` where they run at all.
    `by_branch`: an earlier commit of the branch may have made the snapshot.
    """

    key: str
    tree: TreeSha
    make_mode: Mode
    wanted: TreeSha
    mode: Mode
    by_branch: bool
    installs: bool  # nothing follows from the sources


async def set_up(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: Ground,
    tree: TreeSha | None = None,
) -> None:
    """Make the checkout of `tree` (the base's own when left out) ready.

    A tree whose dependency files are the base's gets the base's set-up. A stop ends it, also while
    another run makes what this one waits for; the caller's own work sees it next. Raises SetUpError
    when a command fails.
    """
    if not run.policy.setup:
        return
    plan = await _plan(services, run, base, tree)
    stop = services.stops.of(run.id)
    async with services.locks.only_one(f"setup {plan.key}", stop) as ours:
        if not ours:
            return
        snapshot = await _kept(services, run, base, plan)
        snapshot = snapshot or await _make(services, run, base, plan)
    ready = snapshot is not None and await services.snapshots.apply(snapshot, workspace)
    if snapshot is not None:
        services.blocked_hosts.note(run.id, snapshot.tried)
    builds = snapshot is not None and not plan.installs and snapshot.tree != plan.wanted
    if not ready or builds:
        await _run(services, run, workspace, plan.mode)
    await services.snapshots.leave_out(workspace, frozenset())


async def for_the_agent(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: Ground,
    tree: TreeSha | None,
) -> None:
    """The same for the agent, who is there to mend what its own changes broke.

    Raises SetUpError when the base's own set-up fails.
    """
    try:
        await set_up(services, run, workspace, base, tree)
    except SetupError:
        if tree is None:
            raise
        await set_up(services, run, workspace, base)


async def again(services: Services, run: RunInput, workspace: Workspace) -> str:
    """The agent's tool: run the commands in its own work tree, as it changed it, and tell.

    The tree is the agent's, so whatever the policy says nothing can be sent out.
    """
    if not run.policy.setup:
        return messages.agent.no_setup()
    before = await services.snapshots.untracked(workspace)
    try:
        ran = await _run(services, run, workspace, "fetch-only")
    except SetupError as problem:
        tried = services.blocked_hosts.of(run.id)
        return messages.refusals.set_up_failed_again(
            problem.line, problem.how, problem.output, tried
        )
    finally:
        await services.snapshots.leave_out(workspace, before)
    return messages.agent.setup_succeeded(ran.said)


async def _plan(services: Services, run: RunInput, base: Ground, tree: TreeSha | None) -> _Plan:
    mirrors, repo, policy = services.mirrors, run.trigger.repository, run.policy
    at_base = await mirrors.tree_of(repo, base.commit)
    wanted = tree or at_base
    files = await mirrors.files(repo, wanted)
    known = await mirrors.files(repo, at_base)
    depends = setup.dependency_files(files, policy.setup)
    same = depends == setup.dependency_files(known, policy.setup)
    package = await mirrors.read_blob(repo, wanted, "package.json", _PACKAGE_JSON_BYTES) or b""
    installs = setup.only_installs(policy.setup, files, package.decode("utf-8", "replace"))
    branch = base.branch if same else ""
    # Where the base may be anybody's, its commands prepare no other tree but by fetching.
    shared = bool(branch) or wanted == at_base or (same and installs)
    made_of = at_base if shared else wanted
    whose = setup.made_by(
        repo,
        made_of,
        branch=branch,
        run="" if shared else run.id,
    )
    mode: Mode = policy.network.mode if branch else "fetch-only"
    return _Plan(
        key=setup.key(
            [whose, depends, policy.setup, policy.network, mode, policy.image, machine(services)]
        ),
        tree=made_of,
        make_mode=mode,
        wanted=wanted,
        mode=mode if wanted == at_base else "fetch-only",
        by_branch=bool(branch),
        installs=installs,
    )


async def _kept(
    services: Services, run: RunInput, base: Ground, plan: _Plan
) -> SetupSnapshot | None:
    """The snapshot, unless the branch's history no longer holds what made it: it was taken back."""
    snapshot = services.snapshots.find(plan.key)
    if snapshot is None or not plan.by_branch:
        return snapshot
    repo = run.trigger.repository
    if not snapshot.commit or not await services.mirrors.has_commit(repo, snapshot.commit):
        return None
    held = await services.mirrors.is_ancestor(repo, snapshot.commit, base.commit)
    return snapshot if held else None


def machine(services: Services) -> tuple[str, ...]:
    """What a set-up's result depends on besides the repository."""
    return (__version__, services.workspaces.toolchains.fingerprint, *_system())


@functools.cache
def _system() -> tuple[str, ...]:
    try:
        release = Path("/etc/os-release").read_text("utf-8", "replace")
    except OSError:
        release = ""
    return (release, platform.machine(), os.path.realpath("/usr/bin/python3"))


async def _make(
    services: Services, run: RunInput, base: Ground, plan: _Plan
) -> SetupSnapshot | None:
    """Set a checkout up that nothing else happens in, and keep what came of it."""
    name = f"{run.id}-setup-{plan.key[:8]}"
    workspace = await check_out(services, run, base.commit, name, tree=plan.tree)
    try:
        ran = await _run(services, run, workspace, plan.make_mode)
        if ran.stopped:
            return None
        made_of = SnapshotInfo(tried=ran.tried, commit=base.commit, tree=plan.tree)
        return await services.snapshots.keep(plan.key, workspace, made_of)
    finally:
        await services.workspaces.remove(workspace)


async def _run(
    services: Services, run: RunInput, workspace: Workspace, mode: Mode
) -> _CommandResult:
    """Run the commands one after the other, through one door. Raises SetUpError.

    A stop ends them; the caller's own work sees it next.
    """
    stop = services.stops.of(run.id)
    async with _door(services, run, workspace, mode) as door:
        for line in run.policy.setup:
            done = await _command(services, workspace, line, door, stop, run.policy.image)
            tried = _tried(door)
            services.blocked_hosts.note(run.id, tried)
            if stop.is_set():
                return _CommandResult(said="", stopped=True)
            if done.exit_code != 0:
                raise _failed(run, line, done)
        return _CommandResult(said=done.text, tried=tried)


async def _command(
    services: Services,
    workspace: Workspace,
    line: str,
    door: SetupProxy | None,
    stop: asyncio.Event,
    image: str | None,
) -> Completed:
    argv = ["bash", "-c", line]
    if door is None:
        spec = services.workspaces.spec(workspace, limits=_LIMITS, image=image)
        return await services.sandbox.run(spec, argv, stop=stop)
    spec = services.workspaces.spec(
        workspace,
        limits=_LIMITS,
        mounts=(door.mount,),
        environment=door.environment,
        image=image,
    )
    return await services.sandbox.run(spec, door.command(argv), stop=stop)


def _tried(door: SetupProxy | None) -> tuple[BlockedHost, ...]:
    found = door.tried if door is not None else ()
    return tuple(BlockedHost(host=each.host, why=each.why, count=each.count) for each in found)


def _failed(run: RunInput, line: str, done: Completed) -> SetupError:
    how = "did not end in time" if done.timed_out else f"exited with {done.exit_code}"
    return SetupError(line, how, done.text, has_network=bool(run.policy.network.allow))


@asynccontextmanager
async def _door(
    services: Services, run: RunInput, workspace: Workspace, mode: Mode
) -> AsyncIterator[SetupProxy | None]:
    """The way to what the policy allows; none when it allows nothing."""
    allow = run.policy.network.allow
    if not allow:
        yield None
        return
    async with services.egress.open(allow, mode, workspace.path) as door:
        yield door
