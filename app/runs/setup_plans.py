"""Plans how to set up a tree: with its policy's commands, or with recipes from its own files.

Declared automation (CI, Makefiles) is read only from the base, so that a change cannot decide what
its own setup runs. Manifests that differ from the base's are read from the tree itself.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from app import messages, recipes
from app.domain import policy as policies
from app.domain import setup
from app.domain.file_tree import LoadedFiles
from app.domain.go_modules import MODULE_FILES, go_modules
from app.domain.policy import Policy
from app.domain.run import RunInput
from app.domain.setup_plan import (
    Choices,
    Recipe,
    SetupCommand,
    SetupPlan,
    SetupStep,
    with_choice,
)
from app.domain.values import RepoName, TreeSha
from app.git.checkout import Workspace
from app.recipes import Machine, RecipeContext, service_programs, vocabulary
from app.recipes.interesting import is_manifest
from app.runs.services import Services, SetupNetwork
from app.sandbox.spec import ResourceLimits

_FROM_POLICY = "policy"
_MODULE_FILE_BYTES = 4 << 20
_ASK_LIMITS = ResourceLimits(seconds=120)
_VERSION = re.compile(r"\d+(?:\.\d+)+")

_LIST_SCRIPT = r"""
cd /
IFS=:
for folder in $PATH; do
  for program in "$folder"/*; do
    [ -f "$program" ] && [ -x "$program" ] && printf 'program %s\n' "${program##*/}"
  done
done | sort -u | tee "$1"
unset IFS
say() {
  tool=$1; shift
  command -v "$1" > /dev/null 2>&1 || return 0
  printf 'version %s %s\n' "$tool" "$(timeout 30 "$@" 2>&1 | tr '\n\r' '  ' | head -c 300)"
}
for program in $(sed -n 's/^program \(python3\.[0-9]*\)$/\1/p' "$1") python3; do
  say python "$program" -I -c 'import platform; print(platform.python_version())'
done
export GOTOOLCHAIN=local
say node node --version
say go go version
say rust rustc --version
say java java -version
say maven mvn --version
say ruby ruby --version
"""


@dataclass(frozen=True)
class PlannedSetup:
    """A plan, and what it was made from. `context` is None for a policy's commands.

    `allow` is what the plan may reach, in the format of a policy's `network.allow`.
    `only_go_modules`: the only modules that may be requested from a Go module proxy; None: all.
    """

    plan: SetupPlan
    allow: tuple[str, ...]
    depends: Mapping[str, str] = field(default_factory=dict)
    context: RecipeContext | None = None
    only_go_modules: frozenset[str] | None = None

    @property
    def discovered(self) -> bool:
        """Whether Honk detected the setup; otherwise it comes from the policy."""
        return self.context is not None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to run and nothing for other sandboxes."""
        plan = self.plan
        return not (plan.recipes or plan.environment or plan.services)

    @property
    def lines(self) -> tuple[str, ...]:
        """All command lines that may run."""
        return tuple(each.line for step in self.plan.steps for each in step.commands)


async def plan_setup(
    services: Services,
    run: RunInput,
    workspace: Workspace,
    base: TreeSha,
    wanted: TreeSha,
) -> tuple[PlannedSetup, bool]:
    """The plan for a tree, and whether its dependency files equal the base's.

    `workspace` is only used to find out what its sandboxes have. Raises GitError.
    """
    planned, same = await _planned(services, run, workspace, base, wanted)
    return replace(planned, plan=with_policy(planned.plan, run.policy)), same


def with_policy(plan: SetupPlan, policy: Policy) -> SetupPlan:
    """The plan with the policy's services, which replace those of CI."""
    named = policies.services_of(policy)
    own = tuple(each for each in plan.services if each.kind not in {one.kind for one in named})
    programs = service_programs.recipe(named)
    found = plan.recipes if programs is None else (*plan.recipes, programs)
    return plan.model_copy(update={"services": (*named, *own), "recipes": found})


async def _planned(
    services: Services, run: RunInput, workspace: Workspace, base: TreeSha, wanted: TreeSha
) -> tuple[PlannedSetup, bool]:
    if run.policy.setup is not None:
        return await _by_policy(services, run, run.policy.setup, base, wanted)
    repo = run.trigger.repository
    at_base, at_tree = await _dependencies(services, repo, base, wanted, ())
    same = at_base == at_tree
    base_files = await _load(services, repo, base)
    files = base_files if same else await _load(services, repo, wanted)
    known = services.read_trees
    context = RecipeContext(
        tree=files,
        machine=Machine(network=services.setup_network != "none"),
        declared=await known.declared(repo, base, base_files),
        choices=services.setup_choices.of(run.id),
    )
    if _is_worth_it(recipes.discover(context)):
        has = await machine(services, workspace, run.policy.image)
        # Of CI's matrix, use the row that is closest to what the machine has.
        context = replace(
            context,
            machine=replace(has, network=context.machine.network),
            declared=await known.declared(repo, base, base_files, has),
        )
    planned = PlannedSetup(
        recipes.discover(context),
        (),
        at_tree,
        context,
        only_go_modules=_go_modules(base_files, run.policy.network.allow),
    )
    return within_network(planned, services.setup_network, run.policy.network.allow), same


class ProposalRefusedError(Exception):
    """A proposal is outside the vocabulary. The text says why, and what is allowed."""


def with_proposal(
    services: Services, run: RunInput, planned: PlannedSetup, choices: tuple[Choices, ...]
) -> PlannedSetup:
    """The plan that Honk rebuilds from the model's choices, within what it may reach.

    Raises ProposalRefusedError, also for what a recipe leaves out of its commands.
    """
    known = services.setup_choices.of(run.id)
    for each in choices:
        if why := vocabulary.refusal(each, planned.plan):
            raise ProposalRefusedError(why)
        known = with_choice(known, each)
    assert planned.context is not None
    context = replace(planned.context, choices=known)
    plan = with_policy(recipes.discover(context), run.policy)
    changed = replace(planned, context=context, plan=plan)
    changed = within_network(changed, services.setup_network, run.policy.network.allow)
    for each in choices:
        if why := vocabulary.left_out(each, changed.plan.recipes):
            raise ProposalRefusedError(why)
    return changed


def _go_modules(base: LoadedFiles, allowed: Sequence[str]) -> frozenset[str] | None:
    """The modules that the base names. All are allowed if the policy allows Go's registries."""
    if "go" in allowed:
        return None
    paths = [path for name in MODULE_FILES for path in (name, *base.names(f"*/{name}"))]
    texts = (base.read_text(path, _MODULE_FILE_BYTES) for path in paths)
    return go_modules(text for text in texts if text is not None)


def within_network(
    planned: PlannedSetup, setting: SetupNetwork, allowed: Sequence[str]
) -> PlannedSetup:
    """The plan with what it may reach; recipes that need more are only reported."""
    plan = planned.plan
    open_to = {
        "registries": (*plan.allow, *allowed),
        "policy": tuple(allowed),
        "none": (),
    }[setting]
    kept = tuple(each for each in plan.recipes if not _is_cut_off(each, open_to))
    out = [each for each in plan.recipes if each not in kept]
    unreachable = tuple(messages.setup.no_network(each, setting) for each in out)
    wanted = tuple(dict.fromkeys(each.ecosystem for each in kept))
    allow = tuple(
        each for each in dict.fromkeys(open_to) if each not in plan.allow or each in wanted
    )
    narrowed = plan.model_copy(update={"recipes": kept, "missing": (*plan.missing, *unreachable)})
    return replace(planned, plan=narrowed, allow=allow)


def _is_cut_off(recipe: Recipe, open_to: Sequence[str]) -> bool:
    """Whether a recipe needs its ecosystem's registries but may not reach them."""
    needs = any(step.needs_network and not step.optional for step in recipe.steps)
    return needs and recipe.ecosystem not in open_to and not any("." in each for each in open_to)


def _is_worth_it(plan: SetupPlan) -> bool:
    return bool(plan.recipes or plan.missing)


async def _by_policy(
    services: Services, run: RunInput, lines: tuple[str, ...], base: TreeSha, wanted: TreeSha
) -> tuple[PlannedSetup, bool]:
    at_base, at_tree = await _dependencies(services, run.trigger.repository, base, wanted, lines)
    return replace(by_lines(services, run, lines), depends=at_tree), at_base == at_tree


def by_lines(services: Services, run: RunInput, lines: tuple[str, ...]) -> PlannedSetup:
    """The plan of a policy's commands, as far as the operator allows network."""
    allow = () if services.setup_network == "none" else run.policy.network.allow
    policy = run.policy
    plan = from_lines(lines, allow, policy.environment, policy.search_path)
    return PlannedSetup(plan, allow)


def from_lines(
    lines: Sequence[str],
    allow: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    search_path: tuple[str, ...] = (),
) -> SetupPlan:
    """The plan of a policy with `setup` lines: one step for each."""
    source = messages.setup.POLICY_SOURCE
    steps = tuple(SetupStep(commands=(SetupCommand(line=each, source=source),)) for each in lines)
    recipe = Recipe(
        ecosystem=_FROM_POLICY,
        name=_FROM_POLICY,
        source=source,
        steps=steps,
        environment=dict(environment or {}),
        search_path=search_path,
    )
    return SetupPlan(recipes=(recipe,) if steps else (), allow=allow)


async def _dependencies(
    services: Services, repo: RepoName, base: TreeSha, wanted: TreeSha, lines: Sequence[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The dependency files of the base and of the tree: blob by path."""
    found = []
    for tree in (base, wanted):
        files = await services.mirrors.files(repo, tree)
        depends = setup.dependency_files(files, lines)
        if not lines:
            depends |= {path: blob for path, blob in files.items() if is_manifest(path)}
        found.append(depends)
    return found[0], found[1]


async def _load(services: Services, repo: RepoName, tree: TreeSha) -> LoadedFiles:
    return await services.read_trees.files(services.mirrors, repo, tree)


async def machine(services: Services, workspace: Workspace, image: str | None) -> Machine:
    """The programs and versions in this worker's sandboxes; queried once per image."""
    key = f"{services.workspaces.toolchains.fingerprint} {image or services.image or ''}"
    known = services.machines.get(key)
    if known is None:
        known = await _ask(services, workspace, image)
        services.machines[key] = known
    return known


async def _ask(services: Services, workspace: Workspace, image: str | None) -> Machine:
    """Query with a PATH without the checkout's folders: its code must not answer for others."""
    own = services.workspaces.toolchains.folders(services.sandbox)
    async with services.workspaces.scratch(workspace) as scratch:
        spec = services.workspaces.spec(
            workspace,
            limits=_ASK_LIMITS,
            writable=False,
            environment={"PATH": ":".join(own)},
            mounts=(scratch,),
            image=image,
        )
        answer = f"{services.sandbox.seen(scratch)}/programs"
        argv = ["/bin/sh", "-c", _LIST_SCRIPT, "machine", answer]
        done = await services.sandbox.run(spec, argv)
    done.demand_a_sandbox()
    return parse_machine(done.text)


def parse_machine(text: str) -> Machine:
    """Parse a sandbox's answers: lines `program NAME` and `version TOOL TEXT`."""
    versions: dict[str, set[str]] = {}
    programs = set()
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "program":
            programs.add(rest)
        tool, _, words = rest.partition(" ")
        if kind == "version" and (found := _VERSION.search(words)):
            versions.setdefault(tool, set()).add(found[0])
    newest_first = {
        tool: tuple(sorted(found, key=lambda each: [int(n) for n in each.split(".")], reverse=True))
        for tool, found in versions.items()
    }
    return Machine(versions=newest_first, programs=frozenset(programs))


def digest(planned: PlannedSetup) -> str:
    """A digest of the plan and of what it may reach."""
    only = planned.only_go_modules
    modules = None if only is None else sorted(only)
    parts = [planned.plan.model_dump(mode="json"), planned.allow, modules]
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
