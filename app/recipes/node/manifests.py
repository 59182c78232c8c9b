"""Reads the manifests of one Node package. Pure; files are read as data, never run."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from app.domain.file_tree import FileTree, located
from app.domain.safe_json import json_value

MAX_BYTES = 1_000_000
MAX_LOCK_START = 4_000
MANAGERS = ("npm", "pnpm", "yarn", "bun")
LOCKS = (
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
)

_PIN = re.compile(r"(npm|pnpm|yarn|bun)@(\d{1,4}\.\d{1,6}\.\d{1,6}(?:-[\w.]{1,30})?)(?:\+\w+.*)?")
_VERSION = re.compile(r"\d{1,4}(?:\.\d{1,6}){0,2}(?:-[\w.]{1,30})?")
_SCRIPT = re.compile(r"[\w][\w:.-]{0,60}")
_LISTS = ("dependencies", "devDependencies", "optionalDependencies")
_BUILT = ("main", "module", "types", "typings", "bin", "exports")


@dataclass(frozen=True)
class Pin:
    """A package manager and its version, as the repository names it; "" if it names none."""

    manager: str
    version: str
    source: str


@dataclass(frozen=True)
class NodePackage:
    """One folder with a package.json."""

    tree: FileTree
    folder: str = ""

    def path(self, name: str) -> str:
        return located(name, self.folder)

    def has(self, name: str) -> bool:
        return self.tree.exists(self.path(name))

    def start(self, name: str) -> str:
        return self.tree.read_text(self.path(name), MAX_LOCK_START) or ""

    @cached_property
    def _read(self) -> tuple[Mapping[str, object], str]:
        text = self.tree.read_text(self.path("package.json"), MAX_BYTES) or "{}"
        try:
            read = json_value(text.removeprefix("\ufeff"))
        except ValueError as problem:
            return {}, str(problem)[:200] or "it is not JSON"
        return (read, "") if isinstance(read, dict) else ({}, "it is not an object")

    @property
    def manifest(self) -> Mapping[str, object]:
        return self._read[0]

    @property
    def problem(self) -> str:
        """Why package.json cannot be read; "" when it can."""
        return self._read[1]

    def table(self, key: str) -> Mapping[str, object]:
        found = self.manifest.get(key)
        return found if isinstance(found, dict) else {}

    @property
    def has_dependencies(self) -> bool:
        return any(self.table(key) for key in _LISTS)

    @cached_property
    def scripts(self) -> Mapping[str, str]:
        return {
            name: text
            for name, text in self.table("scripts").items()
            if isinstance(text, str) and _SCRIPT.fullmatch(name)
        }

    @property
    def has_tests(self) -> bool:
        """Whether a script tests it; a manifest that cannot be read may have one."""
        text = self.scripts.get("test", "")
        return bool(self.problem or (text and "no test specified" not in text))

    @cached_property
    def declared_names(self) -> frozenset[str]:
        return frozenset(name for key in (*_LISTS, "peerDependencies") for name in self.table(key))

    @cached_property
    def pin(self) -> Pin | None:
        """The package manager that the manifest names."""
        named = self.manifest.get("packageManager")
        found = _PIN.fullmatch(named) if isinstance(named, str) else None
        if found:
            return Pin(found[1], found[2], "package.json (packageManager)")
        engines = self.table("devEngines").get("packageManager")
        if isinstance(engines, dict) and engines.get("name") in MANAGERS:
            version = str(engines.get("version", ""))
            plain = version if _VERSION.fullmatch(version) else ""
            return Pin(str(engines["name"]), plain, "package.json (devEngines)")
        for manager in ("pnpm", "yarn", "npm"):
            pinned = self.table("volta").get(manager)
            if isinstance(pinned, str) and _VERSION.fullmatch(pinned):
                return Pin(manager, pinned, "package.json (volta)")
        return None

    @cached_property
    def locks(self) -> tuple[tuple[str, str], ...]:
        """Lock files of the folder with their managers, in the order in which they count."""
        return tuple((name, manager) for name, manager in LOCKS if self.has(name))

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Patterns of the workspace's packages, relative to this folder; none without one."""
        listed = self.manifest.get("workspaces")
        if isinstance(listed, dict):
            listed = listed.get("packages")
        if not isinstance(listed, list) and self.has("pnpm-workspace.yaml"):
            listed = _packages(self.tree.read_text(self.path("pnpm-workspace.yaml"), MAX_BYTES))
        if not isinstance(listed, list) and self.has("lerna.json"):
            listed = ["packages/*"]
        each_listed = listed if isinstance(listed, list) else []
        patterns = [each for each in each_listed if isinstance(each, str)]
        return tuple(posixpath.normpath(each.removeprefix("./")) for each in patterns)

    def has_member(self, folder: str) -> bool:
        """Whether a folder below belongs to the workspace."""
        inside = folder.removeprefix(f"{self.folder}/") if self.folder else folder
        wanted = [each for each in self.members if not each.startswith("!")]
        unwanted = [each[1:] for each in self.members if each.startswith("!")]
        return any(_matches(inside, each) for each in wanted) and not any(
            _matches(inside, each) for each in unwanted
        )

    @cached_property
    def needs_build(self) -> bool:
        """Whether its exports are missing in the tree and a script builds them."""
        if "build" not in self.scripts:
            return False
        listed = [path for key in _BUILT for path in _paths(self.manifest.get(key))]
        return any(self._is_absent(path) for path in listed)

    def _is_absent(self, path: str) -> bool:
        plain = posixpath.normpath(path)
        if plain.startswith(("..", "/")) or "*" in plain or plain == ".":
            return False
        names = (plain, f"{plain}.js", f"{plain}/index.js", f"{plain}.json", f"{plain}.cjs")
        return not any(self.has(name) for name in names)


def _packages(text: str | None) -> object:
    """`packages` of pnpm-workspace.yaml, read without aliases."""
    if not text or "&" in text or "*:" in text:
        return re.findall(r"""(?m)^\s*- *['"]?([^'"\s#]+)""", text or "")
    try:
        read = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return None
    return read.get("packages") if isinstance(read, dict) else None


def _matches(folder: str, pattern: str) -> bool:
    if "**" in pattern:
        return fnmatchcase(folder, pattern.replace("**", "*"))
    same_depth = folder.count("/") == pattern.count("/")
    return same_depth and fnmatchcase(folder, pattern)


def _paths(value: object, depth: int = 0) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict) and depth < 6:
        for each in value.values():
            yield from _paths(each, depth + 1)


def in_range(version: str, wanted: str) -> bool | None:
    """Whether a version is in a range in npm's syntax; None for an invalid range.

    https://github.com/npm/node-semver#ranges
    """
    if not re.fullmatch(r"[\w.\s<>=^~|*-]{1,200}", wanted):
        return None
    try:
        return any(_all(version, part.strip()) for part in wanted.split("||"))
    except ValueError:
        return None


def _all(version: str, part: str) -> bool:
    hyphen = re.fullmatch(r"(\S+)\s+-\s+(\S+)", part)
    if hyphen:
        part = f">={hyphen[1]} <={hyphen[2]}"
    part = re.sub(r"([<>=^~]+)\s+", r"\1", part)
    limits = ",".join(limit for word in part.split() for limit in _limits(word))
    return SpecifierSet(limits).contains(Version(version), prereleases=True)


def _limits(word: str) -> Iterator[str]:
    found = re.fullmatch(
        r"([<>=^~]*)v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-.*)?", word
    )
    if found is None:
        raise ValueError("no range")
    sign = found[1]
    numbers = [int(each) for each in found.groups()[1:] if each and each.isdigit()]
    if not numbers:
        return
    plain = ".".join(map(str, numbers))
    if sign == "^":
        # Up to the first number that is not zero.
        at = next((n for n, each in enumerate(numbers) if each), len(numbers) - 1)
        yield from (f">={plain}", f"<{_next(numbers[: at + 1])}")
    elif sign == "~" or (sign in ("", "=") and len(numbers) < 3):
        yield from (f">={plain}", f"<{_next(numbers[: min(2, len(numbers))])}")
    elif sign == "<=" and len(numbers) < 3:
        yield f"<{_next(numbers)}"
    elif sign == ">" and len(numbers) < 3:
        yield f">={_next(numbers)}"
    else:
        yield f"{'==' if sign in ('', '=') else sign}{plain}"


def _next(numbers: list[int]) -> str:
    return ".".join(map(str, [*numbers[:-1], numbers[-1] + 1]))
