"""The choices that are allowed for a setup in addition to the repository's files. Pure.

A model or a person chooses from a closed vocabulary; recipes rebuild their commands from it. A
chosen name must appear in the rebuilt commands: a recipe leaves out names that the repository does
not have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from app.domain.setup_plan import Choices, Recipe, SetupPlan

TOOLS = (
    *("uv", "pip", "poetry", "pdm", "pipenv", "npm", "pnpm", "yarn", "bun"),
    *("go", "cargo", "maven", "gradle", "bundler"),
)
"""Names for `recipe` and `manager`."""

VARIABLES = (
    *("CI", "TZ", "LANG", "LC_ALL", "NODE_ENV", "RAILS_ENV", "RACK_ENV", "APP_ENV", "DEBUG"),
    *("DJANGO_SETTINGS_MODULE", "FLASK_ENV", "FLASK_APP", "CGO_ENABLED", "CARGO_INCREMENTAL"),
    *("SETUPTOOLS_SCM_PRETEND_VERSION", "PBR_VERSION", "PDM_BUILD_SCM_VERSION"),
    *("SETUPTOOLS_USE_DISTUTILS", "PYTHONUTF8", "PYTHONHASHSEED"),
)
"""Names for `environment`: none of them redirects a client or starts a program."""

_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){0,3}")
_VALUE = re.compile(r"[\w .,:/=+@-]{0,200}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9@][\w.@/-]{0,100}", re.ASCII)


def refusal(choice: Choices, plan: SetupPlan) -> str:
    """Why a choice is outside the vocabulary, with what is allowed; empty if it is inside."""
    places = [(each.ecosystem, each.folder) for each in plan.recipes if each.ecosystem != "policy"]
    if (choice.ecosystem, choice.folder) not in places:
        known = ", ".join(f"{name} in {folder or 'the root'}" for name, folder in places[:20])
        return f"Nothing is set up for that ecosystem in that folder. There is: {known or 'none'}."
    for field, value in (("recipe", choice.recipe), ("manager", choice.manager)):
        if value and value not in TOOLS:
            return f"`{field}` must be one of: {', '.join(TOOLS)}."
    if choice.version and not _VERSION.fullmatch(choice.version):
        return "`version` must be digits and dots, such as 3.11."
    names = (*choice.groups, *choice.extras, *choice.packages)
    if odd := [each for each in names if not _NAME.fullmatch(each)]:
        return f"{odd[0][:60]!r} is not a plain name."
    if odd := [each for each in choice.environment if each not in VARIABLES]:
        return f"{odd[0][:60]!r} cannot be set. These variables can: {', '.join(VARIABLES)}."
    if odd := [each for each in choice.environment.values() if not _VALUE.fullmatch(each)]:
        return f"{odd[0][:60]!r} is not a plain value of a variable."
    return ""


def left_out(choice: Choices, rebuilt: Sequence[Recipe]) -> str:
    """The chosen names that a recipe left out of its commands, and why; empty if none."""
    place = (choice.ecosystem, choice.folder)
    lines = [
        command.line
        for recipe in rebuilt
        if (recipe.ecosystem, recipe.folder) == place
        for step in recipe.steps
        for command in step.commands
    ]
    for kind, names in (
        ("package", choice.packages),
        ("group", choice.groups),
        ("extra", choice.extras),
    ):
        for name in names:
            if not any(_mentions(line, name) for line in lines):
                return (
                    f"The {kind} {name!r} is not installed: neither the repository's manifests nor "
                    "the import map that Honk ships name it. A person has to add it to a manifest."
                )
    return ""


def with_variables(recipe: Recipe, choices: Iterable[Choices]) -> Recipe:
    """The recipe with the variables chosen for its folder."""
    chosen: Mapping[str, str] = next(
        (
            each.environment
            for each in choices
            if (each.ecosystem, each.folder) == (recipe.ecosystem, recipe.folder)
        ),
        {},
    )
    allowed = {name: value for name, value in chosen.items() if name in VARIABLES}
    if not allowed:
        return recipe
    return recipe.model_copy(update={"environment": {**recipe.environment, **allowed}})


def _mentions(line: str, name: str) -> bool:
    plain = _plain(name)
    return any(plain == _plain(word) for word in re.split(r"[\s,'\"\[\]=<>~!;&()]+", line))


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
