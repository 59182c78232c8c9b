"""The commands that install a Python project: the strict ones first. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from packaging.utils import canonicalize_name

from app.domain.file_tree import located
from app.domain.setup_plan import Choices, SetupCommand
from app.recipes.python.import_names import DISTRIBUTIONS, FIXTURES, PYTEST_OPTIONS
from app.recipes.python.manifests import PythonProject
from app.recipes.python.names import is_path, requirement, wanted_for_tests
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

_MAX_NAMES = 300
_OLDER_SETUPTOOLS = "setuptools<72"
"""The last one with all that older `setup.py` files import: `setuptools.command.test`."""
_TEST_FILE = re.compile(r"(?:^|/)(?:conftest|test_[^/]*|[^/]*_test|tests?)\.py$")


Commands = tuple[str, str, list[SetupCommand]]
"""The name of the recipe, the file that it comes from, and the alternatives."""


def lock_of(project: PythonProject) -> str:
    """The lock file that decides. Of several, the one whose tool the manifest configures."""
    usable = [name for name, fits in _locks(project).items() if fits and project.has(name)]
    configured = [name for name in usable if project.table("tool", name.removesuffix(".lock"))]
    return next(iter([*configured, *usable]), "")


def _locks(project: PythonProject) -> Mapping[str, bool]:
    """Each lock file, and whether its manifest exists, too."""
    packaged, poetry = project.table("project"), project.table("tool", "poetry")
    return {
        "uv.lock": bool(packaged or project.table("tool", "uv", "workspace")),
        "poetry.lock": bool(packaged or poetry),
        "pdm.lock": bool(packaged),
        "Pipfile.lock": project.has("Pipfile"),
        "Pipfile": bool(project.pipfile),
    }


def by_lock(context: RecipeContext, project: PythonProject, chosen: Choices) -> Commands | None:
    """The commands of the lock file's tool; None if there is no lock file to follow."""
    lock = lock_of(project)
    if not lock or chosen.recipe == "pip":
        return None
    name = lock.removesuffix(".lock") if lock.endswith(".lock") else "pipenv"
    name = "pipenv" if name == "Pipfile" else name
    strict, loose = {
        "uv": _uv_lines,
        "poetry": _poetry_lines,
        "pdm": _pdm_lines,
        "pipenv": _pipenv_lines,
    }[name](context, project, chosen)
    loose += _plain_lines(context, project, chosen)
    ordered = loose if chosen.loose else [*strict, *loose]
    return name, lock, _commands(ordered, located(lock, project.folder))


Lines = tuple[list[str], list[str]]
"""The commands that follow the lock file, and those that resolve again."""


def _uv_lines(context: RecipeContext, project: PythonProject, chosen: Choices) -> Lines:
    everything = " --all-packages" if project.table("tool", "uv", "workspace") else ""
    groups = _group_options(context, project, chosen)
    extras = "".join(f" --extra {shlex.quote(each)}" for each in _extras(context, project, chosen))
    frozen = f"uv sync --frozen{everything}"
    # Conflicting extras cannot all be installed.
    strict = [f"{frozen} --all-extras{groups}", f"{frozen}{extras}{groups}", f"{frozen}{groups}"]
    return strict, [f"uv sync{everything}{extras}{groups}"]


def _poetry_lines(context: RecipeContext, project: PythonProject, chosen: Choices) -> Lines:
    names = wanted_for_tests([*project.poetry_groups, *project.groups])
    groups = f" --with {','.join(names)}" if names else ""
    install = "poetry install --no-interaction"
    extras = "".join(f" --extras {shlex.quote(each)}" for each in _extras(context, project, chosen))
    without_root = f"{install} --no-root{extras}{groups}"
    strict = [f"{install} --all-extras{groups}", f"{install}{extras}{groups}", without_root]
    return strict, [f"poetry lock --no-interaction && {install}{extras}{groups}"]


def _pdm_lines(context: RecipeContext, project: PythonProject, chosen: Choices) -> Lines:
    return ["pdm sync -G :all", "pdm sync", "pdm sync --no-self"], ["pdm install -G :all"]


def _pipenv_lines(context: RecipeContext, project: PythonProject, chosen: Choices) -> Lines:
    strict = ["pipenv sync --dev"] if project.has("Pipfile.lock") else []
    return strict, ["pipenv install --dev --skip-lock"]


def by_manifest(context: RecipeContext, project: PythonProject, chosen: Choices) -> Commands | None:
    """`uv pip install` with the entries of the manifests; None if they list nothing."""
    lines = _plain_lines(context, project, chosen)
    if not lines:
        return None
    names = ("pyproject.toml", "setup.cfg", "setup.py", *project.requirement_files)
    others = ("environment.yml", "environment.yaml", "tox.ini", "noxfile.py")
    source = next((name for name in (*names, *others) if project.has(name)), "")
    return "pip", source, _commands(lines, located(source, project.folder))


def _commands(lines: Iterable[str], source: str) -> list[SetupCommand]:
    return [SetupCommand(line=line, source=source) for line in dict.fromkeys(lines)]


def _group_options(context: RecipeContext, project: PythonProject, chosen: Choices) -> str:
    return _options("--group", _groups(context, project, chosen))


def _options(option: str, names: Iterable[str]) -> str:
    return "".join(f" {option} {shlex.quote(name)}" for name in names)


def _plain_lines(context: RecipeContext, project: PythonProject, chosen: Choices) -> list[str]:
    """`uv pip install` with everything at once; then only with what is most likely to install."""
    inside = [name for name in project.environment.files if project.has(name)]
    declared = _declared_files(context, project)
    files = tuple(dict.fromkeys((*project.requirement_files, *inside, *declared)))
    names = _names_for_tests(project)
    extras, groups = _extras(context, project, chosen), _groups(context, project, chosen)
    is_package = project.is_package and bool(project.needs_install or files or names)
    listed, more = _options("-r", files), "".join(f" {shlex.quote(name)}" for name in names)
    if not (listed or is_package or more):
        return []

    def whole(extras: Sequence[str], groups: Sequence[str], options: str = "") -> str:
        package = _editable(extras) if is_package else ""
        return f"uv pip install{options}{listed}{package}{_options('--group', groups)}{more}"

    found = [whole(extras, groups), whole(extras[:1], groups[:1]), whole((), groups[:1])]
    if len(files) > 1:
        each = [f"uv pip install -r {shlex.quote(name)}" for name in files]
        found.append(" && ".join([*each, *(["uv pip install -e ."] if is_package else [])]))
    found += ["uv pip install -e ."] if is_package and not listed else []
    if is_package and project.is_built_by_setuptools:
        constraint = f"echo '{_OLDER_SETUPTOOLS}' > .venv/build.txt"
        found.append(
            f"{constraint} && {whole((), groups[:1], ' --build-constraints .venv/build.txt')}"
        )
    # A package with the project's own name from elsewhere is not the code under test.
    alone = f" && uv pip uninstall {project.name}" if is_package and project.name else ""
    if is_package and project.table("project"):
        # Only its dependencies, if the package itself does not build.
        wanted = f"{_options('--extra', extras[:1])}{_options('--group', groups[:1])}"
        found.append(f"uv pip install -r pyproject.toml{listed}{wanted}{more}{alone}")
    found += [f"uv pip install{listed}{alone}"] if listed else []
    return list(dict.fromkeys(found))


def _editable(extras: Sequence[str]) -> str:
    names = ",".join(extras)
    return f" -e {shlex.quote(f'.[{names}]' if names else '.')}"


def _declared_files(context: RecipeContext, project: PythonProject) -> Iterator[str]:
    """Requirement files that the CI of this repository installs."""
    below = f"{project.folder}/" if project.folder else ""
    for name in context.declared.requirement_files:
        inside = name.removeprefix(below)
        if name.startswith(below) and project.has(inside) and is_path(inside):
            yield inside


def _groups(context: RecipeContext, project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    named = [*chosen.groups, *context.declared.groups, *project.environment.groups]
    known = {canonicalize_name(name): name for name in project.groups}
    asked = [known[found] for name in named if (found := canonicalize_name(name)) in known]
    return tuple(dict.fromkeys([*asked, *wanted_for_tests(project.groups)]))


def _extras(context: RecipeContext, project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    """Extras by name. A missing one is only a warning to pip, so names are looked up first."""
    named = [*chosen.extras, *context.declared.extras, *project.environment.extras]
    known = {canonicalize_name(name): name for name in project.extras}
    asked = [known[found] for name in named if (found := canonicalize_name(name)) in known]
    return tuple(dict.fromkeys([*asked, *wanted_for_tests(project.extras)]))


def _names_for_tests(project: PythonProject) -> tuple[str, ...]:
    """Packages listed by name: by tox, nox, hatch and conda's pip, by poetry and older tools."""
    groups = wanted_for_tests(project.poetry_groups)
    of_poetry = [name for group in groups for name in project.poetry_groups[group]]
    listed = [*project.environment.requirements, *project.for_tests, *of_poetry]
    read = (requirement(text) for text in listed)
    return tuple(dict.fromkeys(str(each) for each in read if each is not None))[:_MAX_NAMES]


def packages_beside(project: PythonProject, chosen: Choices) -> tuple[str, ...]:
    """Packages that a repair added."""
    return tuple(dict.fromkeys(name for name in chosen.packages if is_allowed(project, name)))


def is_allowed(project: PythonProject, name: str) -> bool:
    """Whether a package is named by the repository or by the shipped maps."""
    read = requirement(name)
    return read is not None and canonicalize_name(read.name) in project.declared_names | _KNOWN


def has_tests(project: PythonProject) -> bool:
    """Whether files are named as pytest looks for them."""
    return any(_TEST_FILE.search(name) for name in project.files)
