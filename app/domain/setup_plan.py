"""How to set up a repository without a policy: data that Honk creates, shows and stores. Pure.

Every command line in here was built by Honk from a closed vocabulary. Text from the repository or
the model enters a line only as a quoted argument of a known form, never as shell.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from app.domain.values import Value

Purpose = Literal["tools", "install", "build", "warm"]
"""tools: a version or package manager from its registry. install: dependencies. build: outputs
that the tests need. warm: one run that fills an offline cache."""


class SetupCommand(Value):
    """A shell line, and where it comes from: `uv.lock`, `.github/workflows/ci.yml (job test)`."""

    line: str
    source: str


class SetupStep(Value):
    """Alternatives, the strict one first: the first that exits with 0 is used.

    `environment` applies only to this step. An `optional` step may fail without a message.
    """

    commands: tuple[SetupCommand, ...]
    purpose: Purpose = "install"
    folder: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    needs_network: bool = True
    optional: bool = False


class VersionChoice(Value):
    """Which version of a tool is used, and why.

    `wanted` and `source` are the repository's (`>=3.12`, `pyproject.toml`); `used` is empty when
    no version that this worker can get is in range.
    """

    tool: str
    wanted: str
    source: str
    used: str = ""
    from_registry: bool = False

    @property
    def exact(self) -> bool:
        """Whether the version used is the one that the repository names."""
        return self.used == self.wanted


class Missing(Value):
    """Something that the tests need and this worker does not have: a tool, a package, a service, a
    version.

    `next_step`: what a person can do, as a sentence. `lines`: to paste into `.github/honk.yml`.
    """

    what: str
    why: str
    next_step: str
    lines: tuple[str, ...] = ()


class Unread(Value):
    """A step of the repository's own automation that was not understood, so it is not run."""

    what: str
    source: str
    why: str


class Service(Value):
    """A database that the tests expect, started inside their sandbox on loopback.

    `names`: host names that resolve to it. `port`: where the tests expect it. `environment`: the
    variables that the image would get (`POSTGRES_USER`, `POSTGRES_PASSWORD`, `POSTGRES_DB`).
    """

    kind: Literal["postgres", "redis"]
    names: tuple[str, ...] = ()
    port: int
    environment: dict[str, str] = Field(default_factory=dict)
    source: str = ""


class Choices(Value):
    """The choices of a repair rule, the model or a person: the closed vocabulary.

    A recipe rebuilds its commands from them; it ignores or refuses anything that the repository's
    own files do not name. `recipe`: `uv`, `poetry`, `pip`, `npm`, `pnpm`, `yarn`, ... `packages`:
    only those that the repository or the shipped import map names. Empty values mean the recipe's
    own choice.
    """

    ecosystem: str
    folder: str = ""
    recipe: str = ""
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    version: str = ""
    manager: str = ""
    loose: bool = False
    environment: dict[str, str] = Field(default_factory=dict)


def with_choice(choices: tuple[Choices, ...], choice: Choices) -> tuple[Choices, ...]:
    """The choices with an additional one; it replaces an existing one for the same folder."""
    place = (choice.ecosystem, choice.folder)
    return (*(each for each in choices if (each.ecosystem, each.folder) != place), choice)


class Recipe(Value):
    """How to set up one folder with a manifest.

    `environment` and `search_path` apply to every sandbox of the checkout: setup, agent, tests. In
    both, `@` means the checkout's caches (`app/sandbox/toolchains.py: CACHES`). `collect` counts
    the tests without network and without running them; None if only a run can.
    """

    ecosystem: str
    name: str
    folder: str = ""
    source: str
    steps: tuple[SetupStep, ...] = ()
    collect: SetupCommand | None = None
    environment: dict[str, str] = Field(default_factory=dict)
    search_path: tuple[str, ...] = ()
    versions: tuple[VersionChoice, ...] = ()
    missing: tuple[Missing, ...] = ()


class SetupPlan(Value):
    """How to set up a whole checkout. `allow`: entries as in a policy's `network.allow`."""

    recipes: tuple[Recipe, ...] = ()
    services: tuple[Service, ...] = ()
    environment: dict[str, str] = Field(default_factory=dict)
    allow: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def steps(self) -> tuple[SetupStep, ...]:
        """All steps, in the order in which they run."""
        return tuple(step for recipe in self.recipes for step in recipe.steps)
