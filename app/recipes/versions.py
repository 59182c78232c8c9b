"""The version of a tool that a repository wants, and the closest available one. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from app.domain.file_tree import FileTree, and_above, located
from app.domain.setup_plan import VersionChoice

MAX_BYTES = 64_000

_PLAIN = re.compile(r"v?(\d{1,4}(?:\.\d{1,6}){0,2})")


def plain(text: str) -> str:
    """The numbers of a version, without a leading `v`; "" for anything else."""
    found = _PLAIN.fullmatch(text.strip())
    return found[1] if found else ""


def pinned(
    tree: FileTree, folder: str, files: Iterable[str], names: Iterable[str]
) -> tuple[str, str]:
    """The exact version in the nearest version file, and the file; "" if there is none.

    `files`: names of files that hold only the version. `names`: the tool's names in
    .tool-versions and mise.toml. Folders are searched upward.
    """
    names = tuple(names)
    for place in and_above(folder):
        for name in files:
            first = (
                (tree.read_text(located(name, place), MAX_BYTES) or "").strip().partition("\n")[0]
            )
            if first.strip():
                return first.strip()[:60], located(name, place)
        for name, found in (
            (".tool-versions", _tool_versions(tree, place, names)),
            ("mise.toml", _mise(tree, place, "mise.toml", names)),
            (".mise.toml", _mise(tree, place, ".mise.toml", names)),
        ):
            if found:
                return found[:60], located(name, place)
    return "", ""


def _tool_versions(tree: FileTree, folder: str, names: Sequence[str]) -> str:
    text = tree.read_text(located(".tool-versions", folder), MAX_BYTES) or ""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if len(words) > 1 and words[0] in names:
            return words[1]
    return ""


def _mise(tree: FileTree, folder: str, name: str, names: Sequence[str]) -> str:
    text = tree.read_text(located(name, folder), MAX_BYTES)
    try:
        tools = tomllib.loads(text or "").get("tools")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    if not isinstance(tools, dict):
        return ""
    for tool in names:
        found = tools.get(tool)
        found = found[0] if isinstance(found, list) and found else found
        found = found.get("version") if isinstance(found, dict) else found
        if isinstance(found, str):
            return found
    return ""


def choose(
    tool: str, installed: Sequence[str], wishes: Iterable[tuple[str, str]]
) -> VersionChoice | None:
    """The first request (a version or range, with its source) decides; None without one.

    For an exact version that is not installed, the newest of its minor series is used; for a range,
    the newest in it.
    """
    for wanted, source in wishes:
        if not wanted:
            continue
        exact = plain(wanted)
        used = nearest(installed, exact) if exact else newest_in(installed, wanted)
        if exact or used is not None:
            return VersionChoice(tool=tool, wanted=wanted, source=source, used=used or "")
    return None


def newest_in(installed: Sequence[str], wanted: str) -> str | None:
    """The newest installed version in a range; "" when none is, None for no range."""
    try:
        allowed = SpecifierSet(wanted)
    except InvalidSpecifier:
        return None
    return next((each for each in _newest_first(installed) if allowed.contains(each)), "")


def nearest(installed: Sequence[str], exact: str) -> str:
    """The same version, else one of the same minor series, else ""."""
    parts = exact.split(".")
    same = [each for each in _newest_first(installed) if each.split(".")[: len(parts)] == parts]
    minor = [each for each in _newest_first(installed) if each.split(".")[:2] == parts[:2]]
    return next(iter([*same, *minor]), "")


def _newest_first(installed: Sequence[str]) -> list[str]:
    def key(text: str) -> Version:
        try:
            return Version(text)
        except InvalidVersion:
            return Version("0")

    return sorted((each for each in installed if plain(each)), key=key, reverse=True)
