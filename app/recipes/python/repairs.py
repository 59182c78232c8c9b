"""Repair rules for errors of a Python setup. Pure; the output is untrusted text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from packaging.utils import canonicalize_name

from app.domain.setup_plan import Choices, Missing, Recipe
from app.recipes import versions
from app.recipes.python import missing
from app.recipes.python.commands import lock_of
from app.recipes.python.import_names import (
    ALTERNATIVES,
    DISTRIBUTIONS,
    FIXTURES,
    PYTEST_OPTIONS,
    PYTEST_SETTINGS,
)
from app.recipes.python.manifests import PythonProject
from app.recipes.python.older_pytest import is_older_pytest, older_pytest
from app.recipes.recipe import RecipeContext, SetupFailure

SCM = "SETUPTOOLS_SCM_PRETEND_VERSION"

_MODULE = re.compile(r"No module named '?([\w.]{1,100})'?")
_OPTION = re.compile(r"unrecognized arguments?: ([^\n]{1,300})")
_SETTING = re.compile(r"Unknown config (?:option|ini key): (\w{1,60})")
_FIXTURE = re.compile(r"fixture '(\w{1,60})' not found")
_PLUGIN = re.compile(r"Error importing plugin \"([\w.]{1,80})\"")
_TAG = re.compile(
    r"(?i)unable to detect version|unable to determine (?:the )?version|no (?:git )?tags? found"
    r"|Versioning for this project requires|can't determine version|GetVersionError"
)
_PYTHON_RANGE = re.compile(
    r"(?:requires a different Python[^\n]{0,80}? not in '|does not satisfy Python|"
    r"requires Python|requires-python[^\n]{0,60}?`?)\s*([<>=!~][<>=!~,.\s\d*]{1,60})"
)
_OTHER_PYTHON = re.compile(r"(?i)requires[- ]python|requires a different Python|satisfy Python")
_MAX_PACKAGES = 20


def repair(
    context: RecipeContext, project: PythonProject, recipe: Recipe, failure: SetupFailure
) -> Choices | Missing:
    """Other choices to try, or what is missing."""
    chosen, output = context.chosen("python", project.folder), failure.output
    for other in (
        _with_older_pytest(project, chosen, output),
        _with_extra(project, chosen, output),
        _with_packages(project, chosen, output),
        _with_version(context, recipe, chosen, output),
        _with_tag(chosen, output),
    ):
        if other is not None and other != chosen:
            return other
    for found in missing.missing_in(project, output):
        return found
    for module in _foreign_modules(project, output):
        return missing.no_module(module)
    if _OTHER_PYTHON.search(output):
        return missing.other_python(context.machine.versions.get("python", ()))
    if not failure.collecting and not chosen.loose and recipe.name != "pip":
        return chosen.model_copy(update={"loose": True})
    return missing.unknown(failure.line, failure.exit_code, collecting=failure.collecting)


def _with_older_pytest(project: PythonProject, chosen: Choices, output: str) -> Choices | None:
    """The pytest before the one that removed what the tests use."""
    name = older_pytest(project, lock_of(project), output, chosen.packages)
    others = tuple(each for each in chosen.packages if not is_older_pytest(each))
    return chosen.model_copy(update={"packages": (*others, name)}) if name else None


def _with_extra(project: PythonProject, chosen: Choices, output: str) -> Choices | None:
    """The extra or group that lists a missing module, so that its version range applies."""
    for module in _foreign_modules(project, output):
        name = distribution(project, module)
        for field, sources in (("groups", project.groups), ("extras", project.extras)):
            found = _listing(sources, name)
            named = chosen.groups if field == "groups" else chosen.extras
            if name and found and found not in named:
                return chosen.model_copy(update={field: (*named, found)})
    return None


def _listing(sources: Mapping[str, tuple[str, ...]], name: str) -> str:
    wanted = canonicalize_name(name)
    for each, values in sources.items():
        named = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", value) for value in values)
        if any(match and canonicalize_name(match[1]) == wanted for match in named):
            return each
    return ""


def _with_packages(project: PythonProject, chosen: Choices, output: str) -> Choices | None:
    known = [name for name in _packages(project, output) if name not in chosen.packages]
    packages = tuple(dict.fromkeys([*chosen.packages, *known]))[:_MAX_PACKAGES]
    return chosen.model_copy(update={"packages": packages})


def _packages(project: PythonProject, output: str) -> Iterator[str]:
    """Packages that the output mentions, if a manifest or a shipped map names them."""
    for module in (*_foreign_modules(project, output), *_PLUGIN.findall(output)):
        name = distribution(project, module)
        if name:
            yield name
    for options in _OPTION.findall(output):
        for option in options.split():
            plain = option.partition("=")[0]
            known = next(
                (PYTEST_OPTIONS[each] for each in PYTEST_OPTIONS if _is_option(plain, each)), ""
            )
            if known:
                yield known
    for setting in _SETTING.findall(output):
        if setting in PYTEST_SETTINGS:
            yield PYTEST_SETTINGS[setting]
    for fixture in dict.fromkeys(_FIXTURE.findall(output)):
        if fixture in FIXTURES:
            yield FIXTURES[fixture]


def _is_option(option: str, known: str) -> bool:
    return option == known or (known.startswith("--") and option.startswith(f"{known}-"))


def distribution(project: PythonProject, module: str) -> str:
    """The distribution that an imported module comes from; "" if nothing trusted names one.

    The repository's own manifests count before the shipped map.
    """
    parts = module.split(".")
    if canonicalize_name(parts[0]) in project.declared_names:
        return parts[0]
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        for other in ALTERNATIVES.get(name, ()):
            if canonicalize_name(other) in project.declared_names:
                return other
        if name in DISTRIBUTIONS:
            return DISTRIBUTIONS[name]
    return ""


def _foreign_modules(project: PythonProject, output: str) -> list[str]:
    """Modules that were not found and are not the project's own."""
    return [
        module
        for module in dict.fromkeys(_MODULE.findall(output))
        if not _is_own(project, module.split(".")[0])
    ]


def _is_own(project: PythonProject, name: str) -> bool:
    places = (f"{name}/", f"src/{name}/", f"{name}.py", f"src/{name}.py")
    return any(path.startswith(places) for path in project.files)


def _with_version(
    context: RecipeContext, recipe: Recipe, chosen: Choices, output: str
) -> Choices | None:
    """Another installed Python, if the error names a range that contains one."""
    found = _PYTHON_RANGE.search(output)
    if found is None:
        return None
    installed = context.machine.versions.get("python", ())
    used = recipe.versions[0].used if recipe.versions else installed[:1]
    other = versions.newest_in(installed, found[1].strip(" ,."))
    return chosen.model_copy(update={"version": other}) if other and other != used else None


def _with_tag(chosen: Choices, output: str) -> Choices | None:
    """A version for a build back-end that looked for a tag."""
    if not _TAG.search(output) or SCM in chosen.environment:
        return None
    return chosen.model_copy(update={"environment": {**chosen.environment, SCM: "0.0.1"}})
