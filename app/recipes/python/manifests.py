"""What the manifests of one Python project say. Pure; files are read as data, never run."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from app.domain.file_tree import FileTree, located

MAX_BYTES = 1_000_000
MAX_REQUIREMENTS = 2_000

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_PATH = re.compile(r"(?!-)(?!.*(?:^|/)\.\.(?:/|$))[\w.][\w./+ -]{0,198}")
_TEST_WORDS = ("test", "tests", "testing", "dev", "develop", "development", "ci", "all")
"""Names of groups, extras and requirement files that tests need, in order."""

_TEST_FILE = re.compile(
    r"(?:^|/)(?:requirements[^/]*[-_.](?:dev|develop|development|tests?|testing|ci)[^/]*"
    r"|(?:dev|develop|development|tests?|testing|ci)[-_.]requirements[^/]*"
    r"|requirements/(?:[^/]*[-_.])?(?:dev|develop|development|tests?|testing|ci)[^/]*)\.(?:txt|in)$"
)
_PLAIN_FILE = re.compile(
    r"(?:^|/)(?:requirements/(?:base|main|requirements)|requirements)\.(?:txt|in)$"
)


def is_name(text: object) -> bool:
    """Whether it can only be the name of a distribution, an extra or a group."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether it can only be a path below the folder."""
    return _PATH.fullmatch(text) is not None


def requirement(text: object) -> Requirement | None:
    """A requirement by name; None for addresses, paths and what cannot be read."""
    if not isinstance(text, str) or len(text) > 500:
        return None
    try:
        read = Requirement(text)
    except (InvalidRequirement, ValueError):
        return None
    return None if read.url or not is_name(read.name) else read


def wanted_for_tests(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that speak of tests or development, the usual ones first."""
    found = []
    for name in names:
        words = re.split(r"[-_.]", name.lower())
        rank = min((_TEST_WORDS.index(word) for word in words if word in _TEST_WORDS), default=None)
        if rank is not None:
            found.append((rank, name))
    return tuple(name for _, name in sorted(found))


@dataclass(frozen=True)
class BadManifest:
    """A file that cannot be parsed, and what the parser said of it."""

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
        return {name: tuple(_group(table, name)) for name in table if is_name(name)}

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
        """Poetry's groups, by name, with the names of their packages."""
        groups = {
            name: tuple(key for key in table.get("dependencies", {}) if is_name(key))
            for name, table in self.table("tool", "poetry", "group").items()
            if is_name(name) and isinstance(table, Mapping)
        }
        old = tuple(key for key in self.table("tool", "poetry", "dev-dependencies") if is_name(key))
        return {**groups, **({"dev": old} if old else {})}

    @cached_property
    def dependencies(self) -> tuple[str, ...]:
        """What the package itself needs, as written."""
        listed = self.table("project").get("dependencies")
        found = [str(each) for each in listed] if isinstance(listed, list) else []
        found += [key for key in self.table("tool", "poetry", "dependencies") if key != "python"]
        found += self._cfg.get("options", {}).get("install_requires", "").splitlines()
        setup = self._setup_py.get("install_requires")
        found += [str(each) for each in setup] if isinstance(setup, list) else []
        return tuple(each.strip() for each in found if each.strip())[:MAX_REQUIREMENTS]

    @property
    def is_package(self) -> bool:
        """Whether it can be installed: some file says how it is built."""
        return (
            self.has("setup.py")
            or bool(self._cfg.get("metadata", {}).get("name"))
            or bool(self.table("project"))
            or bool(self.table("build-system"))
        )

    @cached_property
    def needs_install(self) -> bool:
        """Whether its tests can need more than its own files beside them."""
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
    def build_requires(self) -> tuple[str, ...]:
        listed = self.table("build-system").get("requires")
        texts = [str(each) for each in listed] if isinstance(listed, list) else []
        texts += [str(each) for each in self._setup_py.get("setup_requires") or ()]
        names = (requirement(text) for text in texts)
        return tuple(canonicalize_name(each.name) for each in names if each is not None)

    # Other files

    @cached_property
    def requirement_files(self) -> tuple[str, ...]:
        """Requirement files that tests need, relative to the folder; plain ones first."""
        near = [name for name in sorted(self.files) if name.count("/") <= 1 and is_path(name)]
        plain = [name for name in near if _PLAIN_FILE.search(name)]
        tests = [name for name in near if _TEST_FILE.search(name)]
        # The locked form of the same list comes first.
        both = [*plain, *tests]
        return tuple(
            name for name in both if not (name.endswith(".in") and f"{name[:-3]}.txt" in both)
        )

    @cached_property
    def environments(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """Requirements, extras and groups that tox, nox or hatch give to their test environment."""
        found: tuple[list[str], list[str], list[str]] = ([], [], [])
        for part in (self._tox(), self._nox(), self._hatch()):
            for into, more in zip(found, part, strict=True):
                into += more
        return (tuple(found[0]), tuple(found[1]), tuple(found[2]))

    def _tox(self) -> tuple[list[str], list[str], list[str]]:
        sections: list[Mapping[str, Any]] = []
        names = ("testenv", "testenv:test", "testenv:tests", "testenv:py")
        if self.has("tox.ini"):
            read = _ini(self.text("tox.ini"))
            sections += [read[name] for name in names if name in read]
        legacy = self.table("tool", "tox").get("legacy_tox_ini")
        if isinstance(legacy, str):
            read = _ini(legacy)
            sections += [read[name] for name in names if name in read]
        sections.append(self.table("tool", "tox", "env_run_base"))
        return (
            [each for section in sections for each in _lines(section.get("deps"))],
            [each for section in sections for each in _words(section.get("extras"))],
            [each for section in sections for each in _words(section.get("dependency_groups"))],
        )

    def _nox(self) -> tuple[list[str], list[str], list[str]]:
        """Literal arguments of `session.install` in sessions that speak of tests."""
        words: list[str] = []
        for function in _functions(self.text("noxfile.py") if self.has("noxfile.py") else ""):
            if not wanted_for_tests([function.name]):
                continue
            words += [
                argument.value
                for call in ast.walk(function)
                if isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in ("install", "run_install")
                for argument in call.args
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
            ]
        extras = [
            name
            for word in words
            for match in [re.fullmatch(r"(?:-e)?\.\[([\w., -]+)\]", word)]
            if match
            for name in _words(match[1])
        ]
        return ([word for word in words if requirement(word)], extras, [])

    def _hatch(self) -> tuple[list[str], list[str], list[str]]:
        tables = [
            self.table("tool", "hatch", "envs", name)
            for name in ("hatch-test", "test", "tests", "default")
        ]
        return (
            [
                str(each)
                for table in tables
                for key in ("dependencies", "extra-dependencies")
                for each in _lines(table.get(key))
            ],
            [each for table in tables for each in _words(table.get("features"))],
            [each for table in tables for each in _words(table.get("dependency-groups"))],
        )

    @cached_property
    def conda(self) -> tuple[str, ...]:
        """Names of the pip packages in environment.yml; its other lines need conda."""
        text = self.text("environment.yml") or self.text("environment.yaml")
        below = re.search(r"(?m)^\s*- pip:\s*\n((?:\s+- .*\n?)+)", text)
        lines = re.findall(r"(?m)^\s+- (.+)$", below[1]) if below else []
        return tuple(line.strip() for line in lines if requirement(line.strip()))

    @cached_property
    def declared_names(self) -> frozenset[str]:
        """Every distribution that some manifest names, in canonical form."""
        texts: list[str] = [*self.dependencies, *self.environments[0], *self.conda]
        for values in (*self.groups.values(), *self.extras.values(), *self.poetry_groups.values()):
            texts += values
        for name in self.requirement_files:
            texts += re.split(r"\n", self.text(name))[:MAX_REQUIREMENTS]
        texts += self._pipfile_names()
        found = (re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", text) for text in texts)
        return frozenset(canonicalize_name(match[1]) for match in found if match)

    def _pipfile_names(self) -> Iterator[str]:
        try:
            read = tomllib.loads(self.text("Pipfile")) if self.has("Pipfile") else {}
        except (tomllib.TOMLDecodeError, RecursionError, ValueError):
            return
        for section in ("packages", "dev-packages"):
            table = read.get(section)
            yield from (key for key in table if is_name(key)) if isinstance(table, dict) else ()

    @cached_property
    def _cfg(self) -> Mapping[str, Mapping[str, str]]:
        return _ini(self.text("setup.cfg")) if self.has("setup.cfg") else {}

    @cached_property
    def _setup_py(self) -> Mapping[str, Any]:
        """Literal arguments of the call of `setup`, with names that are literals above it."""
        return _setup_arguments(self.text("setup.py")) if self.has("setup.py") else {}

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


def _group(table: Mapping[str, Any], name: str, depth: int = 0) -> Iterator[str]:
    values = table.get(name)
    for value in values if isinstance(values, list) else ():
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict) and depth < 5:
            yield from _group(table, str(value.get("include-group", "")), depth + 1)


def _ini(text: str) -> Mapping[str, Mapping[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _lines(value: object) -> list[str]:
    """A list, or the lines of a text; tox's factors (`py39: name`) are taken off."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)):
        return []
    plain = (re.sub(r"^\s*[\w!,{}.-]+:\s+", "", str(line)).strip() for line in lines)
    return [line for line in plain if line and not line.startswith("#")]


def _words(value: object) -> list[str]:
    words = re.split(r"[\s,]+", value) if isinstance(value, str) else value
    return [word for word in words if is_name(word)] if isinstance(words, (list, tuple)) else []


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


def _functions(text: str) -> Iterator[ast.FunctionDef]:
    return (each for each in _parsed(text).body if isinstance(each, ast.FunctionDef))


def _setup_arguments(text: str) -> Mapping[str, Any]:
    module = _parsed(text)
    known: dict[str, Any] = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target = statement.targets[0]
            if isinstance(target, ast.Name):
                known[target.id] = _value(statement.value, known)
    for call in ast.walk(module):
        if isinstance(call, ast.Call) and _is_setup(call.func):
            return {
                word.arg: _value(word.value, known)
                for word in call.keywords
                if word.arg is not None
            }
    return {}


def _is_setup(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name == "setup"


def _value(node: ast.expr, known: Mapping[str, Any], depth: int = 0) -> Any:
    """The value of a literal expression, where names stand for literals; None for what is not."""
    if depth > 8:
        return None
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(each, known, depth + 1) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {
            _value(key, known, depth + 1): _value(value, known, depth + 1)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, (ast.Constant, ast.Name))
        }
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        sides = [_value(each, known, depth + 1) for each in (node.left, node.right)]
        return sides[0] + sides[1] if all(isinstance(each, list) for each in sides) else None
    return None
