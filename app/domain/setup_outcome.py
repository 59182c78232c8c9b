"""The outcome of a setup: shown to people, offered as a policy file, stored with snapshots.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.setup import BlockedHost
from app.domain.setup_plan import Missing, Service, SetupCommand, SetupPlan, Unread, VersionChoice
from app.domain.values import Value


class CommandRun(Value):
    """A command of a setup, in its folder. `how` says how it failed; empty when it exited with 0.

    `output` is the end of what it printed: untrusted text.
    """

    line: str
    source: str
    folder: str = ""
    seconds: float = 0.0
    how: str = ""
    output: str = ""

    @property
    def failed(self) -> bool:
        """Whether it did not exit with 0."""
        return bool(self.how)


class SetupOutcome(Value):
    """The result of a setup. `plan` is what ran, after repairs.

    `ran`: the commands that worked, in order. `failed`: the last alternative of each failed step.
    `collected`: the number of tests that the runners found; None if only running them can tell.
    `missing`: what is missing, including the plan's own entries.
    """

    plan: SetupPlan = SetupPlan()
    discovered: bool = True
    ran: tuple[CommandRun, ...] = ()
    failed: tuple[CommandRun, ...] = ()
    collected: int | None = None
    seconds: float = 0.0
    missing: tuple[Missing, ...] = ()
    blocked: tuple[BlockedHost, ...] = ()

    @property
    def versions(self) -> tuple[VersionChoice, ...]:
        """The versions chosen, in the order of the recipes."""
        return tuple(each for recipe in self.plan.recipes for each in recipe.versions)

    @property
    def unread(self) -> tuple[Unread, ...]:
        """The repository's own steps that were not understood."""
        return self.plan.unread

    @property
    def taken(self) -> tuple[SetupCommand | None, ...]:
        """For each of the plan's steps, the alternative that worked; None if none did."""
        worked = {(each.line, each.folder) for each in self.ran}
        return tuple(
            next((each for each in step.commands if (each.line, step.folder) in worked), None)
            for step in self.plan.steps
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to report: nothing was needed, and nothing is missing."""
        return not (self.ran or self.failed or self.missing or self.unread or self.versions)


@dataclass(frozen=True)
class Prepared:
    """The setup's additions to every sandbox of a checkout.

    In `environment` and `search_path`, `@/` means the checkout's caches. `fixed` variables are the
    repository's own: taken as they are.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    search_path: tuple[str, ...] = ()
    fixed: Mapping[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()

    @classmethod
    def by(cls, plan: SetupPlan) -> Prepared:
        """The combined declarations of the plan's recipes; for each name, the last recipe's value
        wins.
        """
        environment: dict[str, str] = {}
        for recipe in plan.recipes:
            environment |= recipe.environment
        paths = (path for recipe in plan.recipes for path in recipe.search_path)
        return cls(
            environment=environment,
            search_path=tuple(dict.fromkeys(paths)),
            fixed=plan.environment,
            services=plan.services,
        )
