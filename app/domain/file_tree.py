"""The files of a commit, as detection and recipes read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Protocol

NEVER_OURS = frozenset({".git", ".venv", "venv", "node_modules", ".tox", ".nox", "__pycache__"})
"""Folders that detection skips."""

_NO_PROJECTS = frozenset(
    {"vendor", "third_party", "testdata", "fixtures", "__fixtures__", "target", "dist", "build"}
)
"""Folders whose manifests are vendored code or test fixtures."""


class FileTree(Protocol):
    """The files of a commit. Paths are relative and separated by `/`."""

    def exists(self, path: str) -> bool: ...

    def read_text(self, path: str, max_bytes: int) -> str | None:
        """The start of a file, or None if it is not a regular file."""

    def names(self, pattern: str) -> Iterable[str]:
        """Paths that match; `*` also matches `/`."""

    def has_links(self, folder: str) -> bool:
        """Whether there is, or may be, a symbolic link in or below the folder."""


class LoadedFiles:
    """A `FileTree` in memory. `texts` holds the contents that were loaded; `names` all paths."""

    def __init__(self, texts: Mapping[str, str], names: Iterable[str] = ()) -> None:
        self._texts = texts
        self._names = tuple(dict.fromkeys([*names, *texts]))
        self._known = frozenset(self._names)

    def exists(self, path: str) -> bool:
        return path in self._known

    def read_text(self, path: str, max_bytes: int) -> str | None:
        text = self._texts.get(path)
        return None if text is None else text[:max_bytes]

    def names(self, pattern: str) -> Iterable[str]:
        ours = (name for name in self._names if NEVER_OURS.isdisjoint(name.split("/")))
        return (name for name in ours if fnmatchcase(name, pattern))

    def has_links(self, folder: str) -> bool:
        return False


def located(name: str, folder: str) -> str:
    """The path relative to the repository of `name`, which is relative to `folder`."""
    return f"{folder}/{name}" if folder else name


def unlocated(name: str, folder: str) -> str:
    """The inverse of `located`."""
    return name.removeprefix(f"{folder}/") if folder else name


def is_below(folder: str, above: str) -> bool:
    """Whether the folder is inside the other one; "" is the repository."""
    return folder != above and (not above or folder.startswith(f"{above}/"))


def and_above(folder: str) -> Iterator[str]:
    """The folder and all folders above it; the last is "", the repository."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


def folders_with(tree: FileTree, *names: str) -> tuple[str, ...]:
    """Folders that hold one of these files (plain names), outermost first; "" is the repository.

    Vendored code, build output and the tests' sample projects are left out.
    """
    folders = {
        folder
        for folder, _, name in (path.rpartition("/") for path in tree.names("*"))
        if name in names
    }
    ours = (folder for folder in folders if _NO_PROJECTS.isdisjoint(folder.split("/")))
    return tuple(sorted(ours, key=lambda folder: (folder.count("/") + bool(folder), folder)))


def outermost(folders: Iterable[str]) -> tuple[str, ...]:
    """Drop folders that are below another one."""
    kept: list[str] = []
    for folder in sorted(folders, key=len):
        if not any(not above or folder.startswith(f"{above}/") for above in kept):
            kept.append(folder)
    return tuple(sorted(kept))
