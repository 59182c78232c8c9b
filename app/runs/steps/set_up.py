"""Setup: the commands that prepare a checkout for work and tests.

They run once per set of dependency files. A snapshot of what they made is applied to every checkout
with the same files: the agent's, the base's and the verified commit's.

A snapshot is code from elsewhere that runs in a checkout. So its key includes whose code made it:
snapshots made by the base branch serve that branch; those made by a pull request, a fork or a run's
own work serve only the very same tree.

A policy's commands must work. Without such commands, Honk plans the setup itself
(`app/runs/setup_plans.py`), and a failing plan does not end the run: its outcome says why.
"""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path

from app import __version__, messages
from app.domain import setup
from app.domain.run import Ground, RunInput
from app.domain.setup_outcome import Prepared, SetupOutcome
from app.domain.setup_plan import Choices
from app.domain.values import TreeSha
from app.egress.setup_proxy import Mode
from app.errors import UserError
from app.git.checkout import Workspace
from app.git.packing import pack
from app.git.setup_snapshots import SetupSnapshot, SnapshotInfo
from app.runs.checkouts import check_out
from app.runs.services import PROPOSALS, Services
from app.runs.setup_plans import (
    PlannedSetup,
    ProposalRefusedError,
    by_lines,
    digest,
    plan_setup,
    with_proposal,
)
from app.runs.steps.run_setup import run_setup

_PACKAGE_JSON_BYTES = 1 << 20


class SetupError(UserError):
    """A setup command failed. `line` is the command, `how` says how it ended,
    `network` what it could reach."""

    def __init__(self, line: str, how: str, output: str, network: str) -> None:
        problem, next_step = messages.refusals.setup_failed(line, how)
        details = messages.refusals.set_up_output(output, network)
        super().__init__(problem, next_step=next_step, details=details)
        self.line = line
        self.how = how
        self.output = output


@dataclass(frozen=True)
class _Job:
    """How one tree is set up. `key` names the snapshot, which is made from `tree` in `make_mode`.

    `wanted` is the checkout's tree, in which the commands run in `mode` if they run at all.
    `by_branch` means that an earlier commit of the branch may have made the snapshot. `installs`:
    the commands only install dependencies; nothing is built from the sources.
    """

    planned: PlannedSetup
    key: str
    tree: TreeSha
    make_mode: Mode
    wanted: TreeSha
    mode: Mode
    by_branch: bool
    installs: bool

    @property
    def warms(self) -> bool:
        """Whether the snapshot may contain a compiler's output of other sources."""
        return any(step.purpose == "warm" for step in self.planned.plan.steps)


async def set_up(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: Ground,
    tree: TreeSha | None = None,
) -> Workspace:
    """Set up the checkout of `tree` (default: the base's tree); return it with its environment.

    A tree with the base's dependency files gets the base's setup. A stop ends it, even while
    waiting for another run that makes the same snapshot; the caller checks for the stop. Raises
    SetupError when a command of the policy fails.
    """
    if run.policy.setup == ():
        return workspace
    job = await _job(services, run, workspace, base, tree)
    if job.planned.is_empty:
        plan = job.planned.plan
        await _record(services, run, SetupOutcome(plan=plan, missing=plan.missing))
        return workspace
    stop = services.stops.of(run.id)
    async with services.locks.only_one(f"setup {job.key}", stop) as ours:
        if not ours:
            return workspace
        snapshot = await _kept(services, run, base, job)
        snapshot = snapshot or await _make(services, run, base, job)
    ready = snapshot is not None and await services.snapshots.apply(snapshot, workspace)
    outcome = snapshot.outcome if snapshot is not None else None
    if snapshot is not None:
        services.blocked_hosts.note(run.id, snapshot.tried)
    builds = snapshot is not None and not job.installs and snapshot.tree != job.wanted
    if ready and snapshot is not None and snapshot.tree != job.wanted and job.warms:
        await services.snapshots.touch_sources(workspace)
    if not ready or builds:
        outcome = await _run_here(services, run, workspace, job, outcome if ready else None)
    await services.snapshots.leave_out(workspace, frozenset())
    if outcome is None:
        return workspace
    await _record(services, run, outcome)
    return replace(workspace, prepared=Prepared.by(outcome.plan))


async def for_the_agent(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: Ground,
    tree: TreeSha | None,
) -> Workspace:
    """Set up the agent's checkout. If the agent's changes broke the setup, use the base's instead.

    Raises SetupError when the base's own setup fails.
    """
    try:
        return await set_up(services, run, workspace, base, tree)
    except SetupError:
        if tree is None:
            raise
        return await set_up(services, run, workspace, base)


async def run_again(
    services: Services, run: RunInput, workspace: Workspace, choices: tuple[Choices, ...] = ()
) -> str:
    """The agent's tool: run the commands in its current work tree and return a report.

    The tree is the agent's, so the network is fetch-only, whatever the policy says. `choices` are
    the model's: outside the closed vocabulary, nothing runs. Those that work apply to the rest of
    the run.
    """
    if run.policy.setup == ():
        return messages.agent.no_setup()
    if choices and run.policy.setup is not None:
        return messages.agent.choices_are_for_plans()
    before = await services.snapshots.untracked(workspace)
    planned = await _plan_again(services, run, workspace)
    if planned.is_empty and not choices:
        return messages.agent.nothing_to_set_up()
    if choices:
        try:
            planned = with_proposal(services, run, planned, choices)
        except ProposalRefusedError as refusal:
            return messages.agent.choice_refused(str(refusal))
        if not await services.setup_choices.propose(services.runs, run.id):
            return messages.agent.no_more_choices(PROPOSALS)
    try:
        outcome, _ = await run_setup(
            services, run, workspace, planned, "fetch-only", repair=planned.discovered
        )
    finally:
        await services.snapshots.leave_out(workspace, before)
    if outcome.failed:
        tried, failed = services.blocked_hosts.of(run.id), outcome.failed[0]
        return messages.refusals.set_up_failed_again(failed.line, failed.how, failed.output, tried)
    if choices:
        await services.setup_choices.add(services.runs, run.id, choices)
        await _record(services, run, outcome)
        variables = {name: value for each in choices for name, value in each.environment.items()}
        return messages.agent.choices_work(outcome, variables)
    said = outcome.ran[-1].output if outcome.ran else ""
    return messages.agent.setup_succeeded(said)


async def _plan_again(services: Services, run: RunInput, workspace: Workspace) -> PlannedSetup:
    """The plan for the work tree as it is now."""
    if run.policy.setup is not None:
        return by_lines(services, run, run.policy.setup)
    tree = (await pack(workspace, services.workspaces)).tree
    base = await services.mirrors.tree_of(workspace.repo, workspace.base)
    planned, _ = await plan_setup(services, run, workspace, base, tree)
    return planned


async def _job(
    services: Services, run: RunInput, workspace: Workspace, base: Ground, tree: TreeSha | None
) -> _Job:
    mirrors, repo, policy = services.mirrors, run.trigger.repository, run.policy
    at_base = await mirrors.tree_of(repo, base.commit)
    wanted = tree or at_base
    planned, same = await plan_setup(services, run, workspace, at_base, wanted)
    installs = await _only_installs(services, run, planned, wanted)
    # The model's choices apply only to its own run.
    by_model = bool(services.setup_choices.of(run.id)) and planned.discovered
    branch = base.branch if same and not by_model else ""
    # If the base may be anyone's code, its setup serves other trees only if it just installs.
    shared = not by_model and (bool(branch) or wanted == at_base or (same and installs))
    made_of = at_base if shared else wanted
    whose = setup.made_by(
        repo,
        made_of,
        branch=branch,
        run="" if shared else run.id,
    )
    mode: Mode = policy.network.mode if branch and not planned.discovered else "fetch-only"
    depends = [planned.depends, digest(planned), policy.network, mode, policy.image]
    return _Job(
        planned=planned,
        key=setup.key([whose, *depends, machine(services)]),
        tree=made_of,
        make_mode=mode,
        wanted=wanted,
        mode=mode if wanted == at_base else "fetch-only",
        by_branch=bool(branch),
        installs=installs,
    )


async def _only_installs(
    services: Services, run: RunInput, planned: PlannedSetup, wanted: TreeSha
) -> bool:
    """Whether the plan's result serves other sources with the same dependency files."""
    repo = run.trigger.repository
    files = await services.mirrors.files(repo, wanted)
    package = (
        await services.mirrors.read_blob(repo, wanted, "package.json", _PACKAGE_JSON_BYTES) or b""
    )
    text = package.decode("utf-8", "replace")
    if planned.discovered:
        return setup.steps_only_install(planned.plan.steps, files, text)
    return setup.only_installs(planned.lines, files, text)


async def _kept(services: Services, run: RunInput, base: Ground, job: _Job) -> SetupSnapshot | None:
    """The snapshot, unless the branch's history no longer contains the commit that made it."""
    snapshot = services.snapshots.find(job.key)
    if snapshot is None or not job.by_branch:
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


async def _make(services: Services, run: RunInput, base: Ground, job: _Job) -> SetupSnapshot | None:
    """Set up a dedicated checkout and store the result as a snapshot."""
    name = f"{run.id}-setup-{job.key[:8]}"
    workspace = await check_out(services, run, base.commit, name, tree=job.tree)
    try:
        outcome, complete = await run_setup(
            services, run, workspace, job.planned, job.make_mode, repair=job.planned.discovered
        )
        if not complete:
            return None
        _demand_success(run, job.planned, outcome)
        made_of = SnapshotInfo(
            tried=outcome.blocked, commit=base.commit, tree=job.tree, outcome=outcome
        )
        return await services.snapshots.keep(job.key, workspace, made_of)
    finally:
        await services.workspaces.remove(workspace)


async def _run_here(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    job: _Job,
    known: SetupOutcome | None,
) -> SetupOutcome:
    """Run the commands in the checkout itself; only those that worked, if that is `known`."""
    planned = job.planned if known is None else replace(job.planned, plan=known.plan)
    repair = known is None and planned.discovered
    outcome, complete = await run_setup(services, run, workspace, planned, job.mode, repair=repair)
    if complete:
        _demand_success(run, planned, outcome)
    return outcome


def _demand_success(run: RunInput, planned: PlannedSetup, outcome: SetupOutcome) -> None:
    """Raise SetupError if a command of the policy failed."""
    if not planned.discovered and outcome.failed:
        failed = outcome.failed[0]
        off = not planned.allow and bool(run.policy.network.allow)
        network = messages.refusals.setup_network(has_network=bool(planned.allow), switched_off=off)
        raise SetupError(failed.line, failed.how, failed.output, network)


async def _record(services: Services, run: RunInput, outcome: SetupOutcome) -> None:
    """Store the part of the setup that people see with the run."""
    if outcome.discovered and not outcome.is_empty:
        await services.runs.record_setup(run.id, outcome.model_dump(mode="json"))
