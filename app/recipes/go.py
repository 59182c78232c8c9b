"""Go modules and workspaces. Pure.

https://go.dev/ref/mod, https://go.dev/doc/toolchain
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

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

MAX_MODULES = 200
MAX_BYTES = 1_000_000

# There is no network, and setup has verified its downloads. `-vet=off`: only compiling matters.
_LIST = "GOPROXY=off GONOSUMDB='*' go test -vet=off -list '^(Test|Fuzz|Example)'"
_VERSION = re.compile(r"1\.(\d{1,3})(?:\.(\d{1,4})|(beta|rc)(\d{1,2}))?")
_TAGS = re.compile(r"-tags[= ]([\w.]{1,60}(?:,[\w.]{1,60}){0,20})(?![^\s'\"])")
_MEMBER = re.compile(r"[\w.+-]{1,100}(?:/[\w.+-]{1,100}){0,20}")
_FIRST_WITH_TOOLCHAINS = (1, 21, 0, 0, 0)


@dataclass(frozen=True)
class _Wanted:
    version: str
    source: str


@dataclass(frozen=True)
class _Replaced:
    """A `replace` with a folder. `target` is relative to the repository."""

    line: int
    written: str
    target: str


@dataclass(frozen=True)
class _Manifest:
    """The content of a go.mod or go.work. `problem` is empty, or names the invalid line."""

    path: str
    go: str = ""
    toolchain: str = ""
    requires: bool = False
    uses: tuple[str, ...] = ()
    replaced: tuple[_Replaced, ...] = ()
    problem: str = ""

    @property
    def folder(self) -> str:
        return posixpath.dirname(self.path)


class GoRecipes:
    """One recipe for each workspace, and one for each module outside of one."""

    ecosystem = "go"

    def read(self, context: RecipeContext) -> Iterator[Recipe]:
        tree = context.tree
        folders = folders_with(tree, "go.mod")[:MAX_MODULES]
        modules = [_manifest(tree, located("go.mod", each)) for each in folders]
        works = [
            _manifest(tree, located("go.work", each)) for each in folders_with(tree, "go.work")
        ]
        version = _version(context, [*works, *modules])
        first = True
        for recipe in _recipes(context, works, modules):
            whole = _with_version(context, recipe, version, first=first)
            if whole.steps or whole.missing:
                yield whole
                first = False

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        return _repair(context, recipe, failure.output)


READER: RecipeReader = GoRecipes()


def _recipes(
    context: RecipeContext, works: Sequence[_Manifest], modules: Sequence[_Manifest]
) -> Iterator[Recipe]:
    """What to download, before the version of Go is known."""
    members = {member for work in works for member in _members(work)}
    tested = {posixpath.dirname(path) for path in context.tree.names("*_test.go")}
    by_folder = {each.folder: each for each in modules}
    for work in works:
        mine = [by_folder[each] for each in _members(work) if each in by_folder]
        yield _recipe(context, work, mine, _workspace_listing(work, mine), has_tests=True)
    for module in modules:
        if module.folder not in members:
            below = f"{module.folder}/" if module.folder else ""
            has_tests = any(f"{each}/".startswith(below) for each in tested)
            yield _recipe(context, module, [module], f"{_LIST} ./...", has_tests=has_tests)


def _recipe(
    context: RecipeContext,
    manifest: _Manifest,
    modules: Sequence[_Manifest],
    listing: str,
    *,
    has_tests: bool,
) -> Recipe:
    broken = [each for each in dict.fromkeys([manifest, *modules]) if each.problem]
    has_tests = has_tests and not broken
    missing = [_unreadable(each) for each in broken]
    missing += [each for module in modules for each in _replacements(context.tree, module)]
    choices = context.chosen("go", manifest.folder)
    vendored = context.tree.exists(located("vendor/modules.txt", manifest.folder))
    steps: tuple[SetupStep, ...] = ()
    if (
        not broken
        and any(each.requires for each in modules)
        and not (vendored and not choices.loose)
    ):
        steps = (_download(manifest, modules, optional=not has_tests),)
    environment = _flags(context, choices)
    return Recipe(
        ecosystem="go",
        name="workspace" if manifest.path.endswith("go.work") else "module",
        folder=manifest.folder,
        source=manifest.path,
        steps=steps,
        collect=SetupCommand(line=listing, source=manifest.path) if has_tests else None,
        environment=environment,
        missing=tuple(missing),
    )


def _download(manifest: _Manifest, modules: Sequence[_Manifest], *, optional: bool) -> SetupStep:
    """Download everything that is required, or only what the packages and their tests import.

    In a workspace, the first would request modules that no go.sum names.
    """
    lines = ["go mod download"]
    patterns = _patterns(manifest, modules)
    if patterns:
        lines.append(f"go list -deps -test {' '.join(patterns)} > /dev/null")
    return SetupStep(
        commands=tuple(SetupCommand(line=line, source=manifest.path) for line in lines),
        folder=manifest.folder,
        optional=optional,
    )


def _flags(context: RecipeContext, choices: Choices) -> dict[str, str]:
    """GOFLAGS: build tags come only from the tests of the repository's CI."""
    declared = context.declared.environment.get("GOFLAGS", "")
    found = _TAGS.search(declared)
    flags = [f"-tags={found[1]}"] if found else []
    if choices.loose:
        flags.append("-mod=mod")
    return {"GOFLAGS": " ".join(["-buildvcs=false", *flags])} if flags else {}


def _members(work: _Manifest) -> tuple[str, ...]:
    """The folders of a workspace's modules, from the repository's root."""
    joined = (posixpath.normpath(posixpath.join(work.folder, each)) for each in work.uses)
    plain = ("" if each == "." else each for each in joined)
    return tuple(dict.fromkeys(each for each in plain if not each.startswith(("..", "/"))))


def _workspace_listing(work: _Manifest, modules: Sequence[_Manifest]) -> str:
    return " ".join([_LIST, *_patterns(work, modules)])


def _patterns(manifest: _Manifest, modules: Sequence[_Manifest]) -> list[str]:
    """All packages of the modules, as words for the shell in the manifest's folder."""
    below = [posixpath.relpath(each.folder or ".", manifest.folder or ".") for each in modules]
    found = (
        "./..." if each == "." else f"./{each}/..." for each in below if _MEMBER.fullmatch(each)
    )
    return [shlex.quote(each) for each in found]


# --- the version of Go


@dataclass(frozen=True)
class _Version:
    """`fetched` is the version to get from the module proxy; empty to use an installed one."""

    choice: VersionChoice | None = None
    fetched: str = ""
    missing: Missing | None = None


def _version(context: RecipeContext, manifests: Sequence[_Manifest]) -> _Version:
    """One version for the whole checkout: the oldest that all modules accept.

    go.mod names the oldest version that works, so a newer installed one is fine.
    """
    installed = [key for each in context.machine.versions.get("go", ()) if (key := _key(each))]
    wanted = _wanted(context, manifests)
    if not installed:
        return _Version(missing=_NO_GO)
    newest = max(installed)
    required = _key(wanted.version)
    if required is None or (required <= newest and not _forced(context)):
        return _Version(
            VersionChoice(
                tool="go", wanted=wanted.version, source=wanted.source, used=_name(newest)
            )
            if wanted.version
            else None
        )
    fetched = _name(required)
    choice = VersionChoice(
        tool="go", wanted=wanted.version, source=wanted.source, used=fetched, from_registry=True
    )
    if newest < _FIRST_WITH_TOOLCHAINS or not context.machine.network:
        unused = choice.model_copy(update={"used": "", "from_registry": False})
        return _Version(unused, missing=_too_old(wanted, _name(newest)))
    return _Version(choice, fetched=fetched)


def _wanted(context: RecipeContext, manifests: Sequence[_Manifest]) -> _Wanted:
    chosen = [each.version for each in context.choices if each.ecosystem == "go" and each.version]
    for version in chosen:
        if _key(version):
            return _Wanted(version, "an error of the previous try")
    named = [
        _Wanted(version, each.path)
        for each in manifests
        for version in (each.toolchain, each.go)
        if _key(version)
    ]
    if named:
        return max(named, key=lambda each: _key(each.version) or ())
    return _from_other_files(context) or _Wanted("", "")


def _from_other_files(context: RecipeContext) -> _Wanted | None:
    """Only what no go.mod says: without a `go` line it means Go 1.16."""
    named = (
        _Wanted(*pinned(context.tree, "", (".go-version",), ("go", "golang"))),
        _Wanted(context.declared.versions.get("go", ""), context.declared.source or "CI"),
    )
    return next((each for each in named if _key(each.version)), None)


def _forced(context: RecipeContext) -> bool:
    return any(each.ecosystem == "go" and each.version for each in context.choices)


def _key(version: str) -> tuple[int, ...] | None:
    """The sort key of versions. 1.22 is the language; its first toolchain is 1.22.0."""
    found = _VERSION.search(version.removeprefix("go"))
    if found is None or not version.removeprefix("go").startswith(found[0]):
        return _key(inner[0]) if (inner := re.search(r"go1\.[\w.]+", version)) else None
    minor, patch, stage, number = found.groups()
    if stage:
        return (1, int(minor), -1, int(stage == "rc"), int(number))
    return (1, int(minor), int(patch or 0), 0, 0)


def _name(key: tuple[int, ...]) -> str:
    major, minor, patch, stage, number = key
    if patch < 0:
        return f"{major}.{minor}{'rc' if stage else 'beta'}{number}"
    return f"{major}.{minor}.{patch}"


def _with_version(
    context: RecipeContext, recipe: Recipe, version: _Version, *, first: bool
) -> Recipe:
    """The recipe with the toolchain that the checkout uses; the first one fetches it."""
    versions = (version.choice,) if version.choice else ()
    if version.missing is not None:
        problem = (version.missing,) if first else ()
        return recipe.model_copy(
            update={
                "steps": (),
                "collect": None,
                "versions": versions,
                "missing": (*recipe.missing, *problem),
            }
        )
    if not version.fetched:
        return recipe.model_copy(update={"versions": versions})
    environment = {**recipe.environment, "GOTOOLCHAIN": f"go{version.fetched}"}
    source = version.choice.source if version.choice else recipe.source
    fetch = SetupStep(
        commands=(SetupCommand(line="go version", source=source),),
        purpose="tools",
        folder=recipe.folder,
        environment={"GOTOOLCHAIN": environment["GOTOOLCHAIN"]},
    )
    return recipe.model_copy(
        update={
            "steps": (fetch, *recipe.steps) if first else recipe.steps,
            "environment": environment,
            "versions": versions,
        }
    )


_NO_GO = Missing(
    what="go",
    why="The repository has Go modules, and Go is not installed on this worker.",
    next_step="Ask the operator to install Go, or name an `image` that has it.",
)


def _too_old(wanted: _Wanted, installed: str) -> Missing:
    return Missing(
        what=f"Go {wanted.version}",
        why=f"{wanted.source} needs Go {wanted.version}; this worker has {installed} and setup may "
        "not download another.",
        next_step="Ask the operator to install it or to allow setup to reach the module proxy.",
        lines=("network: {allow: [go]}",),
    )


# --- go.mod and go.work


_VERBS = frozenset(
    {
        *("module", "go", "toolchain", "godebug", "require", "exclude", "replace", "retract"),
        *("tool", "ignore", "use"),
    }
)


def _manifest(tree: FileTree, path: str) -> _Manifest:
    text = tree.read_text(path, MAX_BYTES)
    if text is None:
        return _Manifest(path, problem="is not a regular file")
    lines, problem = _directives(text)
    if (
        not problem
        and path.endswith("go.mod")
        and not any(words[0] == "module" for _, words in lines)
    ):
        problem = "has no module line"
    folder = posixpath.dirname(path)
    return _Manifest(
        path,
        go=_argument(lines, "go"),
        toolchain=_argument(lines, "toolchain").removeprefix("go"),
        requires=any(words[0] == "require" for _, words in lines),
        uses=tuple(words[1] for _, words in lines if words[0] == "use"),
        replaced=tuple(_replaced(lines, folder)),
        problem=problem,
    )


def _directives(text: str) -> tuple[list[tuple[int, list[str]]], str]:
    """Lines as words with their verb first, blocks unfolded; and the first line that is wrong."""
    found: list[tuple[int, list[str]]] = []
    block = ""
    for number, line in enumerate(text.splitlines(), 1):
        words = [word.strip('"`') for word in line.partition("//")[0].split()]
        if not words:
            continue
        if block and words == [")"]:
            block = ""
        elif block:
            found.append((number, [block, *words]))
        elif words[0] not in _VERBS or len(words) < 2:
            return found, f"line {number} is not a directive: {line.strip()[:80]}"
        elif words[1:] == ["("]:
            block = words[0]
        elif words[1:] != ["()"] and words[1:] != ["(", ")"]:
            found.append((number, words))
    return found, f"a `{block} (` is never closed" if block else ""


def _argument(lines: Iterable[tuple[int, list[str]]], verb: str) -> str:
    return next((words[1] for _, words in lines if words[0] == verb), "")


def _replaced(lines: Iterable[tuple[int, list[str]]], folder: str) -> Iterator[_Replaced]:
    for number, words in lines:
        if words[0] == "replace" and "=>" in words[1:-1]:
            target = words[words.index("=>") + 1]
            if target.startswith(("./", "../", "/")) or target in (".", ".."):
                path = posixpath.normpath(posixpath.join("/", folder, target))
                inside = not posixpath.normpath(posixpath.join(folder, target)).startswith("..")
                absolute = target.startswith("/")
                yield _Replaced(
                    number, target, path.lstrip("/") if inside and not absolute else ".."
                )


def _replacements(tree: FileTree, module: _Manifest) -> Iterator[Missing]:
    """Folders that a `replace` names and the repository does not have."""
    for each in module.replaced:
        if each.target != ".." and tree.exists(located("go.mod", each.target)):
            continue
        submodule = any(
            f"path = {each.target}" in line
            for line in (tree.read_text(".gitmodules", MAX_BYTES) or "").splitlines()
        )
        where = "it is a submodule" if submodule else "the repository does not have it"
        yield Missing(
            what=each.written[:100],
            why=f"{module.path}, line {each.line}, replaces a module by this folder, but {where}.",
            next_step="Commit the folder, or require a released version of the module instead.",
        )


def _unreadable(manifest: _Manifest) -> Missing:
    return Missing(
        what=manifest.path,
        why=f"{manifest.path} cannot be read: {manifest.problem}.",
        next_step=f"Correct {manifest.path}; `go mod edit -fmt` checks it.",
    )


# --- repairs


_RUNNING = re.compile(r"requires go >= (1\.[\w.]{1,12})")
_OUT_OF_STEP = re.compile(
    r"missing go\.sum entry|updates to go\.(?:mod|sum) needed|inconsistent vendoring"
    r"|no required module provides package|go: updates to go\.work needed"
    r"|existing contents have changed since last download"
)
_NO_TOOLCHAIN = re.compile(r"download go(1\.[\w.]{1,12})[^\n]*: toolchain not available")
_NO_SUMDB = re.compile(r"GOSUMDB=off|checksum database disabled")
_MISMATCH = re.compile(r"verifying ([\w./@+~-]{1,200}): checksum mismatch")
_NOT_SERVED = re.compile(
    r"(?:go: |^\s*)(?:module )?([\w.-]{1,100}\.[\w-]{2,20}(?:/[\w.~@+-]{1,100}){0,12})[^\n]{0,300}"
    r"(?:: 4\d\d |Not Found|terminal prompts disabled|GOVCS disallows|no secure protocol"
    r"|unrecognized import path|could not read Username)",
    re.MULTILINE,
)
_NOT_A_MODULE = re.compile(r"errors parsing (go\.(?:mod|work)):\n([^\n]{1,200})")


def _repair(context: RecipeContext, recipe: Recipe, output: str) -> Choices | Missing:
    choices = context.chosen("go", recipe.folder)
    if recipe.missing:
        return recipe.missing[0]
    if (found := _RUNNING.search(output)) and found[1] != choices.version and _key(found[1]):
        return choices.model_copy(update={"version": found[1]})
    if found := _NO_TOOLCHAIN.search(output):
        return Missing(
            what=f"Go {found[1]}",
            why="The module proxy does not have this version for this machine.",
            next_step=f"Name a released version in {recipe.source}.",
        )
    if "toolchain" in output and _NO_SUMDB.search(output):
        return _UNCHECKED
    if found := _NOT_A_MODULE.search(output):
        return _unreadable(_Manifest(found[1], problem=found[2]))
    if found := _MISMATCH.search(output):
        return Missing(
            what=found[1],
            why="Its contents do not match go.sum.",
            next_step="Check whether its tag was moved, then run `go mod tidy`.",
        )
    if found := _NOT_SERVED.search(output):
        return _from_a_forge(found[1])
    if _OUT_OF_STEP.search(output):
        return _out_of_step(recipe, choices)
    return missing_from_system(output) or _unknown(recipe, output)


def _out_of_step(recipe: Recipe, choices: Choices) -> Choices | Missing:
    """`-mod=mod` lets go complete go.mod and go.sum, but not in a workspace."""
    if recipe.name == "module" and not choices.loose:
        return choices.model_copy(update={"loose": True})
    tidy = "go work sync" if recipe.name == "workspace" else "go mod tidy"
    return Missing(
        what=recipe.source,
        why="go.mod, go.sum and the imports of the sources do not agree.",
        next_step=f"Run `{tidy}` in {_shown(recipe)} and commit the result.",
    )


def _from_a_forge(module: str) -> Missing:
    host = module.partition("/")[0]
    return Missing(
        what=module,
        why=f"The module proxy does not serve it, so it needs {host}, which setup may not reach.",
        next_step="Commit a `vendor` folder (`go mod vendor`), or use a Go proxy that serves it. "
        f"A public {host} can be allowed:",
        lines=(f"network: {{allow: [go, {host}]}}",),
    )


_UNCHECKED = Missing(
    what="another version of Go",
    why="The worker's Go has `GOSUMDB=off`, and downloads no toolchain that it cannot verify.",
    next_step="Ask the operator to set `GOSUMDB` or to install that version.",
)


def _unknown(recipe: Recipe, output: str) -> Missing:
    said = telling_line(output, "go: ")[:200] or "it printed nothing"
    return by_hand(recipe, f"Go could not set up {_shown(recipe)}: {said}.", "go mod download")


def _shown(recipe: Recipe) -> str:
    return f"`{recipe.folder}`" if recipe.folder else "the repository"
