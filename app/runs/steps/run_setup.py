"""Runs a setup plan in a checkout: each step's alternatives, repairs, and counting the tests."""

from __future__ import annotations

import asyncio
import re
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import structlog

from app import log_events, recipes
from app.domain.run import RunInput
from app.domain.setup import BlockedHost
from app.domain.setup_outcome import CommandRun, Prepared, SetupOutcome
from app.domain.setup_plan import Missing, Recipe, SetupCommand, SetupStep, with_choice
from app.egress.setup_proxy import Mode, SetupProxy
from app.git.checkout import Workspace
from app.recipes import RecipeContext, SetupFailure
from app.runs.services import Services
from app.runs.setup_plans import PlannedSetup
from app.sandbox.spec import Completed, ResourceLimits
from app.sandbox.toolchains import caches_inside, expanded

log = structlog.get_logger()

REPAIRS = 3
"""How many times repair rules may change the plan of one setup."""

_SECONDS = 1800.0
_INSTALL_SECONDS = 900.0
_COLLECT = ResourceLimits(seconds=300)
_FAILURE_BYTES = 64 << 10
_SHOWN_OF_FAILURE = 64_000
_SHOWN_OF_SUCCESS = 2_000
_COLLECTED = re.compile(r"^(?:=+ )?(\d+)(?:/\d+)? tests? collected|^collected (\d+) items?", re.M)


@dataclass
class SetupRun:
    """The state of one setup. It ends early when the run is stopped."""

    services: Services
    run: RunInput
    workspace: Workspace
    planned: PlannedSetup
    proxy: SetupProxy | None
    deadline: float
    ran: list[CommandRun] = field(default_factory=list)
    failed: list[CommandRun] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    collected: int | None = None
    repairs: int = 0

    @property
    def stopped(self) -> bool:
        """Whether the run was stopped, so the setup is incomplete."""
        return self.services.stops.of(self.run.id).is_set()


async def run_setup(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    planned: PlannedSetup,
    mode: Mode,
    *,
    repair: bool,
) -> tuple[SetupOutcome, bool]:
    """Run the plan; return whether it ran to its end, because a stop ends it. With `repair`, a
    failing recipe is changed by its rules and tried again; remaining failures are in the outcome.

    Never raises for a failing command.
    """
    began = time.monotonic()
    async with _proxy(services, workspace, planned, mode) as proxy:
        going = SetupRun(services, run, workspace, planned, proxy, began + _SECONDS)
        kept = [await _recipe(going, each, repair=repair) for each in planned.plan.recipes]
        blocked = _blocked_hosts(proxy)
    services.blocked_hosts.note(run.id, blocked)
    plan = planned.plan.model_copy(update={"recipes": tuple(kept)})
    outcome = SetupOutcome(
        plan=plan,
        discovered=planned.discovered,
        ran=tuple(going.ran),
        failed=tuple(going.failed),
        collected=going.collected,
        seconds=round(time.monotonic() - began, 1),
        missing=tuple(dict.fromkeys([*plan.missing, *going.missing])),
        blocked=blocked,
    )
    return outcome, not going.stopped


async def _recipe(going: SetupRun, recipe: Recipe, *, repair: bool) -> Recipe:
    """Run one recipe; return it as it was after repairs."""
    context, begun = going.planned.context, len(going.ran)
    while not going.stopped:
        failure, command_run = await _steps(going, recipe)
        if failure is None:
            return recipe
        other = await _repaired(going, context, recipe, failure) if repair and context else None
        if other is None:
            going.failed.append(command_run)
            return recipe
        context, recipe = other
        del going.ran[begun:]  # a repaired recipe starts over
    return recipe


async def _repaired(
    going: SetupRun, context: RecipeContext, recipe: Recipe, failure: SetupFailure
) -> tuple[RecipeContext, Recipe] | None:
    """The recipe as repaired by its rules after the failure; None when no rule applies."""
    if going.repairs == REPAIRS or time.monotonic() > going.deadline:
        return None
    going.repairs += 1
    reader = next((each for each in recipes.READERS if each.ecosystem == recipe.ecosystem), None)
    if reader is None:
        return None
    answer = await asyncio.to_thread(reader.repair, context, recipe, failure)
    if isinstance(answer, Missing):
        going.missing.append(answer)
        return None
    if answer == context.chosen(recipe.ecosystem, recipe.folder):
        return None
    changed = replace(context, choices=with_choice(context.choices, answer))
    found = await asyncio.to_thread(recipes.read, reader, changed)
    again = next((each for each in found if each.folder == recipe.folder), None)
    if again is None or again == recipe:
        return None
    log.info(log_events.SETUP_REPAIRED, ecosystem=recipe.ecosystem, line=failure.line)
    return changed, again


async def _steps(going: SetupRun, recipe: Recipe) -> tuple[SetupFailure | None, CommandRun]:
    """Run a recipe's steps and count its tests: the first failure, and the command as it ran."""
    nothing = CommandRun(line="", source="")
    going.workspace = replace(going.workspace, prepared=_prepared(going, recipe))
    for step in recipe.steps:
        failure, command_run = await _step(going, step)
        if going.stopped:
            return None, nothing
        if failure is not None and not step.optional:
            return failure, command_run
        if failure is None:
            going.ran.append(command_run)
    if recipe.collect is None:
        return None, nothing
    done, command_run = await _collect(going, recipe, recipe.collect)
    if done.ok:
        found = collected(done.text)
        going.collected = (going.collected or 0) + found if found is not None else going.collected
        return None, command_run
    return _failure(recipe.collect.line, done, collecting=True), command_run


def _prepared(going: SetupRun, recipe: Recipe) -> Prepared:
    """The environment of a recipe's commands: its own variables take precedence over those of the
    others.
    """
    others = tuple(each for each in going.planned.plan.recipes if each.source != recipe.source)
    plan = going.planned.plan.model_copy(update={"recipes": (*others, recipe)})
    return Prepared.by(plan)


async def _step(going: SetupRun, step: SetupStep) -> tuple[SetupFailure | None, CommandRun]:
    """The first alternative that exits with 0, or the failure of the last one."""
    assert step.commands
    failure, command_run = None, CommandRun(line="", source="")
    for command in step.commands:
        done = await _command(going, step, command)
        command_run = _told(command, step.folder, done)
        failure = None if done.ok else _failure(command.line, done)
        if failure is None or going.stopped:
            return None, command_run
    return failure, command_run


async def _command(going: SetupRun, step: SetupStep, command: SetupCommand) -> Completed:
    """Run one line in its folder; with network only where the step needs it."""
    services, proxy = going.services, going.proxy if step.needs_network else None
    caches = caches_inside(services.sandbox, going.workspace.path)
    own = {name: expanded(value, caches) for name, value in step.environment.items()}
    left = max(1.0, going.deadline - time.monotonic())
    quick = going.planned.discovered and step.purpose in ("tools", "install")
    seconds = min(left, _INSTALL_SECONDS) if quick else left
    spec = services.workspaces.spec(
        going.workspace,
        limits=ResourceLimits(seconds=seconds),
        mounts=(proxy.mount,) if proxy else (),
        environment={**own, **(proxy.environment if proxy else {})},
        image=going.run.policy.image,
    )
    argv = in_folder(step.folder, command.line)
    stop = services.stops.of(going.run.id)
    done = await services.sandbox.run(spec, proxy.command(argv) if proxy else argv, stop=stop)
    done.demand_a_sandbox()
    if proxy is not None:
        services.blocked_hosts.note(going.run.id, _blocked_hosts(proxy))
    return done


async def _collect(
    going: SetupRun, recipe: Recipe, command: SetupCommand
) -> tuple[Completed, CommandRun]:
    """Count the tests the way that they run later: without network."""
    services = going.services
    spec = services.workspaces.spec(going.workspace, limits=_COLLECT, image=going.run.policy.image)
    stop = services.stops.of(going.run.id)
    done = await services.sandbox.run(spec, in_folder(recipe.folder, command.line), stop=stop)
    return done, _told(command, recipe.folder, done)


def in_folder(folder: str, line: str) -> list[str]:
    """The arguments that run a line in a folder of the checkout."""
    if not folder:
        return ["bash", "-c", line]
    return ["bash", "-c", f"cd {shlex.quote(f'./{folder}')} || exit\n{line}"]


def collected(output: str) -> int | None:
    """The number of tests that a runner reports as collected."""
    found = _COLLECTED.findall(output)
    return int("".join(found[-1])) if found else None


def _told(command: SetupCommand, folder: str, done: Completed) -> CommandRun:
    return CommandRun(
        line=command.line,
        source=command.source,
        folder=folder,
        seconds=round(done.seconds, 1),
        how="" if done.ok else how_it_failed(done),
        output=done.text[-(_SHOWN_OF_SUCCESS if done.ok else _SHOWN_OF_FAILURE) :],
    )


def how_it_failed(done: Completed) -> str:
    """How a failed command ended, as the predicate of a sentence."""
    if done.timed_out:
        return "did not end in time"
    return f"exited with {done.exit_code}" if done.killed is None else f"ended: {done.how_it_ended}"


def _failure(line: str, done: Completed, *, collecting: bool = False) -> SetupFailure:
    text = done.output[-_FAILURE_BYTES:].decode("utf-8", "replace")
    code = done.exit_code if done.exit_code is not None else -1
    return SetupFailure(line=line, exit_code=code, output=text, collecting=collecting)


def _blocked_hosts(proxy: SetupProxy | None) -> tuple[BlockedHost, ...]:
    found = proxy.tried if proxy is not None else ()
    return tuple(BlockedHost(host=each.host, why=each.why, count=each.count) for each in found)


@asynccontextmanager
async def _proxy(
    services: Services, workspace: Workspace, planned: PlannedSetup, mode: Mode
) -> AsyncIterator[SetupProxy | None]:
    """The proxy to the hosts that the plan may reach; None when there are none."""
    if not planned.allow:
        yield None
        return
    async with services.egress.open(
        planned.allow, mode, workspace.path, only_go_modules=planned.only_go_modules
    ) as proxy:
        yield proxy
