"""The input and output of a recipe reader. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.file_tree import FileTree
from app.domain.setup_plan import Choices, Missing, Recipe, Service, SetupStep, Unread


@dataclass(frozen=True)
class Machine:
    """What this worker's sandboxes have.

    `versions`: by tool (`python`, `node`, `go`, `rust`, `java`, `maven`, `ruby`), every version
    that a sandbox can use, newest first. `programs`: names found on a sandbox's PATH. `network`:
    whether setup may reach the registries. `architecture`: as `uname -m` names it.
    """

    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    programs: frozenset[str] = frozenset()
    network: bool = True
    architecture: str = "x86_64"


@dataclass(frozen=True)
class Declared:
    """The declarations of the repository's own automation, read as data (`app/recipes/declared/`).

    `versions`: by tool, as written. `groups`, `extras` (Cargo's features too) and
    `requirement_files` (paths in the repository) are names that it installs; a recipe takes those
    that its manifests have. `packages`: by ecosystem, what it installs by name (`pytest-cov>=4`).
    `environments`: those of tox, nox or hatch that it runs. `environment`: variables of the test
    job. `steps`: builds that were understood, rebuilt by Honk; they come after the recipes'
    installs. `programs`: system packages that it installs. `source`: where most of it is from.
    """

    versions: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    requirement_files: tuple[str, ...] = ()
    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    environments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[SetupStep, ...] = ()
    services: tuple[Service, ...] = ()
    programs: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    unread: tuple[Unread, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class RecipeContext:
    """The repository, the worker, and the choices so far."""

    tree: FileTree
    machine: Machine = Machine()
    declared: Declared = Declared()
    choices: tuple[Choices, ...] = ()

    def chosen(self, ecosystem: str, folder: str) -> Choices:
        """The choices for one folder; empty if there are none."""
        for each in self.choices:
            if (each.ecosystem, each.folder) == (ecosystem, folder):
                return each
        return Choices(ecosystem=ecosystem, folder=folder)


@dataclass(frozen=True)
class SetupFailure:
    """A setup command, or the collection of tests after it, that failed.

    `output` is untrusted text, at most 64 KiB of its end. `collecting`: the setup succeeded, but
    tests could not be collected.
    """

    line: str
    exit_code: int
    output: str
    collecting: bool = False


class RecipeReader(Protocol):
    """Reads one ecosystem's manifests. A module in `app/recipes/` declares one as `READER`."""

    ecosystem: str

    def read(self, context: RecipeContext) -> Iterable[Recipe]:
        """One recipe per folder that needs one; none if there is nothing to install.

        Never raises for the content of a file: a manifest that cannot be parsed becomes a
        `Missing` that names the file and line.
        """

    def repair(
        self, context: RecipeContext, recipe: Recipe, failure: SetupFailure
    ) -> Choices | Missing:
        """Apply the repair rules to an error: other choices to try, or what is missing."""
