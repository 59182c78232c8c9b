"""The agent engines: one folder each, found by its name. There is no list to add one to.

A folder's name is the engine's, with `_` for `-`; its package declares an `ENGINE`.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import cast

from app.agent.engine import AgentEngine, EngineSpec
from app.errors import UserError
from app.settings import MissingSettingError

NAMES = tuple(
    sorted(each.name.replace("_", "-") for each in pkgutil.iter_modules(__path__) if each.ispkg)
)
"""The names that `HONK_ENGINE` and the policy's `engine:` can have."""


def spec(name: str) -> EngineSpec:
    """The declaration of an engine. Raises UserError when there is none of that name."""
    if name not in NAMES:
        raise UserError(
            f"Unknown agent engine `{name}`.",
            next_step=f"Set HONK_ENGINE to one of: {', '.join(NAMES)}.",
        )
    module = import_module(f"{__name__}.{name.replace('-', '_')}")
    return cast("EngineSpec", module.ENGINE)


class Engines:
    """A worker's engines: the operator's default, and those that policies name.

    Each is created when it is first needed and serves the whole worker.
    """

    def __init__(self, default: str, create: Callable[[str], AgentEngine]) -> None:
        """`create` makes the engine of a name; raises UserError when it cannot.

        Without the default engine's key a worker still verifies, so only other errors are raised.
        """
        self.default = default
        self._create = create
        self._created: dict[str, AgentEngine] = {}
        if not isinstance(problem := self.problem(default), MissingSettingError | None):
            raise problem

    def get(self, name: str) -> AgentEngine:
        """The engine of that name. Raises UserError when it is unknown or lacks a setting."""
        if name not in self._created:
            self._created[name] = self._create(name)
        return self._created[name]

    def problem(self, name: str) -> UserError | None:
        """Why no agent can work with that engine; None if one can."""
        try:
            self.get(name)
        except UserError as problem:
            return problem
        return None

    async def warm(self) -> None:
        """Load what would otherwise delay the first assignment."""
        if self.problem(self.default) is None:
            await self.get(self.default).warm()

    async def aclose(self) -> None:
        """Close the connections of all engines."""
        for engine in self._created.values():
            await engine.aclose()
