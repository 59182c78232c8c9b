"""The languages that Honk knows: one module each, found by its file. Pure.

A module that declares an `ECOSYSTEM` belongs to the registry; there is no list to add it to.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from app.ecosystems.ecosystem import Ecosystem, Generated, ToolchainSpec

__all__ = ["ECOSYSTEMS", "Ecosystem", "Generated", "ToolchainSpec", "either"]


def _declared() -> tuple[Ecosystem, ...]:
    modules = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    found: list[Ecosystem] = [
        module.ECOSYSTEM for module in modules if hasattr(module, "ECOSYSTEM")
    ]
    return tuple(sorted(found, key=lambda each: (each.order, each.name)))


ECOSYSTEMS = _declared()


def either(*expressions: str) -> str:
    """One regular expression for all that are not empty; matches nothing when all are."""
    return "|".join(f"(?:{each})" for each in expressions if each) or r"(?!)"
