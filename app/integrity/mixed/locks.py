"""Lock files: separates development dependencies from the rest, where the format allows it. Pure.

A lock file is never combined from two. If it is unreadable, all of it is source.
"""

from __future__ import annotations

import re
import tomllib
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import yaml

from app.domain.safe_json import json_value
from app.integrity.mixed.splitter import Parts, Splitter

TEST_GROUP = r"[\w-]*(?:test|dev|lint|qa|ci|typing|check|cov)[\w-]*"
"""Matches the names of groups and extras that only development needs."""

_MAX_BYTES = 8_000_000
_MAX_YAML_BYTES = 1_500_000
_UNREADABLE = (ValueError, RecursionError, AttributeError, LookupError, TypeError, yaml.YAMLError)
_TEST_GROUP = re.compile(TEST_GROUP)


class Lock(Splitter):
    """One format. Development-only entries become the `dependencies` of the parts."""

    def parts(self, content: bytes) -> Parts | None:
        try:
            if len(content) <= _MAX_BYTES:
                source, development = self._read(content.decode("utf-8"))
                return Parts(repr(source), (), repr(development))
        except _UNREADABLE:
            pass
        return Parts(content, ())

    @abstractmethod
    def _read(self, text: str) -> tuple[object, object]:
        """The product's entries, and the development-only entries. May raise _UNREADABLE."""

    def _spliced(self, source: bytes, rest: bytes) -> bytes | None:
        return source


class PackageLock(Lock):
    """npm's: packages are marked `dev`."""

    def _read(self, text: str) -> tuple[object, object]:
        data = json_value(text)
        packages = dict(data.pop("packages"))
        root = dict(packages.pop("", {}))
        own = {name: each for name, each in packages.items() if each.get("dev") is not True}
        # Version 2 repeats everything for older clients.
        data.pop("dependencies", None)
        development = root.pop("devDependencies", None)
        rest = {name: each for name, each in packages.items() if name not in own}
        return (data, root, own), (development, rest)


class PnpmLock(Lock):
    """pnpm's: packages are marked `dev`, or (since version 9) form a graph."""

    def _read(self, text: str) -> tuple[object, object]:
        if len(text) > _MAX_YAML_BYTES or re.search(r"(?m)^[^'\"\n]*[:\-] *[&*]\w", text):
            raise ValueError("too large, or with anchors")
        data = dict(yaml.load(text, Loader=yaml.CSafeLoader))
        version = data.pop("lockfileVersion")
        importers = {
            name: dict(each) for name, each in dict(data.pop("importers", None) or {}).items()
        }
        development = [each.pop("devDependencies", None) for each in importers.values()]
        development.append(data.pop("devDependencies", None))
        packages = dict(data.pop("packages", None) or {})
        if "snapshots" in data:
            needed = self._reached(importers, dict(data.pop("snapshots") or {}))
            own = {name: each for name, each in packages.items() if name in needed}
        else:
            own = {name: each for name, each in packages.items() if each["dev"] is not True}
        rest = {name: each for name, each in packages.items() if name not in own}
        return (version, data, importers, own), (development, rest)

    def _reached(
        self, importers: Mapping[str, Any], snapshots: Mapping[str, Any]
    ) -> frozenset[str]:
        """The packages that the product reaches. A snapshot's name ends with its peers."""
        edges = {name: _names_of(each or {}) for name, each in snapshots.items()}
        start = [name for each in importers.values() for name in _names_of(each)]
        return frozenset(name.partition("(")[0] for name in _closure(start, edges))


def _names_of(entry: Mapping[str, Any]) -> list[str]:
    """The snapshots that an importer or a snapshot depends on."""
    found = []
    for kind in ("dependencies", "optionalDependencies"):
        for name, wanted in dict(entry.get(kind) or {}).items():
            version = str(wanted["version"] if isinstance(wanted, dict) else wanted)
            # An alias names its package, too.
            found.append(version if "@" in version.partition("(")[0] else f"{name}@{version}")
    return found


class TomlLock(Lock):
    """A lock of Python: a list of packages, each with the groups that need it."""

    def _read(self, text: str) -> tuple[object, object]:
        data = tomllib.loads(text)
        packages = list(data.pop("package"))
        metadata = dict(data.pop("metadata", {}))
        # They are made from the whole manifest, which has sides itself.
        digest = (metadata.pop("content-hash", None), metadata.pop("content_hash", None))
        files = dict(metadata.pop("files", {}))
        rest: list[dict[str, Any]] = []
        kept: list[dict[str, Any]] = []
        for each in packages:
            (rest if self._is_development(each) else kept).append(each)
        names = {each["name"] for each in rest}
        names -= {each["name"] for each in kept}
        own = {name: each for name, each in files.items() if name not in names}
        others = {name: each for name, each in files.items() if name in names}
        return (data, metadata, kept, own), (digest, rest, others)

    def _is_development(self, package: Mapping[str, Any]) -> bool:
        raise NotImplementedError


class PoetryLock(TomlLock):
    """Poetry's since version 2, and before 1.5; those between do not name the groups."""

    def _is_development(self, package: Mapping[str, Any]) -> bool:
        if package.get("category") == "dev":
            return True
        groups = package.get("groups")
        return bool(groups) and "main" not in list(groups or ())


class PdmLock(TomlLock):
    """PDM's, where the groups may be extras of the product."""

    def _is_development(self, package: Mapping[str, Any]) -> bool:
        groups = list(package.get("groups") or ())
        return bool(groups) and all(_TEST_GROUP.fullmatch(each) for each in groups)


class UvLock(Lock):
    """uv's: a graph that begins at the project and the members of its workspace."""

    def _read(self, text: str) -> tuple[object, object]:
        data = tomllib.loads(text)
        packages = [dict(each) for each in data.pop("package")]
        members = [each for each in packages if _OF_UV.intersection(each["source"])]
        development = [self._without_development(each) for each in members]
        edges: dict[str, list[str]] = defaultdict(list)
        for each in packages:
            extras = dict(each.get("optional-dependencies", {})).values()
            listed = [each.get("dependencies", ()), *extras]
            edges[each["name"]] += [wanted["name"] for some in listed for wanted in some]
        needed = _closure([each["name"] for each in members], edges)
        own = [each for each in packages if each["name"] in needed]
        rest = [each for each in packages if each["name"] not in needed]
        return (data, own), (development, rest)

    def _without_development(self, member: dict[str, Any]) -> object:
        """Remove the development-only entries from a member, and return them."""
        extras = dict(member.pop("optional-dependencies", {}))
        tests = {name: extras.pop(name) for name in list(extras) if _TEST_GROUP.fullmatch(name)}
        if extras:
            member["optional-dependencies"] = extras
        # `metadata` repeats the manifest, which has sides itself.
        return member.pop("dev-dependencies", None), tests, member.pop("metadata", None)


_OF_UV = frozenset({"editable", "virtual", "directory"})
"""Kinds of sources that are folders of the repository."""


class JsonLock(Lock):
    """A lock file in JSON that lists development-only entries under separate keys.

    `product` is the key of the product's entries, `development` are the others.
    """

    def __init__(self, product: str, *development: str) -> None:
        self._product = product
        self._development = development

    def _read(self, text: str) -> tuple[object, object]:
        data = dict(json_value(text))
        product = data.pop(self._product)
        # The digest is made from the whole manifest, which has sides itself.
        meta = dict(data.pop("_meta", {}))
        digest = (meta.pop("hash", None), data.pop("content-hash", None))
        rest = [data.pop(key, None) for key in self._development]
        return (data, meta, product), (digest, rest)


class GradleLock(Lock):
    """Gradle's: each line ends with the configurations that need the module."""

    def _read(self, text: str) -> tuple[object, object]:
        # Empty entries are listed only for completeness.
        lines = [line for line in text.splitlines() if not line.startswith(("#", "empty="))]
        if not lines:
            raise ValueError("empty")
        configurations = {line: line.split("=")[1].split(",") for line in lines}
        rest = [
            line
            for line, names in configurations.items()
            if all(re.search(r"(?i)test|jacoco|checkstyle|pmd|spotbugs", name) for name in names)
        ]
        development = set(rest)
        return [line for line in lines if line not in development], rest


def _closure(start: Iterable[str], edges: Mapping[str, Collection[str]]) -> frozenset[str]:
    found: set[str] = set()
    stack = list(start)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack.extend(edges.get(name, ()))
    return frozenset(found)
