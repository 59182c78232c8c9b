"""The commands that install a Python project: the strict ones first. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from packaging.utils import canonicalize_name

from app.domain.file_tree import located
from app.domain.setup_plan import Choices, SetupCommand
from app.recipes.python.import_names import DISTRIBUTIONS, FIXTURES, PYTEST_OPTIONS
from app.recipes.python.manifests import PythonProject, is_path, requirement, wanted_for_tests
from app.recipes.recipe import RecipeContext

_KNOWN = frozenset(
    canonicalize_name(text.partition("<")[0])
    for text in (
        *DISTRIBUTIONS.values(),
        *PYTEST_OPTIONS.values(),
        *FIXTURES.values(),
        "pytest",
    )
)
"""Distributions of the shipped maps, in canonical form."""

_TEST_FILE = re.compile(r"(?:^|/)(?:conftest|test_[^/]*|[^/]*_test|tests?)\.py$")


def lock_of(project: PythonProject) -> str:
    """The lock file that decides, as the tool of each would find it."""
    names = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "Pipfile")
    return next((name for name in names if project.has(name)), "")


def by_lock(
    context: RecipeContext, project: PythonProject, chosen: Choices
) -> tuple[str, str, list[SetupCommand]] | None:
    lock = lock_of(project)
    if not lock or chosen.recipe == "pip":
        return None
    lines: list[str] = []
    if lock == "uv.lock":
        groups = "".join(
            f" --group {shlex.quote(each)}" for each in _groups(context, project, chosen)
        )
        lines = [f"uv sync --frozen --all-extras{groups}", f"uv sync --frozen{groups}"]
        loose = [f"uv sync --all-extras{groups}", *_plain_lines(context, project, chosen)]
    elif lock == "poetry.lock":
        names = wanted_for_tests(project.poetry_groups)
        groups = f" --with {','.join(names)}" if names else ""
        lines = [f"poetry install --no-interaction --all-extras{groups}"]
        loose = [
            f"poetry lock --no-interaction && poetry install --no-interaction --all-extras{groups}",
            *_plain_lines(context, project, chosen, _poetry_names(project)),
        ]
    elif lock == "pdm.lock":
        lines = ["pdm sync --no-self -G :all && pdm sync -G :all", "pdm sync -d"]
        loose = ["pdm install -G :all", *_plain_lines(context, project, chosen)]
    else:
        lines = (
            ["pipenv sync --dev"]
            if lock == "Pipfile.lock"
            else ["pipenv install --dev --skip-lock"]
        )
        loose = ["pipenv install --dev --skip-lock"]
    ordered = loose if chosen.loose else [*lines, *loose]
    name = {"uv.lock": "uv", "poetry.lock": "poetry", "pdm.lock": "pdm"}.get(lock, "pipenv")
    return (
        name,
        lock,
        [
            SetupCommand(line=line, source=located(lock, project.folder))
            for line in dict.fromkeys(ordered)
        ],
    )


def by_manifest(
    context: RecipeContext, project: PythonProject, chosen: Choices
) -> tuple[str, str, list[SetupCommand]] | None:
    lines = _plain_lines(context, project, chosen, _environment_names(project))
    if not lines:
        return None
    source = next(
        (
            name
            for name in ("pyproject.toml", "setup.cfg", "setup.py", *project.requirement_files)
            if project.has(name)
        ),
        "environment.yml",
    )
    return (
        "pip",
        source,
        [SetupCommand(line=line, source=located(source, project.folder)) for line in lines],
    )


def _commands(lines: Iterable[str], source: str) -> list[SetupCommand]:
    return [SetupCommand(line=line, source=source) for line in dict.fromkeys(lines)]


def _group_options(context: RecipeContext, project: PythonProject, chosen: Choices) -> str:
    return "".join(f" --group {shlex.quote(each)}" for each in _groups(context, project, chosen))


def _plain_lines(
    context: RecipeContext, project: PythonProject, chosen: Choices, names: Sequence[str] = ()
) -> list[str]:
    """`uv pip install`, with everything at once; then only what is installed most surely."""
    files = dict.fromkeys((*project.requirement_files, *_declared_files(context, project)))
    extras = _extras(context, project, chosen)
    package = ""
    if project.is_package and (project.needs_install or files or names):
        editable = f".[{','.join(extras)}]" if extras else "."
        package = f" -e {shlex.quote(editable)}"
    listed = "".join(f" -r {shlex.quote(name)}" for name in files)
    grouped = _group_options(context, project, chosen)
    more = "".join(f" {shlex.quote(name)}" for name in names)
    whole = f"{listed}{package}{grouped}{more}"
    if not whole:
        return []
    found = [f"uv pip install{whole}"]
    if package and (listed or more or extras):
        found.append(f"uv pip install{listed}{' -e .' if package else ''}{grouped}{more}")
    if listed and package:
        found.append(f"uv pip install{listed}")
    if package:
        found.append("uv pip install -e .")
    return list(dict.fromkeys(found))


def _declared_files(context: RecipeContext, project: PythonProject) -> Iterator[str]:
    """Requirement files that the CI of this repository installs."""
    below = f"{project.folder}/" if project.folder else ""
    for name in context.declared.requirement_files:
        inside = name.removeprefix(below)
        if name.startswith(below) and project.has(inside) and is_path(inside):
            yield inside


def _groups(context: RecipeContext, project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    named = [*chosen.groups, *context.declared.groups]
    known = {canonicalize_name(name): name for name in project.groups}
    asked = [known[found] for name in named if (found := canonicalize_name(name)) in known]
    return tuple(dict.fromkeys([*asked, *wanted_for_tests(project.groups)]))


def _extras(context: RecipeContext, project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    """Extras by name. A missing one is only a warning to pip, so names are looked up first."""
    named = [*chosen.extras, *context.declared.extras, *project.environments[1]]
    known = {canonicalize_name(name): name for name in project.extras}
    asked = [known[found] for name in named if (found := canonicalize_name(name)) in known]
    return tuple(dict.fromkeys([*asked, *wanted_for_tests(project.extras)]))


def _poetry_names(project: PythonProject) -> tuple[str, ...]:
    groups = wanted_for_tests(project.poetry_groups)
    return tuple(dict.fromkeys(name for group in groups for name in project.poetry_groups[group]))


def _environment_names(project: PythonProject) -> tuple[str, ...]:
    """What tox, nox, hatch and conda's pip list by name, for projects without other lists."""
    listed = [*project.environments[0], *project.conda, *_poetry_names(project)]
    read = (requirement(text) for text in listed)
    return tuple(dict.fromkeys(str(each) for each in read if each is not None))


def packages_beside(project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    """The test runner where no manifest names one, and what a repair added."""
    found = [name for name in chosen.packages if is_allowed(project, name)]
    lacks_runner = "pytest" not in project.declared_names
    if lacks_runner and has_tests(project) and _has_something_beside(project):
        found.insert(0, "pytest")
    return tuple(dict.fromkeys(found))


def is_allowed(project: PythonProject, name: str) -> bool:
    """Whether a package is named by the repository or by the shipped maps."""
    read = requirement(name)
    return read is not None and canonicalize_name(read.name) in project.declared_names | _KNOWN


def has_tests(project: PythonProject) -> bool:
    """Whether files are named as pytest looks for them."""
    return any(_TEST_FILE.search(name) for name in project.files)


def _has_something_beside(project: PythonProject) -> bool:
    """Whether the environment is made for more than the test runner alone."""
    return bool(project.needs_install or project.requirement_files or lock_of(project))
