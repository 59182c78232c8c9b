"""Python: one environment, `.venv`, in each folder with a manifest.

Which command fits which manifest, and how each tool takes its settings:
https://docs.astral.sh/uv/reference/cli/, https://python-poetry.org/docs/cli/,
https://pdm-project.org/en/latest/reference/cli/, https://pipenv.pypa.io/en/latest/cli.html.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from app.domain.file_tree import FileTree, folders_with, located
from app.domain.setup_plan import Choices, Missing, Recipe, SetupCommand, SetupStep, VersionChoice
from app.recipes import versions
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
from app.recipes.python.manifests import PythonProject, is_path
from app.recipes.recipe import Failure, RecipeContext

MANIFESTS = (
    *("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "Pipfile"),
    *("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "requirements-dev.txt"),
    *("dev-requirements.txt", "requirements-test.txt", "test-requirements.txt"),
    *("environment.yml", "environment.yaml", "tox.ini", "noxfile.py"),
)
MAX_FOLDERS = 30

_ENVIRONMENT = {
    "UV_PYTHON_DOWNLOADS": "never",
    "UV_LINK_MODE": "copy",
    "UV_NO_PROGRESS": "1",
    "POETRY_VIRTUALENVS_IN_PROJECT": "true",
    "POETRY_NO_INTERACTION": "1",
    "PIPENV_VENV_IN_PROJECT": "1",
    "PDM_CHECK_UPDATE": "false",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}
_SCM = {
    "setuptools-scm": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "hatch-vcs": "SETUPTOOLS_SCM_PRETEND_VERSION",
    "pbr": "PBR_VERSION",
    "pdm-backend": "PDM_BUILD_SCM_VERSION",
    "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
    "versioneer": "VERSIONEER_OVERRIDE",
}
_CHANGELOGS = ("CHANGELOG.md", "CHANGES.md", "CHANGELOG.rst", "CHANGES.rst", "HISTORY.md")
_RELEASE = re.compile(r"(?m)^[^\n\d]{0,20}(\d+\.\d+(?:\.\d+)?)\b")


class PythonReader:
    """Recipes for Python, and the rules that repair them."""

    ecosystem = "python"

    def read(self, context: RecipeContext) -> Iterable[Recipe]:
        folders = [
            each for each in folders_with(context.tree, *MANIFESTS) if each == "" or is_path(each)
        ]
        projects = [project_in(context.tree, folder, folders) for folder in folders]
        locked = [each.folder for each in projects if lock_of(each)]
        wanted = [
            each
            for each in projects
            # A member of a workspace is installed with its lock.
            if lock_of(each) or not any(_is_below(each.folder, folder) for folder in locked)
        ]
        wanted = [each for each in wanted if not each.folder or has_tests(each)]
        for project in wanted[:MAX_FOLDERS]:
            yield from _recipe(context, project)

    def repair(self, context: RecipeContext, recipe: Recipe, failure: Failure) -> Choices | Missing:
        project = project_in(context.tree, recipe.folder)
        return repairs.repair(context, project, recipe, failure)


READER = PythonReader()


def project_in(tree: FileTree, folder: str, others: Iterable[str] = ()) -> PythonProject:
    """The project in a folder, without the files of other projects below it."""
    below = f"{folder}/" if folder else ""
    nested = [f"{each}/" for each in others if each != folder and _is_below(each, folder)]
    files = frozenset(
        path[len(below) :]
        for path in tree.names("*")
        if path.startswith(below) and not any(path.startswith(each) for each in nested)
    )
    return PythonProject(tree, folder, files)


def _is_below(folder: str, above: str) -> bool:
    return folder != above and (not above or folder.startswith(f"{above}/"))


def _recipe(context: RecipeContext, project: PythonProject) -> Iterator[Recipe]:
    chosen = context.chosen("python", project.folder)
    if project.bad is not None:
        yield Recipe(
            ecosystem="python",
            name="pip",
            folder=project.folder,
            source=project.bad.path,
            missing=(_unreadable(project.bad.path, project.bad.why),),
        )
        return
    version = _version(context, project, chosen)
    packages = packages_beside(project, chosen)
    made = by_lock(context, project, chosen) or by_manifest(context, project, chosen)
    if made is None and packages:
        made = ("pip", "tests", [])
    if made is None:
        return
    name, source, commands = made
    missing: list[Missing] = []
    if version is not None and not version.used:
        missing.append(_no_version(version, context.machine.versions.get("python", ())))
    missing += [
        refused(each, project.declared_names)
        for each in chosen.packages
        if not is_allowed(project, each)
    ]
    python = version.used if version is not None and version.used else _newest(context)
    steps = [
        *_tool_steps(context, name),
        _environment_step(python),
        *(
            [SetupStep(commands=tuple(commands), environment=_pretended(project))]
            if commands
            else []
        ),
        *_extra_steps(packages, source),
    ]
    yield Recipe(
        ecosystem="python",
        name=name,
        folder=project.folder,
        source=located(source, project.folder) if project.has(source) else source,
        steps=tuple(_placed(step, project.folder) for step in steps),
        collect=SetupCommand(
            line=".venv/bin/python -m pytest --collect-only -q", source="the tests"
        ),
        environment={**_ENVIRONMENT, **({"UV_PYTHON": python} if python else {})},
        search_path=("@/tools/bin",),
        versions=(version,) if version is not None else (),
        missing=tuple(missing),
    )


def _placed(step: SetupStep, folder: str) -> SetupStep:
    """Tools belong to the whole checkout, so their commands run at its root."""
    if step.purpose == "tools":
        return step
    return step.model_copy(update={"folder": folder})


# Versions


def _version(
    context: RecipeContext, project: PythonProject, chosen: Choices
) -> VersionChoice | None:
    installed = context.machine.versions.get("python", ())
    exact, file = versions.pinned(project.tree, project.folder, (".python-version",), ("python",))
    wishes = [
        (versions.plain(chosen.version), "your choice"),
        (versions.plain(exact), file),
        (_runtime(project), "runtime.txt"),
        project.requires_python,
        (versions.plain(context.declared.versions.get("python", "")), context.declared.source),
    ]
    found = versions.choose("python", installed, wishes)
    if found is not None and not found.used and project.requires_python[0]:
        # A pin that is not installed: another version in the range will do.
        ranged = versions.newest_in(installed, project.requires_python[0])
        return found.model_copy(update={"used": ranged or ""})
    return found


def _runtime(project: PythonProject) -> str:
    text = project.text("runtime.txt") if project.has("runtime.txt") else ""
    return versions.plain(text.strip().removeprefix("python-"))


def _newest(context: RecipeContext) -> str:
    installed = context.machine.versions.get("python", ())
    return installed[0] if installed else ""


def _no_version(version: VersionChoice, installed: Sequence[str]) -> Missing:
    has = ", ".join(installed) or "none"
    return Missing(
        what=f"Python {version.wanted}",
        why=f"`{version.source}` asks for Python {version.wanted}; this worker has {has}.",
        next_step="Install that version on the worker, or use a container image that has it: "
        "`image:` in `.github/honk.yml`.",
    )


def _unreadable(path: str, why: str) -> Missing:
    return Missing(
        what=path,
        why=f"`{path}` cannot be parsed: {why}.",
        next_step="Fix the file on the base branch, or name the commands in `.github/honk.yml`.",
        lines=('setup: ["python3 -m venv .venv", ".venv/bin/pip install -e ."]',),
    )


# Steps


def _tool_steps(context: RecipeContext, name: str) -> Iterator[SetupStep]:
    """uv, and the manager that the lock belongs to, where the worker does not have them."""
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


def _extra_steps(packages: Sequence[str], source: str) -> Iterator[SetupStep]:
    if packages:
        names = " ".join(shlex.quote(name) for name in packages)
        yield SetupStep(
            commands=(SetupCommand(line=f"uv pip install {names}", source=f"{source}, tests"),)
        )


def _pretended(project: PythonProject) -> dict[str, str]:
    """A version for build back-ends that read it from tags, which a checkout does not have."""
    found = {}
    for backend, variable in _SCM.items():
        if backend not in project.build_requires:
            continue
        if variable == "SETUPTOOLS_SCM_PRETEND_VERSION" and project.name:
            variable += f"_FOR_{re.sub(r'[-_.]+', '_', project.name).upper()}"
        if backend == "pdm-backend" and "version" not in _dynamic(project):
            continue
        found[variable] = _released(project)
    return found


def _dynamic(project: PythonProject) -> Sequence[str]:
    listed = project.table("project").get("dynamic")
    return [str(each) for each in listed] if isinstance(listed, list) else []


def _released(project: PythonProject) -> str:
    """The newest version that the change log names."""
    for name in _CHANGELOGS:
        found = _RELEASE.search(project.text(name)) if project.has(name) else None
        if found:
            return found[1]
    return "0.0.1"
