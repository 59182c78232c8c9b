"""JavaScript and TypeScript on Node: one install per workspace or package with its own lock.

How each manager installs from its lock file: https://docs.npmjs.com/cli/commands/npm-ci,
https://pnpm.io/cli/install, https://yarnpkg.com/cli/install, https://bun.sh/docs/cli/install.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from app.domain.file_tree import folders_with, is_below
from app.domain.setup_plan import Choices, Missing, Recipe, SetupCommand, SetupStep
from app.recipes.node import repairs, tools
from app.recipes.node.manifests import NodePackage
from app.recipes.recipe import RecipeContext, SetupFailure

MAX_FOLDERS = 20

_INSTALL = {
    "HUSKY": "0",
    "CI": "true",
    "PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD": "1",
    "PUPPETEER_SKIP_DOWNLOAD": "1",
    "CYPRESS_INSTALL_BINARY": "0",
    "ELECTRON_SKIP_BINARY_DOWNLOAD": "1",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
    "YARN_ENABLE_TELEMETRY": "0",
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "CHECKPOINT_DISABLE": "1",
    "NEXT_TELEMETRY_DISABLED": "1",
    "DISABLE_OPENCOLLECTIVE": "1",
    "ADBLOCK": "1",
}
"""Variables that keep installs from downloading browsers, installing hooks and sending data."""


class NodeRecipes:
    """Recipes for Node, and the rules that repair them."""

    ecosystem = "node"

    def read(self, context: RecipeContext) -> Iterable[Recipe]:
        folders = [each for each in folders_with(context.tree, "package.json") if _is_plain(each)]
        packages = [NodePackage(context.tree, folder) for folder in folders]
        found = 0
        for package in packages:
            above = [each for each in packages if is_below(package.folder, each.folder)]
            if not package.locks and any(each.has_member(package.folder) for each in above):
                continue
            below = [each for each in packages if package.has_member(each.folder)]
            # Examples, benchmarks and sites without tests would only cost time.
            if package.folder and not any(each.has_tests for each in (package, *below)):
                continue
            recipe = _recipe(context, package, below)
            if recipe is not None and found < MAX_FOLDERS:
                found += 1
                yield recipe

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        package = NodePackage(context.tree, recipe.folder)
        return repairs.repair(context, package, recipe, failure)


READER = NodeRecipes()


def _is_plain(folder: str) -> bool:
    return not folder or re.fullmatch(r"(?!-)[\w.][\w./@ +-]{0,198}", folder) is not None


def _recipe(
    context: RecipeContext, package: NodePackage, members: list[NodePackage]
) -> Recipe | None:
    if package.problem:
        return Recipe(
            ecosystem="node",
            name="npm",
            folder=package.folder,
            source=package.path("package.json"),
            missing=(_unreadable(package),),
        )
    if not any(each.has_dependencies for each in (package, *members)):
        return None
    chosen = context.chosen("node", package.folder)
    manager = tools.manager_of(package, chosen)
    version = tools.node_version(context, package, chosen)
    # Tools belong to the whole checkout, so their commands run at its root.
    fetched = [*tools.node_steps(context, version), *tools.manager_steps(context, manager)]
    steps = [SetupStep(commands=_installs(package, manager, chosen), environment=_INSTALL)]
    steps += _builds(package, members, manager)
    missing = () if version is None or version.used else (tools.no_version(context, version),)
    return Recipe(
        ecosystem="node",
        name=manager.name,
        folder=package.folder,
        source=manager.source,
        steps=(
            *fetched,
            *(step.model_copy(update={"folder": package.folder}) for step in steps),
        ),
        environment=_environment(manager),
        search_path=(*tools.node_path(context, version), *manager.search_path),
        versions=(version,) if version is not None else (),
        missing=missing,
    )


def _unreadable(package: NodePackage) -> Missing:
    path = package.path("package.json")
    return Missing(
        what=path,
        why=f"`{path}` cannot be parsed: {package.problem}.",
        next_step="Fix the file on the base branch, or name the commands in `.github/honk.yml`.",
        lines=('setup: ["npm install"]', "network: {allow: [node]}"),
    )


def _environment(manager: tools.Manager) -> dict[str, str]:
    """Runners and Honk's reporters look in node_modules, so newer versions of Yarn must use it,
    too.

    pnpm must not install, nor fetch another pnpm, when a script runs without network.
    https://pnpm.io/settings#verifydepsbeforerun
    """
    if manager.name == "pnpm":
        settings = {
            "verify_deps_before_run": "false",
            "manage_package_manager_versions": "false",
            "pm_on_fail": "ignore",
        }
        prefixes = ("npm", "pnpm")  # the prefix that it reads depends on its version
        return {f"{each}_config_{key}": settings[key] for each in prefixes for key in settings}
    return {"YARN_NODE_LINKER": "node-modules"} if manager.is_berry else {}


def _installs(
    package: NodePackage, manager: tools.Manager, chosen: Choices
) -> tuple[SetupCommand, ...]:
    """The strict command, then the loose ones; the last runs no package's scripts."""
    if manager.name == "npm":
        strict = ["npm ci"] if manager.lock else []
        plain = "npm install" if manager.lock else "npm install --no-package-lock"
        loose = [plain, f"{plain} --legacy-peer-deps", f"{plain} --ignore-scripts"]
    elif manager.name == "pnpm":
        strict = ["pnpm install --frozen-lockfile"] if manager.lock else []
        plain = "pnpm install --no-frozen-lockfile"
        loose = [plain, f"{plain} --ignore-scripts"]
    elif manager.name == "bun":
        strict = ["bun install --frozen-lockfile"] if manager.lock else []
        loose = ["bun install", "bun install --ignore-scripts"]
    elif manager.is_berry:
        strict = ["yarn install --immutable"] if manager.lock else []
        loose = ["yarn install --no-immutable", "yarn install --no-immutable --mode=skip-build"]
    else:
        plain = "yarn install --non-interactive"
        strict = [f"{plain} --frozen-lockfile"] if manager.lock else []
        loose = [plain, f"{plain} --ignore-engines", f"{plain} --ignore-engines --ignore-scripts"]
    lines = loose if chosen.loose else [*strict, *loose]
    return tuple(SetupCommand(line=line, source=manager.source) for line in lines)


def _builds(
    package: NodePackage, members: list[NodePackage], manager: tools.Manager
) -> Iterator[SetupStep]:
    """Builds whose output other packages or tests load. They may fail: tests may not need them."""
    built = [each for each in members if each.needs_build]
    if built:
        every = {
            "npm": "npm run build --workspaces --if-present",
            "pnpm": "pnpm -r --if-present run build",
            "bun": "bun run --filter '*' build",
            "yarn": "yarn workspaces foreach --all --topological run build"
            if manager.is_berry
            else "yarn workspaces run build",
        }[manager.name]
        yield _build(every, built[0].path("package.json"))
    elif package.needs_build:
        yield _build(f"{manager.name} run build", package.path("package.json"))


def _build(line: str, source: str) -> SetupStep:
    return SetupStep(
        purpose="build",
        commands=(SetupCommand(line=line, source=f"{source} (scripts.build)"),),
        optional=True,
        needs_network=False,
    )
