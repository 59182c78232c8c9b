"""Delete directory trees that untrusted code made: any depth, permissions or number of files.

All such trees are deleted through this module. It follows no links and does not recurse, paths do
not grow with a tree's depth, and a file that cannot be deleted does not stop the rest.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import structlog

from app import log_events

log = structlog.get_logger()

GRAVES = ".grave-*"
"""Temporary directories that an interrupted removal leaves next to what it removed."""

_AT_ONCE = 5_000


def remove_tree(path: Path) -> None:
    """Delete a file or directory tree, if it exists.

    Moves every directory it finds up into one temporary directory first, so that depth and path
    length do not matter. Continues after an error and raises the first OSError at the end.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        path.unlink()
        return
    grave = Path(tempfile.mkdtemp(dir=path.parent, prefix=".grave-"))
    problems = _Problems()
    with problems.noted():
        _move_aside(path, grave, "0")
    count = 0
    waiting = [grave / "0"]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(folder, problems):
            with problems.noted():
                if entry.is_dir(follow_symlinks=False):
                    count += 1
                    _move_aside(Path(entry.path), grave, str(count))
                    waiting.append(grave / str(count))
                else:
                    os.unlink(entry.path)  # noqa: PTH108 - a name of any length
        with problems.noted():
            folder.rmdir()
    with problems.noted():
        grave.rmdir()
    problems.raise_first()


def removed(paths: Iterable[Path]) -> int:
    """Delete each path; return how many succeeded. Failures are logged."""
    count = 0
    for path in paths:
        try:
            remove_tree(path)
            count += 1
        except OSError as problem:
            log.warning(log_events.REMOVAL_FAILED, path=str(path), why=str(problem))
    return count


def older(paths: Iterable[Path], before: float) -> Iterator[Path]:
    """Paths that were last changed before `before`."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                yield path


class _Problems:
    """Errors during removal. A file that is already gone is not an error."""

    def __init__(self) -> None:
        self._first: OSError | None = None

    @contextlib.contextmanager
    def noted(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as problem:
            self._first = self._first or problem

    def raise_first(self) -> None:
        if self._first is not None:
            raise self._first


def _entries(folder: Path, problems: _Problems) -> Iterator[os.DirEntry[str]]:
    """All entries of a directory that the caller empties, in batches."""
    seen: set[str] = set()
    while True:
        found: list[os.DirEntry[str]] = []
        with problems.noted(), os.scandir(folder) as entries:
            # Entries that could not be deleted appear again; skip them.
            left = (entry for entry in entries if entry.name not in seen)
            found = list(itertools.islice(left, _AT_ONCE))
        if not found:
            return
        yield from found
        seen |= {entry.name for entry in found if os.path.lexists(entry.path)}


def _move_aside(folder: Path, grave: Path, name: str) -> None:
    """Move the directory up, after making it accessible; root does not need that."""
    if os.geteuid() != 0:
        folder.chmod(0o700)
    folder.rename(grave / name)
