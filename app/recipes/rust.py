"""Cargo packages and workspaces. Pure.

https://doc.rust-lang.org/cargo/, https://rust-lang.github.io/rustup/overrides.html
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from app.domain.file_tree import FileTree, folders_with, located
from app.domain.setup_plan import (
    Choices,
    Missing,
    Recipe,
    SetupCommand,
    SetupStep,
    VersionChoice,
)
from app.recipes.reasons import by_hand, telling_line
from app.recipes.recipe import RecipeContext, RecipeReader, SetupFailure
from app.recipes.system_errors import missing_from_system
from app.recipes.versions import pinned

MAX_BYTES = 1_000_000
MAX_MANIFESTS = 500

_DEPENDENCIES = ("dependencies", "dev-dependencies", "build-dependencies")
_RELEASE = re.compile(r"\d{1,3}\.\d{1,4}(?:\.\d{1,4})?")
_CHANNEL = re.compile(
    r"(?:stable|beta|nightly)(?:-\d{4}-\d\d-\d\d)?|\d{1,3}\.\d{1,4}(?:\.\d{1,4})?"
)
# As the verifier builds them, so that it builds nothing again.
_BUILD = "CARGO_NET_OFFLINE=true CARGO_INCREMENTAL=0 cargo test --workspace"
_OLDER_CRATES = "CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS"
_UNSTABLE = "RUSTC_BOOTSTRAP"
_VARIABLES = {_OLDER_CRATES: "fallback", _UNSTABLE: "1"}
"""The variables that a repair may set, and their values."""


class RustRecipes:
    """One recipe for each workspace, and for each package outside of one."""

    ecosystem = "rust"

    def read(self, context: RecipeContext) -> Iterator[Recipe]:
        for folder in _projects(context.tree):
            recipe = _recipe(context, folder)
            if recipe.steps or recipe.missing:
                yield recipe

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        return _repair(context, recipe, failure.output)


READER: RecipeReader = RustRecipes()


def _projects(tree: FileTree) -> Iterator[str]:
    workspaces: list[str] = []
    for folder in folders_with(tree, "Cargo.toml")[:MAX_MANIFESTS]:
        if not any(not above or folder.startswith(f"{above}/") for above in workspaces):
            text = tree.read_text(located("Cargo.toml", folder), MAX_BYTES) or ""
            if re.search(r"^\s*\[workspace[\].]", text, re.MULTILINE):
                workspaces.append(folder)
            yield folder


def _recipe(context: RecipeContext, folder: str) -> Recipe:
    tree, source = context.tree, located("Cargo.toml", folder)
    manifests, broken = _manifests(tree, folder)
    version = _version(context, folder, manifests.get(source, {}))
    recipe = Recipe(
        ecosystem="rust",
        name="cargo",
        folder=folder,
        source=source,
        versions=(version,) if version else (),
        environment=_environment(context, folder, version),
        missing=broken,
    )
    if broken or not any(map(_has_dependencies, manifests.values())):
        return recipe
    if not context.machine.versions.get("rust"):
        return recipe.model_copy(update={"missing": (_NO_CARGO,)})
    steps = () if _is_vendored(tree, folder) else (_fetch(context, folder, source),)
    listed = "--no-run" if any(map(_has_own_harness, manifests.values())) else "-- --list"
    collect = SetupCommand(line=f"{_BUILD} {listed}", source=source)
    return recipe.model_copy(update={"steps": steps, "collect": collect})


def _fetch(context: RecipeContext, folder: str, source: str) -> SetupStep:
    """If the lock file is out of date, `--locked` fails and the second command updates it."""
    lock = located("Cargo.lock", folder)
    commands = [SetupCommand(line="cargo fetch", source=source)]
    if context.tree.exists(lock) and not context.chosen("rust", folder).loose:
        commands.insert(0, SetupCommand(line="cargo fetch --locked", source=lock))
    return SetupStep(commands=tuple(commands), folder=folder)


def _environment(
    context: RecipeContext, folder: str, version: VersionChoice | None
) -> dict[str, str]:
    asked = context.chosen("rust", folder).environment
    chosen = {name: value for name, value in _VARIABLES.items() if asked.get(name) == value}
    if version and version.used and not _is_installed(version):
        # Otherwise rustup would fail for a channel that is not installed.
        return {**chosen, "RUSTUP_TOOLCHAIN": version.used}
    return chosen


# --- the version of Rust


def _version(
    context: RecipeContext, folder: str, manifest: Mapping[str, Any]
) -> VersionChoice | None:
    installed = [
        each for each in context.machine.versions.get("rust", ()) if _RELEASE.fullmatch(each)
    ]
    wanted, source = _wanted(context, folder, manifest)
    if not wanted:
        return None
    same = [each for each in installed if _parts(each)[: len(_parts(wanted))] == _parts(wanted)]
    newest = max(installed, key=_parts, default="")
    used = same[0] if same and _RELEASE.fullmatch(wanted) else newest
    if source.endswith("Cargo.toml") and newest and _parts(newest) < _parts(wanted):
        used = ""  # `rust-version` is the oldest that works
    return VersionChoice(tool="rust", wanted=wanted, source=source, used=used)


def _wanted(context: RecipeContext, folder: str, manifest: Mapping[str, Any]) -> tuple[str, str]:
    """An exact channel, else the oldest version that the package names, else CI's."""
    tree = context.tree
    channel, source = pinned(tree, folder, ("rust-toolchain.toml", "rust-toolchain"), ("rust",))
    if source.rpartition("/")[2].startswith("rust-toolchain"):
        text = tree.read_text(source, MAX_BYTES) or ""
        found = re.search(r"^\s*channel\s*=\s*[\"']([^\"'\n]{1,60})[\"']", text, re.MULTILINE)
        channel = found[1] if found else channel
    declared = context.declared.versions.get("rust", "")
    named = (
        (channel, source),
        (_rust_version(manifest), located("Cargo.toml", folder)),
        (declared, context.declared.source or "CI"),
    )
    return next((each for each in named if _CHANNEL.fullmatch(each[0])), ("", ""))


def _rust_version(manifest: Mapping[str, Any]) -> str:
    package = _table(manifest, "package") or _table(_table(manifest, "workspace"), "package")
    found = package.get("rust-version")
    return found if isinstance(found, str) else ""


def _is_installed(version: VersionChoice) -> bool:
    """Whether what is used is what is wanted: 1.95 is 1.95.0, and the newest is the stable one."""
    if version.wanted == "stable" or version.source.endswith("Cargo.toml"):
        return True
    parts = _parts(version.wanted)
    return bool(_RELEASE.fullmatch(version.wanted)) and _parts(version.used)[: len(parts)] == parts


def _parts(version: str) -> tuple[int, ...]:
    found = _RELEASE.match(version)
    return tuple(map(int, found[0].split("."))) if found else ()


# --- manifests


def _manifests(
    tree: FileTree, folder: str
) -> tuple[dict[str, Mapping[str, Any]], tuple[Missing, ...]]:
    """All manifests of a project, by path, and those that cannot be read."""
    found: dict[str, Mapping[str, Any]] = {}
    broken: list[Missing] = []
    below = f"{folder}/" if folder else ""
    paths = [
        path
        for each in folders_with(tree, "Cargo.toml")
        if (path := located("Cargo.toml", each)).startswith(below)
    ]
    for path in paths[:MAX_MANIFESTS]:
        try:
            found[path] = tomllib.loads(tree.read_text(path, MAX_BYTES) or "")
        except (ValueError, RecursionError) as error:
            if path == located("Cargo.toml", folder):
                broken.append(_unreadable(path, str(error)[:200]))
    return found, tuple(broken)


def _unreadable(path: str, why: str) -> Missing:
    return Missing(
        what=path,
        why=f"{path} cannot be read: {why}.",
        next_step=f"Correct {path}; `cargo metadata --no-deps` checks it.",
    )


def _has_dependencies(manifest: Mapping[str, Any]) -> bool:
    """Whether any comes from outside the repository."""
    targets = _table(manifest, "target")
    tables = [manifest, *(_table(targets, name) for name in targets), _table(manifest, "workspace")]
    named = [dependency for table in tables for key in _DEPENDENCIES
             for dependency in _table(table, key).values()]  # fmt: skip
    return any(not (isinstance(each, dict) and "path" in each) for each in named)


def _has_own_harness(manifest: Mapping[str, Any]) -> bool:
    """Whether a test program is not libtest's, so it may not support `--list`."""
    targets = [_table(manifest, "lib")]
    for key in ("test", "bin", "example"):
        listed = manifest.get(key)
        targets += (
            [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        )
    return any(each.get("harness") is False for each in targets)


def _is_vendored(tree: FileTree, folder: str) -> bool:
    for name in (".cargo/config.toml", ".cargo/config"):
        text = tree.read_text(located(name, folder), MAX_BYTES) or ""
        if re.search(r"^\s*replace-with\s*=\s*[\"']vendored-sources", text, re.MULTILINE):
            return True
    return False


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}


# --- repairs


_TOO_NEW = re.compile(
    r"requires? rustc (\d+\.\d+(?:\.\d+)?)|cannot be built because it requires rustc (\d+\.\d+)"
    r"|feature `(edition20\d\d)` is required"
)
_UNINSTALLED = re.compile(r"toolchain '([\w.-]{1,60})' is not installed")
_FORGE = re.compile(
    r"[Uu]nable to update ((?:https?|ssh|git)://(?:[\w.-]+@)?([\w.-]{1,100})[^\s`]{0,200})"
)
_NO_CRATE = re.compile(
    r"no matching package named `([\w-]{1,64})` found"
    r"|failed to select a version for the requirement `([\w-]{1,64})"
    r"|failed to download[^\n]{0,40}`([\w-]{1,64}) v"
)
_NO_PATH = re.compile(r"failed to read `([^`\n]{1,300}Cargo\.toml)`")
_BAD = re.compile(
    r"failed to parse manifest at `([^`\n]{1,300})`\s*(?:Caused by:)?\s*([^\n]{0,200})"
)
_OUT_OF_STEP = re.compile(
    r"--locked was passed|lock file .{0,200} needs to be updated|parse lock file"
)


def _repair(context: RecipeContext, recipe: Recipe, output: str) -> Choices | Missing:
    choices = context.chosen("rust", recipe.folder)
    if recipe.missing:
        return recipe.missing[0]
    if "E0554" in output:
        return _unstable(recipe, choices)
    if found := _TOO_NEW.search(output):
        return _too_new(context, recipe, choices, next(filter(None, found.groups())))
    if found := _UNINSTALLED.search(output):
        return _no_toolchain(found[1])
    if found := _FORGE.search(output):
        return _from_a_forge(found[1], found[2])
    if _OUT_OF_STEP.search(output) and not choices.loose:
        return choices.model_copy(update={"loose": True})
    if found := _NO_PATH.search(output):
        return Missing(
            what=found[1],
            why="A dependency by path, or a member of the workspace, is not in the repository.",
            next_step="Commit it, or correct the path.",
        )
    if found := _BAD.search(output):
        return _unreadable(recipe.source, found[2].strip() or "cargo does not accept it")
    if found := _NO_CRATE.search(output):
        crate = next(filter(None, found.groups()))
        return Missing(
            what=crate,
            why=f"The registry has no version of `{crate}` that the manifests accept.",
            next_step=f"Correct the version of `{crate}`, or update Cargo.lock.",
        )
    return missing_from_system(output) or _unknown(recipe, output)


def _unstable(recipe: Recipe, choices: Choices) -> Choices | Missing:
    """A crate for a nightly compiler: a stable one compiles it with `RUSTC_BOOTSTRAP`."""
    nightly = any("nightly" in each.wanted for each in recipe.versions)
    if nightly and _UNSTABLE not in choices.environment:
        environment = {**choices.environment, _UNSTABLE: _VARIABLES[_UNSTABLE]}
        return choices.model_copy(update={"environment": environment})
    return _no_toolchain("nightly")


def _too_new(
    context: RecipeContext, recipe: Recipe, choices: Choices, version: str
) -> Choices | Missing:
    """Without a lock file, older versions of the dependencies may work."""
    locked = context.tree.exists(located("Cargo.lock", recipe.folder))
    if not locked and _OLDER_CRATES not in choices.environment:
        environment = {**choices.environment, _OLDER_CRATES: _VARIABLES[_OLDER_CRATES]}
        return choices.model_copy(update={"environment": environment})
    return _no_toolchain(version)


def _no_toolchain(version: str) -> Missing:
    return Missing(
        what=f"Rust {version}",
        why=f"The build needs Rust {version}, which this worker does not have.",
        next_step="Ask the operator to install it, or name an `image` that has it. No registry "
        "serves Rust toolchains.",
    )


def _from_a_forge(url: str, host: str) -> Missing:
    return Missing(
        what=url,
        why=f"A git dependency needs {host}, which setup may not reach.",
        next_step=f"Use a release from the registry or `cargo vendor`. A public {host} can be "
        "allowed; git needs `connect`:",
        lines=(f"network: {{allow: [rust, {host}], mode: connect}}", 'setup: ["cargo fetch"]'),
    )


_NO_CARGO = Missing(
    what="cargo",
    why="The repository holds a Rust package, and Rust is not installed on this worker.",
    next_step="Ask the operator to install Rust, or name an `image` that has it.",
)


def _unknown(recipe: Recipe, output: str) -> Missing:
    said = telling_line(output, "error")[:200] or "it printed nothing"
    return by_hand(recipe, f"cargo could not prepare it: {said}.", "cargo fetch")
