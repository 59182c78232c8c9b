"""Strict forms of names and paths from manifests that become part of a command. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_PATH = re.compile(r"(?!-)(?!.*(?:^|/)\.\.(?:/|$))[\w.][\w./+ -]{0,198}")
_TEST_WORDS = ("test", "tests", "testing", "dev", "develop", "development", "ci", "all")
"""Names of groups, extras and requirement files that tests need, in order."""


def is_name(text: object) -> bool:
    """Whether it can only be the name of a distribution, an extra or a group."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether it can only be a path below the folder."""
    return _PATH.fullmatch(text) is not None


def requirement(text: object) -> Requirement | None:
    """A requirement by name; None for URLs, paths and unreadable ones."""
    if not isinstance(text, str) or len(text) > 500:
        return None
    try:
        read = Requirement(text)
    except (InvalidRequirement, ValueError):
        return None
    return None if read.url or not is_name(read.name) else read


def wanted_for_tests(names: Iterable[str]) -> tuple[str, ...]:
    """The names that refer to tests or development, the usual ones first."""
    found = []
    for name in names:
        words = re.split(r"[-_.]", name.lower())
        rank = min((_TEST_WORDS.index(word) for word in words if word in _TEST_WORDS), default=None)
        if rank is not None:
            found.append((rank, name))
    return tuple(name for _, name in sorted(found))
