"""Reads the manifests of one Python project. Pure; files are read as data, never run."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from app.domain.file_tree import FileTree, located
from app.recipes.python.environments import (
    TestEnvironment,
    conda_packages,
    ini_sections,
    lines_of,
    read_hatch,
    read_nox,
    read_tox,
)
from app.recipes.python.names import is_name, is_path, requirement
from app.recipes.python.setup_files import setup_arguments, texts

MAX_BYTES = 1_000_000
MAX_REQUIREMENTS = 2_000

_TEST_FILE = re.compile(
    r"(?:^|/)(?:requirements[^/]*[-_.](?:dev|develop|development|tests?|testing|ci)[^/]*"
    r"|(?:dev|develop|development|tests?|testing|ci)[-_.]requirements[^/]*"
    r"|requirements/(?:[^/]*[-_.])?(?:dev|develop|development|tests?|testing|ci)[^/]*"
    r"|tests?/requirements)\.(?:txt|in)$"
)
_PLAIN_FILE = re.compile(
    r"(?:^|/)(?:requirements/(?:base|main|requirements)|requirements)\.(?:txt|in)$"
)


@dataclass(frozen=True)
class BadManifest:
    """A file that cannot be parsed, and the parser's message."""

    path: str
    why: str


@dataclass(frozen=True)
class PythonProject:
    """One folder of a tree, read lazily."""

    tree: FileTree
    folder: str = ""
    files: frozenset[str] = field(default=frozenset())
    """Names below the folder, relative to it."""

    def text(self, name: str) -> str:
        """The file's content; "" if there is no such file."""
        if not self.has(name):
            return ""
        return self.tree.read_text(located(name, self.folder), MAX_BYTES) or ""

    def has(self, name: str) -> bool:
        return name in self.files

    # pyproject.toml

    @cached_property
    def _pyproject(self) -> tuple[Mapping[str, Any], BadManifest | None]:
        if not self.has("pyproject.toml"):
            return {}, None
        try:
            return tomllib.loads(self.text("pyproject.toml").removeprefix("\ufeff")), None
        except (tomllib.TOMLDecodeError, RecursionError, ValueError) as problem:
            why = str(problem)[:200] or "it cannot be parsed"
            return {}, BadManifest(located("pyproject.toml", self.folder), why)

    @property
    def bad(self) -> BadManifest | None:
        return self._pyproject[1]

    def table(self, *keys: str) -> Mapping[str, Any]:
        """A table of pyproject.toml; empty when there is none."""
        found: Any = self._pyproject[0]
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found if isinstance(found, Mapping) else {}

    @cached_property
    def name(self) -> str:
        for found in (
            self.table("project").get("name"),
            self.table("tool", "poetry").get("name"),
            self._cfg.get("metadata", {}).get("name"),
            self._setup_py.get("name"),
        ):
            if is_name(found):
                return str(found)
        return ""

    @cached_property
    def requires_python(self) -> tuple[str, str]:
        """The range of versions, and the file that names it; empty when none does."""
        found = self.table("project").get("requires-python")
        if isinstance(found, str):
            return found, "pyproject.toml"
        poetry = self.table("tool", "poetry", "dependencies").get("python")
        if isinstance(poetry, str):
            return poetry_range(poetry), "pyproject.toml"
        cfg = self._cfg.get("options", {}).get("python_requires")
        if cfg:
            return cfg, "setup.cfg"
        setup = self._setup_py.get("python_requires")
        return (setup, "setup.py") if isinstance(setup, str) else ("", "")

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """[dependency-groups], by name as written; includes are resolved."""
        table = self.table("dependency-groups")
        return {name: _group(table, name) for name in table if is_name(name)}

    @cached_property
    def extras(self) -> Mapping[str, tuple[str, ...]]:
        """Extras by name, from every kind of manifest."""
        found: dict[str, tuple[str, ...]] = {}
        sources: tuple[Mapping[str, Any], ...] = (
            self.table("project", "optional-dependencies"),
            self.table("tool", "poetry", "extras"),
            {
                key: value.splitlines()
                for key, value in self._cfg.get("options.extras_require", {}).items()
            },
            self._setup_extras,
        )
        for source in sources:
            for name, values in source.items():
                if is_name(name) and isinstance(values, (list, tuple)):
                    found.setdefault(name, tuple(str(value) for value in values))
        return found

    @cached_property
    def poetry_groups(self) -> Mapping[str, tuple[str, ...]]:
        """Poetry's groups, by name, with their packages as requirements."""
        groups = {
            name: _of_poetry(self.table("tool", "poetry", "group", name, "dependencies"))
            for name in self.table("tool", "poetry", "group")
            if is_name(name)
        }
        old = _of_poetry(self.table("tool", "poetry", "dev-dependencies"))
        return {**groups, **({"dev": old} if old else {})}

    @cached_property
    def dependencies(self) -> tuple[str, ...]:
        """The package's own requirements, as written."""
        listed = self.table("project").get("dependencies")
        found = [str(each) for each in listed] if isinstance(listed, list) else []
        found += [key for key in self.table("tool", "poetry", "dependencies") if key != "python"]
        found += self._cfg.get("options", {}).get("install_requires", "").splitlines()
        found += texts(self._setup_py.get("install_requires"))
        return tuple(each.strip() for each in found if each.strip())[:MAX_REQUIREMENTS]

    @property
    def is_package(self) -> bool:
        """Whether it can be installed: a file declares how to build it."""
        return (
            self.has("setup.py")
            or bool(self._cfg.get("metadata", {}).get("name"))
            or bool(self.table("project"))
            or bool(self.table("build-system"))
        )

    @property
    def is_built_by_setuptools(self) -> bool:
        """Whether setuptools builds it: that is the default."""
        backend = self.table("build-system").get("build-backend", "setuptools")
        return str(backend).startswith("setuptools")

    @cached_property
    def needs_install(self) -> bool:
        """Whether its tests may need more than its own files next to them."""
        project = self.table("project")
        return bool(
            self.dependencies
            or self.extras
            or self.groups
            or self.poetry_groups
            or self.has("setup.py")
            or project.get("dynamic")
            or project.get("scripts")
            or project.get("entry-points")
            or self._cfg.get("options.entry_points")
            or (self.is_package and any(name.startswith("src/") for name in self.files))
        )

    @cached_property
    def build_requires(self) -> Mapping[str, SpecifierSet]:
        """The build requirements: canonical names with their versions."""
        found = texts(self.table("build-system").get("requires"))
        found += texts(self._setup_py.get("setup_requires"))
        read = (requirement(text) for text in found)
        return {canonicalize_name(each.name): each.specifier for each in read if each is not None}

    # Other files

    @cached_property
    def requirement_files(self) -> tuple[str, ...]:
        """Requirement files that tests need, relative to the folder; plain ones first."""
        near = [
            name
            for name in sorted(self.files)
            if name.count("/") <= 1 and is_path(name) and not name.startswith(("doc", "example"))
        ]
        plain = [name for name in near if _PLAIN_FILE.search(name)]
        tests = [name for name in near if _TEST_FILE.search(name)]
        # The locked form of the same list comes first.
        both = [*plain, *tests]
        return tuple(
            name for name in both if not (name.endswith(".in") and f"{name[:-3]}.txt" in both)
        )

    @cached_property
    def environment(self) -> TestEnvironment:
        """The test requirements of tox, nox, hatch and conda's pip."""
        made = TestEnvironment()
        tox = self.table("tool", "tox")
        read_tox(made, self.text("tox.ini"), tox.get("legacy_tox_ini"), tox)
        read_nox(made, self.text("noxfile.py"))
        envs = ("hatch-test", "test", "tests", "default")
        read_hatch(made, (self.table("tool", "hatch", "envs", name) for name in envs))
        made.requirements += self._conda[0]
        return made

    @property
    def conda(self) -> tuple[str, ...]:
        """The packages that environment.yml takes from conda itself."""
        return self._conda[1]

    @cached_property
    def _conda(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return conda_packages(self.text("environment.yml") or self.text("environment.yaml"))

    @cached_property
    def declared_names(self) -> frozenset[str]:
        """Every distribution that some manifest names, in canonical form."""
        listed = [*self.declared_texts, *self.conda, *self._pipfile_names()]
        found = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text) for text in listed)
        return frozenset(canonicalize_name(match[1]) for match in found if match)

    @cached_property
    def declared_texts(self) -> tuple[str, ...]:
        """Every requirement for pip that some manifest lists, as written."""
        listed = [*self.dependencies, *self.environment.requirements, *self.for_tests]
        for values in (*self.groups.values(), *self.extras.values(), *self.poetry_groups.values()):
            listed += values
        for name in (*self.requirement_files, *self.environment.files):
            listed += self.text(name).splitlines()[:MAX_REQUIREMENTS]
        return tuple(listed)

    @cached_property
    def for_tests(self) -> tuple[str, ...]:
        """Older lists of test requirements: `tests_require`, and tables of uv and pdm."""
        found = texts(self._setup_py.get("tests_require"))
        found += lines_of(self._cfg.get("options", {}).get("tests_require"))
        found += texts(self.table("tool", "uv").get("dev-dependencies"))
        for values in self.table("tool", "pdm", "dev-dependencies").values():
            found += texts(values)
        return tuple(each for each in found if requirement(each))[:MAX_REQUIREMENTS]

    @cached_property
    def pipfile(self) -> Mapping[str, Any]:
        """The Pipfile; empty if it cannot be parsed."""
        try:
            return tomllib.loads(self.text("Pipfile"))
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            return {}

    def _pipfile_names(self) -> Iterator[str]:
        for section in ("packages", "dev-packages"):
            table = self.pipfile.get(section)
            yield from (key for key in table if is_name(key)) if isinstance(table, dict) else ()

    @cached_property
    def _cfg(self) -> Mapping[str, Mapping[str, str]]:
        return ini_sections(self.text("setup.cfg"))

    @cached_property
    def _setup_py(self) -> Mapping[str, Any]:
        """Literal arguments of the call of `setup`, with names that are literals above it."""
        return setup_arguments(self.text("setup.py"))

    @property
    def _setup_extras(self) -> Mapping[str, Any]:
        found = self._setup_py.get("extras_require")
        return found if isinstance(found, dict) else {}


def poetry_range(text: str) -> str:
    """Poetry's `^3.10` and `~3.10` as a standard range. Other forms stay as they are."""
    parts = []
    for part in text.split(","):
        part = part.strip()
        caret = re.fullmatch(r"\^\s*(\d+)((?:\.\d+)*)", part)
        tilde = re.fullmatch(r"~\s*(\d+)\.(\d+)((?:\.\d+)*)", part)
        if caret:
            parts.append(f">={caret[1]}{caret[2]},<{int(caret[1]) + 1}")
        elif tilde:
            parts.append(f">={tilde[1]}.{tilde[2]}{tilde[3]},<{tilde[1]}.{int(tilde[2]) + 1}")
        else:
            parts.append("" if part == "*" else part)
    return ",".join(part for part in parts if part)


def _of_poetry(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The packages of a table, each with its range if the standard form can express it."""
    found = []
    for name, value in table.items():
        wanted = value.get("version") if isinstance(value, dict) else value
        text = poetry_range(wanted) if isinstance(wanted, str) else ""
        exact = f"=={text}" if re.match(r"\d", text) else text
        if is_name(name):
            found.append(f"{name}{exact}" if requirement(f"{name} {exact}") else name)
    return tuple(found)


def _group(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The entries of a dependency group and of those that it includes, each once."""
    found: list[str] = []
    waiting, seen = [name], {name}
    while waiting and len(found) < MAX_REQUIREMENTS:
        values = table.get(waiting.pop())
        for value in values[:MAX_REQUIREMENTS] if isinstance(values, list) else ():
            included = value.get("include-group") if isinstance(value, dict) else None
            if isinstance(value, str):
                found.append(value)
            elif isinstance(included, str) and included not in seen:
                seen.add(included)
                waiting.append(included)
    return tuple(found[:MAX_REQUIREMENTS])
