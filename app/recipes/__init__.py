"""Recipes: how to set up a repository without a policy file. Pure: files in, a `SetupPlan` out.

A module here that declares a `READER` belongs to the registry; there is no list to add it to.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from app.domain.setup_plan import Recipe, SetupPlan
from app.ecosystems import ECOSYSTEMS
from app.recipes import service_programs
from app.recipes.recipe import (
    Declared,
    Machine,
    RecipeContext,
    RecipeReader,
    SetupFailure,
)
from app.recipes.vocabulary import with_variables

__all__ = [
    "READERS",
    "Declared",
    "Machine",
    "RecipeContext",
    "RecipeReader",
    "SetupFailure",
    "discover",
    "read",
]


def _readers() -> tuple[RecipeReader, ...]:
    modules = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found: list[RecipeReader] = [module.READER for module in modules if hasattr(module, "READER")]
    order = {each.name: index for index, each in enumerate(ECOSYSTEMS)}
    return tuple(sorted(found, key=lambda each: order[each.ecosystem]))


READERS = _readers()


def discover(context: RecipeContext) -> SetupPlan:
    """The plan for a repository whose policy has no setup."""
    declared = context.declared
    recipes = tuple(recipe for reader in READERS for recipe in read(reader, context))
    if recipes and declared.steps:
        recipes = (*recipes, _of_automation(declared))
    programs = service_programs.recipe(declared.services)
    if programs is not None:
        recipes = (*recipes, programs)
    return SetupPlan(
        recipes=recipes,
        services=declared.services,
        environment=dict(declared.environment),
        allow=_allowed(recipes),
        missing=(*declared.missing, *(each for recipe in recipes for each in recipe.missing)),
        unread=declared.unread,
    )


def read(reader: RecipeReader, context: RecipeContext) -> tuple[Recipe, ...]:
    """A reader's recipes, with the variables that were chosen for their folders."""
    return tuple(with_variables(each, context.choices) for each in reader.read(context))


def _of_automation(declared: Declared) -> Recipe:
    """The builds that the repository's own automation runs before its tests."""
    name = "automation"
    return Recipe(ecosystem=name, name=name, source=declared.source, steps=declared.steps)


def _allowed(recipes: tuple[Recipe, ...]) -> tuple[str, ...]:
    """The registries that the recipes' steps need, by the names of their ecosystems."""
    with_registry = {each.name for each in ECOSYSTEMS if each.registry}
    needing = [each for each in recipes if any(step.needs_network for step in each.steps)]
    return tuple(
        dict.fromkeys(each.ecosystem for each in needing if each.ecosystem in with_registry)
    )
