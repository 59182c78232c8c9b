"""The version of Node and the package manager, from the registry if the worker lacks them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.setup_plan import Choices, Missing, SetupCommand, SetupStep, VersionChoice
from app.recipes import versions
from app.recipes.node.manifests import MANAGERS, NodePackage, in_range
from app.recipes.recipe import RecipeContext

_FETCH = "npm install --no-audit --no-fund --no-package-lock --no-save --loglevel=error"
_FROM_REGISTRY = ("24", "22", "20", "18", "26", "16")
"""Major versions of Node that its registry has as packages, the usual ones first."""

_CODE_NAMES = {"gallium": "16", "hydrogen": "18", "iron": "20", "jod": "22", "krypton": "24"}
_PLATFORMS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_PNPM = {"5": "7", "6": "8", "7": "9", "9": "10"}
"""pnpm's major version, by that of its lock file."""

_BERRY = {"4": "2", "5": "2", "6": "3", "7": "3", "8": "4"}
"""Yarn's major version, by the `version` in the `__metadata` of its lock file."""


@dataclass(frozen=True)
class Manager:
    """The package manager. `package`: its name in the registry; "" if Node includes it."""

    name: str
    version: str
    source: str
    lock: str = ""
    is_berry: bool = False

    @property
    def package(self) -> str:
        if self.name == "npm":
            return ""
        return "@yarnpkg/cli-dist" if self.is_berry else self.name

    @property
    def search_path(self) -> tuple[str, ...]:
        return (f"@/tools/{self.place}/node_modules/.bin",) if self.package else ()

    @property
    def place(self) -> str:
        """Its folder among the tools: two packages may pin two versions."""
        return f"{self.name}-{self.version}"


def manager_of(package: NodePackage, chosen: Choices) -> Manager:
    """The manager that the manifest pins, else the one whose lock file is there, else npm.

    If a pinned manager has no lock file but another one has, the other one is used.
    """
    locks = {manager: name for name, manager in reversed(package.locks)}
    pin = package.pin
    asked = chosen.manager or chosen.recipe
    if asked in MANAGERS:
        name, source = asked, "your choice"
    elif pin is not None and (pin.manager in locks or not locks):
        name, source = pin.manager, pin.source
    elif package.locks:
        name, source = package.locks[0][1], package.path(package.locks[0][0])
    else:
        name, source = "npm", package.path("package.json")
    version = pin.version if pin is not None and pin.manager == name else ""
    is_berry = name == "yarn" and _is_berry(package, version)
    version = version or _by_lock(package, name, is_berry=is_berry)
    return Manager(name, version, source, locks.get(name, ""), is_berry)


def _is_berry(package: NodePackage, version: str) -> bool:
    if version:
        return not version.startswith(("0.", "1."))
    return "__metadata:" in package.start("yarn.lock") or package.has(".yarnrc.yml")


def _by_lock(package: NodePackage, name: str, *, is_berry: bool) -> str:
    if name == "pnpm":
        found = re.search(r"lockfileVersion: *'?(\d)", package.start("pnpm-lock.yaml"))
        return _PNPM.get(found[1] if found else "", "10")
    if is_berry:
        found = re.search(r"yarn-(\d+\.\d+\.\d+)\.cjs", package.start(".yarnrc.yml"))
        if found:
            return found[1]
        found = re.search(r"__metadata:\s+version: (\d+)", package.start("yarn.lock"))
        return _BERRY.get(found[1] if found else "", "4")
    return "1" if name == "yarn" else "1" if name == "bun" else ""


def manager_steps(context: RecipeContext, manager: Manager) -> Iterator[SetupStep]:
    """Does not use corepack: with a mirror, it does not find a signature that it knows."""
    if manager.package:
        wanted = f"{manager.package}@{manager.version}"
        yield SetupStep(
            purpose="tools",
            commands=(
                SetupCommand(
                    line=f"{_FETCH} --prefix .git/honk/tools/{manager.place} {wanted}",
                    source=manager.source,
                ),
            ),
            optional=manager.name in context.machine.programs,
        )


# Node itself


def node_version(
    context: RecipeContext, package: NodePackage, chosen: Choices
) -> VersionChoice | None:
    """The version of Node, from the nearest version file, volta, `engines`, or CI."""
    installed = context.machine.versions.get("node", ())
    pinned, file = versions.pinned(
        package.tree, package.folder, (".nvmrc", ".node-version"), ("nodejs", "node")
    )
    volta = package.table("volta").get("node")
    engines = package.table("engines").get("node")
    declared = context.declared.versions.get("node", "")
    exact = [
        (versions.plain(chosen.version), "your choice"),
        (_numbers(pinned), file),
        (_numbers(volta), "package.json (volta)"),
    ]
    for wanted, source in exact:
        if wanted:
            return _exact(context, wanted, source)
    if isinstance(engines, str) and (found := _ranged(context, engines, "package.json (engines)")):
        return found
    wanted = _numbers(declared)
    if wanted and not any(_same_major(each, wanted) for each in installed):
        return _exact(context, wanted, context.declared.source)
    return None


def _numbers(text: object) -> str:
    """The numbers of a version, also of a release's code name; "" for `node` and `lts/*`."""
    if not isinstance(text, str):
        return ""
    plain = text.strip().lower().removeprefix("v")
    return _CODE_NAMES.get(plain.removeprefix("lts/"), versions.plain(plain.removesuffix(".x")))


def _same_major(version: str, wanted: str) -> bool:
    return version.partition(".")[0] == wanted.partition(".")[0]


def _exact(context: RecipeContext, wanted: str, source: str) -> VersionChoice:
    installed = context.machine.versions.get("node", ())
    same = next((each for each in installed if _same_major(each, wanted)), "")
    if same:
        return VersionChoice(tool="node", wanted=wanted, source=source, used=same)
    can = context.machine.network and bool(_platform(context))
    used = wanted if can else ""
    return VersionChoice(tool="node", wanted=wanted, source=source, used=used, from_registry=can)


def _ranged(context: RecipeContext, wanted: str, source: str) -> VersionChoice | None:
    installed = context.machine.versions.get("node", ())
    if in_range("20.0.0", wanted) is None:
        return None
    used = next((each for each in installed if in_range(each, wanted)), "")
    if used:
        return VersionChoice(tool="node", wanted=wanted, source=source, used=used)
    can = context.machine.network and bool(_platform(context))
    other = next((each for each in _FROM_REGISTRY if in_range(f"{each}.999.0", wanted)), "")
    return VersionChoice(
        tool="node",
        wanted=wanted,
        source=source,
        used=other if can else "",
        from_registry=can and bool(other),
    )


def _platform(context: RecipeContext) -> str:
    return _PLATFORMS.get(context.machine.architecture, "")


def node_steps(context: RecipeContext, version: VersionChoice | None) -> Iterator[SetupStep]:
    """Fetch another Node. If its registry does not have it, the installed one is used."""
    if version is not None and version.from_registry:
        name = f"node-linux-{_platform(context)}"
        line = f"{_FETCH} --prefix .git/honk/tools/node-{version.used} {name}@{version.used}"
        yield SetupStep(
            purpose="tools",
            commands=(SetupCommand(line=line, source=version.source),),
            optional=True,
        )


def node_path(context: RecipeContext, version: VersionChoice | None) -> tuple[str, ...]:
    if version is None or not version.from_registry:
        return ()
    return (f"@/tools/node-{version.used}/node_modules/node-linux-{_platform(context)}/bin",)


def no_version(context: RecipeContext, version: VersionChoice) -> Missing:
    has = ", ".join(context.machine.versions.get("node", ())) or "none"
    return Missing(
        what=f"Node {version.wanted}",
        why=f"`{version.source}` asks for Node {version.wanted}; this worker has {has}.",
        next_step="Install that version on the worker, or use a container image that has it: "
        "`image:` in `.github/honk.yml`.",
    )
