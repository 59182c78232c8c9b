"""Setup: the commands that prepare a checkout for work and tests.

They run once per set of dependency files. A snapshot of what they made is applied to every checkout
with the same files: the agent's, the base's and the verified commit's.

A snapshot is code from elsewhere that runs in a checkout. So its key includes whose code made it:
snapshots made by the base branch serve that branch; those made by a pull request, a fork or a run's
own work serve only the very same tree.
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
    """A setup command failed. `line` is the command, `how` says how it ended."""

    def __init__(self, line: str, how: str, output: str, *, has_network: bool) -> None:
        problem, next_step = messages.refusals.setup_failed(line, how)
        details = messages.refusals.set_up_output(output, has_network=has_network)
        super().__init__(problem, next_step=next_step, details=details)
        self.line = line
        self.how = how
        self.output = output


class _CommandResult(Value):
    """The last command's output, and the hosts that any command was blocked from reaching."""

    said: str
    tried: tuple[BlockedHost, ...] = ()
    stopped: bool = False  # the run was stopped, so the setup is incomplete


class _Plan(Value):
    """How one tree is set up. `key` names the snapshot, which is made from `tree` in `make_mode`.

    `wanted` is the checkout's tree, in which the commands run in `mode` if they run at all.
    `by_branch` means that an earlier commit of the branch may have made the snapshot.
    """

    key: str
    tree: TreeSha
    make_mode: Mode
    wanted: TreeSha
    mode: Mode
    by_branch: bool
    installs: bool  # the commands only install dependencies; nothing is built from the sources


async def set_up(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: Ground,
    tree: TreeSha | None = None,
) -> None:
    """Set up the checkout of `tree` (default: the base's tree).

    A tree with the base's dependency files gets the base's setup. A stop ends it, even while
    waiting for another run that makes the same snapshot; the caller checks for the stop. Raises
    SetupError when a command fails.
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
    """Set up the agent's checkout. If the agent's changes broke the setup, use the base's instead.

    Raises SetupError when the base's own setup fails.
    """
    try:
        await set_up(services, run, workspace, base, tree)
    except SetupError:
        if tree is None:
            raise
        await set_up(services, run, workspace, base)


async def run_again(services: Services, run: RunInput, workspace: Workspace) -> str:
    """The agent's tool: run the commands in its current work tree and return a report.

    The tree is the agent's, so the network is fetch-only, whatever the policy says.
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
    # If the base may be anybody's code, its commands prepare other trees only by installing.
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
    """The snapshot, unless the branch's history no longer contains the commit that made it."""
    snapshot = services.snapshots.find(plan.key)
    if snapshot is None or not plan.by_branch:
        return snapshot
    repo = run.trigger.repository
    if not snapshot.commit or not await services.mirrors.has_commit(repo, snapshot.commit):
        return None
    held = await services.mirrors.is_ancestor(repo, snapshot.commit, base.commit)
    return snapshot if held else None


def machine(services: Services) -> tuple[str, ...]:
    """What a setup depends on besides the repository."""
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
    """Set up a dedicated checkout and store the result as a snapshot."""
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
    """Run the commands in order through one proxy. Raises SetupError.

    A stop ends them; the caller checks for it.
    """
    stop = services.stops.of(run.id)
    async with _proxy(services, run, workspace, mode) as proxy:
        for line in run.policy.setup:
            done = await _command(services, workspace, line, proxy, stop, run.policy.image)
            tried = _blocked_hosts(proxy)
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
    proxy: SetupProxy | None,
    stop: asyncio.Event,
    image: str | None,
) -> Completed:
    argv = ["bash", "-c", line]
    if proxy is None:
        spec = services.workspaces.spec(workspace, limits=_LIMITS, image=image)
        return await services.sandbox.run(spec, argv, stop=stop)
    spec = services.workspaces.spec(
        workspace,
        limits=_LIMITS,
        mounts=(proxy.mount,),
        environment=proxy.environment,
        image=image,
    )
    return await services.sandbox.run(spec, proxy.command(argv), stop=stop)


def _blocked_hosts(proxy: SetupProxy | None) -> tuple[BlockedHost, ...]:
    found = proxy.tried if proxy is not None else ()
    return tuple(BlockedHost(host=each.host, why=each.why, count=each.count) for each in found)


def _failed(run: RunInput, line: str, done: Completed) -> SetupError:
    how = "did not end in time" if done.timed_out else f"exited with {done.exit_code}"
    return SetupError(line, how, done.text, has_network=bool(run.policy.network.allow))


@asynccontextmanager
async def _proxy(
    services: Services, run: RunInput, workspace: Workspace, mode: Mode
) -> AsyncIterator[SetupProxy | None]:
    """The proxy to the hosts that the policy allows; None when it allows none."""
    allow = run.policy.network.allow
    if not allow:
        yield None
        return
    async with services.egress.open(allow, mode, workspace.path) as proxy:
        yield proxy
