"""Collects what was found in a repository's own automation. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.domain import environment_names
from app.domain.setup_plan import Missing, Service, SetupCommand, SetupStep, Unread
from app.recipes.recipe import Declared

_MOST_UNREAD = 40
_MOST_NAMES = 100
_SHOWN = 120


@dataclass
class Findings:
    """A `Declared` under construction; the first declaration, or that of the more trusted file,
    wins.
    """

    versions: dict[str, str] = field(default_factory=dict)
    groups: dict[str, None] = field(default_factory=dict)
    extras: dict[str, None] = field(default_factory=dict)
    requirement_files: dict[str, None] = field(default_factory=dict)
    packages: dict[str, dict[str, None]] = field(default_factory=dict)
    environments: dict[str, None] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    steps: list[SetupStep] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    programs: dict[str, None] = field(default_factory=dict)
    missing: list[Missing] = field(default_factory=list)
    unread: dict[tuple[str, str], Unread] = field(default_factory=dict)
    source: str = ""
    has_tests: bool = False

    def version(self, tool: str, wanted: str) -> None:
        if re.fullmatch(r"[\w.+*^~<>=!,| -]{1,60}", wanted):
            self.versions.setdefault(tool, wanted.strip())

    def package(self, ecosystem: str, requirement: str) -> None:
        self.packages.setdefault(ecosystem, {})[requirement] = None

    def variable(self, name: str, value: str, source: str) -> None:
        why = environment_names.refusal(name, value)
        if why:
            self.not_read(f"{name}={value}", source, why)
        elif len(self.environment) < environment_names.MAX_VARIABLES:
            self.environment.setdefault(name, value)

    def build(self, line: str, folder: str, source: str) -> None:
        """A build that the tests may need. It may fail: only the tests show whether it mattered."""
        step = SetupStep(
            commands=(SetupCommand(line=line, source=source),),
            purpose="build",
            folder=folder,
            needs_network=False,
            optional=True,
        )
        known = {(each.commands[0].line, each.folder) for each in self.steps}
        if (line, folder) not in known and len(self.steps) < _MOST_NAMES:
            self.steps.append(step)

    def service(self, service: Service) -> None:
        if all((each.kind, each.port) != (service.kind, service.port) for each in self.services):
            self.services.append(service)

    def lacks(self, missing: Missing) -> None:
        if missing not in self.missing:
            self.missing.append(missing)

    def not_read(self, what: str, source: str, why: str) -> None:
        shown = " ".join(what.split())[:_SHOWN]
        if len(self.unread) < _MOST_UNREAD:
            self.unread.setdefault((shown, source), Unread(what=shown, source=source, why=why))

    def add(self, other: Findings) -> None:
        """Add the declarations of a less trusted place that are still missing."""
        self.versions = {**other.versions, **self.versions}
        self.environment = {**other.environment, **self.environment}
        self.groups |= other.groups
        self.extras |= other.extras
        self.requirement_files |= other.requirement_files
        self.environments |= other.environments
        self.programs |= other.programs
        for ecosystem, packages in other.packages.items():
            for each in packages:
                self.package(ecosystem, each)
        for step in other.steps:
            self.build(step.commands[0].line, step.folder, step.commands[0].source)
        for service in other.services:
            self.service(service)
        for missing in other.missing:
            self.lacks(missing)
        known = {each.what for each in self.unread.values()}
        for unread in other.unread.values():
            if unread.what in known:
                continue  # Jobs of one workflow share most of their steps.
            self.not_read(unread.what, unread.source, unread.why)
        self.source = self.source or other.source
        self.has_tests = self.has_tests or other.has_tests

    def declared(self) -> Declared:
        return Declared(
            versions=dict(self.versions),
            groups=_most(self.groups),
            extras=_most(self.extras),
            requirement_files=_most(self.requirement_files),
            packages={name: _most(each) for name, each in self.packages.items()},
            environments=_most(self.environments),
            environment=dict(self.environment),
            steps=tuple(self.steps),
            services=tuple(self.services),
            programs=_most(self.programs),
            missing=tuple(self.missing),
            unread=tuple(self.unread.values()),
            source=self.source,
        )


def word_set(*lines: str) -> frozenset[str]:
    """The names in the lines, as a set."""
    return frozenset(" ".join(lines).split())


def _most(names: dict[str, None]) -> tuple[str, ...]:
    return tuple(names)[:_MOST_NAMES]
