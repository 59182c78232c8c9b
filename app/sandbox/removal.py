"""Deleting what somebody hostile may have made: of any depth, any permissions, any number.

All removal of such trees goes through here. Nothing is followed, nothing recurses, no path grows
with the depth of a tree, and what cannot be deleted holds up nothing else.
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
"""What a removal that was cut short leaves beside what it removed."""

_AT_ONCE = 5_000


def remove_tree(path: Path) -> None:
    """Delete a file or a whole directory; one that is not there is fine.

    Every directory found is moved up into one grave first, so that neither the depth of a tree
    nor the length of its paths matters. Goes on after an error; then raises OSError for the first.
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
        _bury(path, grave, "0")
    count = 0
    waiting = [grave / "0"]
    while waiting:
        folder = waiting.pop()
        for entry in _entries(folder, problems):
            with problems.noted():
                if entry.is_dir(follow_symlinks=False):
                    count += 1
                    _bury(Path(entry.path), grave, str(count))
                    waiting.append(grave / str(count))
                else:
                    os.unlink(entry.path)  # noqa: PTH108 - a name of any length
        with problems.noted():
            folder.rmdir()
    with problems.noted():
        grave.rmdir()
    problems.raise_first()


def removed(paths: Iterable[Path]) -> int:
    """Delete each of them; how many that were. What cannot be deleted is logged and left."""
    count = 0
    for path in paths:
        try:
            remove_tree(path)
            count += 1
        except OSError as problem:
            log.warning(log_events.REMOVAL_FAILED, path=str(path), why=str(problem))
    return count


def older(paths: Iterable[Path], before: float) -> Iterator[Path]:
    """Those that were last changed before then."""
    for path in paths:
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime < before:
                yield path


class _Problems:
    """Errors on the way. That somebody else was faster is none."""

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
    """All of a directory that is being emptied, some at a time."""
    seen: set[str] = set()
    while True:
        found: list[os.DirEntry[str]] = []
        with problems.noted(), os.scandir(folder) as entries:
            # Those that could not be deleted stay, and come again.
            left = (entry for entry in entries if entry.name not in seen)
            found = list(itertools.islice(left, _AT_ONCE))
        if not found:
            return
        yield from found
        seen |= {entry.name for entry in found if os.path.lexists(entry.path)}


def _bury(folder: Path, grave: Path, name: str) -> None:
    """Move it up, opened: its owner may have closed it to itself; root is not held up by that."""
    if os.geteuid() != 0:
        folder.chmod(0o700)
    folder.rename(grave / name)
