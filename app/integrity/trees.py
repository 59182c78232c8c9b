"""A commit's files, as read by the pure rules. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Tree(Protocol):
    """The files of one commit. Bytes of a name that are not UTF-8 are surrogates."""

    @property
    def paths(self) -> Collection[str]:
        """Every file, link and submodule; `in` must be fast."""

    @property
    def is_complete(self) -> bool:
        """Whether the content of every code file of a usual size was loaded."""

    def read(self, path: str) -> bytes | None:
        """A regular file's content; None if it is something else, absent, or was not loaded."""


@dataclass(frozen=True)
class LoadedTree:
    """A tree in memory. `contents` holds what was loaded of the files in `paths`."""

    paths: frozenset[str]
    contents: Mapping[str, bytes] = field(default_factory=dict)
    is_complete: bool = True

    @classmethod
    def of(cls, contents: Mapping[str, bytes]) -> LoadedTree:
        """A tree of regular files, all of them loaded."""
        return cls(frozenset(contents), contents)

    def read(self, path: str) -> bytes | None:
        return self.contents.get(path)
