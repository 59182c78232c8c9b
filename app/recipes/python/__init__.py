"""Python: one environment, `.venv`, in each folder with a manifest.

The commands for each manifest, and the settings of each tool:
https://docs.astral.sh/uv/reference/cli/, https://python-poetry.org/docs/cli/,
https://pdm-project.org/en/latest/reference/cli/, https://pipenv.pypa.io/en/latest/cli.html.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from packaging.specifiers import SpecifierSet

from app.domain.file_tree import FileTree, folders_with, is_below, located
from app.domain.setup_plan import Choices, Missing, Recipe, SetupCommand, SetupStep, VersionChoice
from app.recipes import versions
from app.recipes.interesting import CHANGELOGS
from app.recipes.lookalikes import refused
from app.recipes.python import repairs
from app.recipes.python.commands import (
    by_lock,
    by_manifest,
    has_tests,
    is_allowed,
    lock_of,
    packages_beside,
)
from app.recipes.python.manifests import PythonProject
from app.recipes.python.missing import from_conda, no_version, unreadable
from app.recipes.python.names import is_path
from app.recipes.python.older_pytest import SOURCE as OLDER_PYTEST
from app.recipes.python.older_pytest import is_older_pytest
from app.recipes.python.repairs import SCM
from app.recipes.recipe import RecipeContext, SetupFailure

MANIFESTS = (
    *("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "Pipfile"),
    *("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "requirements-dev.txt"),
    *("dev-requirements.txt", "requirements-test.txt", "test-requirements.txt"),
    *("environment.yml", "environment.yaml", "tox.ini", "noxfile.py"),
)
MAX_FOLDERS = 30
_BESIDE = frozenset(
    {"tests", "test", "testing", "requirements", "ci", "doc", "docs", "example", "examples"}
    | {"samples", "benchmarks", "templates"}
)
"""Folders whose manifests belong to a project above them, or are examples."""

_IN_PROJECT = {
    "poetry": {"POETRY_VIRTUALENVS_IN_PROJECT": "true"},
    "pdm": {"PDM_NON_INTERACTIVE": "1"},
    "pipenv": {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_YES": "1"},
}
"""Settings with which each tool uses `.venv`."""

_SCM = {
    "setuptools-scm": SCM,
    "hatch-vcs": SCM,
    "pbr": "PBR_VERSION",
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS",
}
_COLLECT = SetupCommand(
    # 5: there are no tests for pytest, which is not a failed setup.
    line=".venv/bin/python -m pytest --collect-only -q || [ $? -eq 5 ]",
    source="the tests",
)
_RELEASE = re.compile(r"(?m)^[^\n\d]{0,20}(\d+\.\d+(?:\.\d+)?)\b")


class PythonRecipes:
    """Recipes for Python, and the rules that repair them."""

    ecosystem = "python"

    def read(self, context: RecipeContext) -> Iterable[Recipe]:
        found = [
            each for each in folders_with(context.tree, *MANIFESTS) if not each or is_path(each)
        ]
        folders = [each for each in found if _BESIDE.isdisjoint(each.split("/"))] or found
        projects = [project_in(context.tree, folder, folders) for folder in folders]
        locked = [each.folder for each in projects if lock_of(each)]
        wanted = [
            each
            for each in projects
            # A member of a workspace is installed with its lock.
            if lock_of(each) or not any(is_below(each.folder, folder) for folder in locked)
        ]
        wanted = [each for each in wanted if not each.folder or has_tests(each)]
        for project in wanted[:MAX_FOLDERS]:
            yield from _recipe(context, project)

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        project = project_in(context.tree, recipe.folder)
        return repairs.repair(context, project, recipe, failure)


READER = PythonRecipes()


def project_in(tree: FileTree, folder: str, others: Iterable[str] = ()) -> PythonProject:
    """The project in a folder, without the files of other projects below it."""
    below = f"{folder}/" if folder else ""
    nested = [f"{each}/" for each in others if is_below(each, folder)]
    files = frozenset(
        path[len(below) :]
        for path in tree.names("*")
        if path.startswith(below) and not any(path.startswith(each) for each in nested)
    )
    return PythonProject(tree, folder, files)


def _recipe(context: RecipeContext, project: PythonProject) -> Iterator[Recipe]:
    chosen = context.chosen("python", project.folder)
    if project.bad is not None:
        yield Recipe(
            ecosystem="python",
            name="pip",
            folder=project.folder,
            source=project.bad.path,
            missing=(unreadable(project.bad.path, project.bad.why),),
        )
        return
    made = by_lock(context, project, chosen) or by_manifest(context, project, chosen)
    packages = packages_beside(project, chosen)
    if made is None and packages:
        made = ("pip", "tests", [])
    if made is None:
        return
    name, source, commands = made
    version = _version(context, project, chosen)
    recipe = Recipe(
        ecosystem="python",
        name=name,
        folder=project.folder,
        source=located(source, project.folder) if project.has(source) else source,
        versions=(version,) if version is not None else (),
        missing=tuple(_missing(context, project, version)),
    )
    if version is not None and not version.used:
        yield recipe
        return
    python = version.used if version is not None else _newest(context)
    own = {**_IN_PROJECT.get(name, {}), **_pretended(project, chosen)}
    if name == "uv" and python:
        own["UV_PYTHON"] = python  # wins over a `.python-version` that is not installed
    steps = [
        *_tool_steps(context, name),
        _environment_step(python),
        *([SetupStep(commands=tuple(commands), environment=own)] if commands else []),
        *([_runner_step()] if has_tests(project) else []),
        *_extra_steps(packages, source),
    ]
    yield recipe.model_copy(
        update={
            "steps": tuple(_placed(step, project.folder) for step in steps),
            "collect": _COLLECT if has_tests(project) else None,
            "search_path": ("@/tools/bin",),
        }
    )


def _missing(
    context: RecipeContext, project: PythonProject, version: VersionChoice | None
) -> Iterator[Missing]:
    if version is not None and not version.used:
        yield no_version(version.wanted, version.source, context.machine.versions["python"])
    for name in context.chosen("python", project.folder).packages:
        if not is_allowed(project, name):
            yield refused(name, project.declared_names)
    if project.conda:
        yield from_conda(project)


def _placed(step: SetupStep, folder: str) -> SetupStep:
    """Tools belong to the whole checkout, so their commands run at its root."""
    if step.purpose == "tools":
        return step
    return step.model_copy(update={"folder": folder})


# Versions


def _version(
    context: RecipeContext, project: PythonProject, chosen: Choices
) -> VersionChoice | None:
    """The exact version, else the range, within which the version of CI comes first.

    None where nothing is asked for, or it is not known what the worker has.
    """
    installed = context.machine.versions.get("python", ())
    if not installed:
        return None
    exact, file = versions.pinned(project.tree, project.folder, (".python-version",), ("python",))
    wishes = (
        (versions.plain(chosen.version), "your choice"),
        (versions.plain(exact), file),
        (_runtime(project), "runtime.txt"),
        _of_pipfile(project),
        project.requires_python,
        (versions.plain(context.declared.versions.get("python", "")), context.declared.source),
    )
    found = versions.choose("python", installed, wishes)
    if found is None:
        return None
    wanted_range, _ = project.requires_python
    if not versions.plain(found.wanted):
        return _as_in_ci(context, found)
    if found.used:
        return found
    # The pinned version is not installed: use another one in the range, or the closest one.
    ranged = versions.newest_in(installed, wanted_range) if wanted_range else None
    used = _nearest(installed, found.wanted) if ranged is None else ranged
    return found.model_copy(update={"used": used})


def _as_in_ci(context: RecipeContext, ranged: VersionChoice) -> VersionChoice:
    """Within a range, the version with which CI runs the tests."""
    tested = versions.plain(context.declared.versions.get("python", ""))
    near = versions.nearest(context.machine.versions["python"], tested) if tested else ""
    if near and versions.newest_in((near,), ranged.wanted):
        return ranged.model_copy(update={"used": near})
    return ranged


def _nearest(installed: Sequence[str], wanted: str) -> str:
    """The oldest that is newer, else the newest."""
    newer = [each for each in installed if _numbers(each) >= _numbers(wanted)]
    return min(newer, key=_numbers) if newer else max(installed, key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in versions.plain(version).split(".") if each)


def _runtime(project: PythonProject) -> str:
    return versions.plain(project.text("runtime.txt").strip().removeprefix("python-"))


def _of_pipfile(project: PythonProject) -> tuple[str, str]:
    table = project.pipfile.get("requires")
    named = table if isinstance(table, dict) else {}
    wanted = str(named.get("python_full_version") or named.get("python_version") or "")
    return versions.plain(wanted), "Pipfile"


def _newest(context: RecipeContext) -> str:
    installed = context.machine.versions.get("python", ())
    return installed[0] if installed else ""


# Steps


def _tool_steps(context: RecipeContext, name: str) -> Iterator[SetupStep]:
    """Installs uv, and the lock file's package manager, if the worker does not have them."""
    if "uv" not in context.machine.programs:
        yield SetupStep(
            purpose="tools",
            commands=(
                SetupCommand(line="python3 -m pip install --user --quiet uv", source="uv"),
                SetupCommand(
                    line="python3 -m venv .git/honk/tools/uv"
                    " && .git/honk/tools/uv/bin/pip install --quiet uv"
                    " && mkdir -p .git/honk/tools/bin"
                    " && ln -sf ../uv/bin/uv .git/honk/tools/bin/uv",
                    source="uv",
                ),
            ),
        )
    if name in ("poetry", "pdm", "pipenv") and name not in context.machine.programs:
        yield SetupStep(
            purpose="tools",
            commands=(
                SetupCommand(
                    line='UV_TOOL_DIR="$PWD/.git/honk/tools/uv-tools"'
                    ' UV_TOOL_BIN_DIR="$PWD/.git/honk/tools/bin"'
                    f" uv tool install --quiet {name}",
                    source=name,
                ),
            ),
        )


def _environment_step(python: str) -> SetupStep:
    chosen = f" --python {shlex.quote(python)}" if python else ""
    return SetupStep(
        purpose="install",
        commands=(
            SetupCommand(line=f"uv venv --seed --allow-existing{chosen} .venv", source="uv"),
        ),
    )


def _runner_step() -> SetupStep:
    """Dependencies may install the runner under any name, so check for its module."""
    return SetupStep(
        commands=(
            SetupCommand(line=".venv/bin/python -c 'import pytest'", source="the tests"),
            SetupCommand(line="uv pip install pytest", source="the tests"),
        ),
    )


def _extra_steps(packages: Sequence[str], source: str) -> Iterator[SetupStep]:
    older = [name for name in packages if is_older_pytest(name)]
    others = [name for name in packages if name not in older]
    for names, why in ((others, f"{source}, tests"), (older, OLDER_PYTEST)):
        if names:
            line = f"uv pip install {' '.join(map(shlex.quote, names))}"
            yield SetupStep(commands=(SetupCommand(line=line, source=why),))


def _pretended(project: PythonProject, chosen: Choices) -> dict[str, str]:
    """A version for build back-ends that read it from tags, which a checkout does not have."""
    found = {
        name: value
        for name, value in chosen.environment.items()
        if name in _SCM.values() and versions.plain(value)
    }
    for backend, variable in _SCM.items():
        if backend not in project.build_requires:
            continue
        if variable == SCM and project.name and _reads_named_version(project):
            variable += f"_FOR_{re.sub(r'[-_.]+', '_', project.name).upper()}"
        if backend == "pdm-backend" and "version" not in _dynamic(project):
            continue
        found[variable] = _released(project)
    return found


def _reads_named_version(project: PythonProject) -> bool:
    """Whether setuptools_scm reads the variable with the project's name in it.

    Before version 8 it does not where setup.py asks for it. The variable without a name also
    counts for every dependency that is built with setuptools_scm, so it is the second choice.
    """
    return project.build_requires.get("setuptools-scm", SpecifierSet()).contains("8.999")


def _dynamic(project: PythonProject) -> Sequence[str]:
    listed = project.table("project").get("dynamic")
    return [str(each) for each in listed] if isinstance(listed, list) else []


def _released(project: PythonProject) -> str:
    """The newest version that the change log names."""
    for name in CHANGELOGS:
        found = _RELEASE.search(project.text(name)) if project.has(name) else None
        if found:
            return found[1]
    return "0.0.1"
