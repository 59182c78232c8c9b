"""Permissions of Honk's files: only the user that runs Honk can read them.

Everything below `HONK_HOME` has mode 0700 or 0600. There is one exception: when the worker runs as
root, its sandboxes run as other users and must read the files mounted for them. Those few files are
world-readable, but only the sandboxes can reach them, because every folder above them is closed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import structlog

from app import log_events

log = structlog.get_logger()

_UMASK = 0o077
_CLOSED = ".private"
"""Marks a home whose permissions were fixed, so that a large one is walked only once."""

_SANDBOXES_OWN = frozenset({"workspaces"})
"""These hold folders owned by the sandboxes' users; each is closed when it is created."""

_READ_BY_SANDBOXES = ("objects", "lfs", "lent", "container", "setups", "outputs")
_SHARED_REPOSITORY = re.compile(r"(?i)(^\s*sharedrepository\s*=\s*)0644\s*$", re.MULTILINE)


def sandboxes_are_others() -> bool:
    """Whether sandboxes run as other users: a root worker gives each workspace its own user."""
    return os.geteuid() == 0


def open_for_sandboxes(path: Path, *, executable: bool = False) -> None:
    """Let the sandboxes' users read a file or folder that is mounted for them."""
    mode = 0o700 if path.is_dir() or executable else 0o600
    if sandboxes_are_others():
        mode |= 0o055 if mode & stat.S_IXUSR else 0o044
    path.chmod(mode)


def close_home(home: Path) -> None:
    """Make the home and everything in it private, including files an older version left readable.

    Also sets the umask, so that this process creates only private files from now on.
    """
    os.umask(_UMASK)
    home.mkdir(parents=True, exist_ok=True)
    try:
        home.chmod(0o700)
        if not (home / _CLOSED).exists():
            for path, mode in _too_open(home):
                path.chmod(mode)
            _close_mirrors(home)
            (home / _CLOSED).touch(mode=0o600)
    except OSError as error:
        log.warning(
            log_events.HOME_READABLE_BY_OTHERS,
            why=str(error),
            next_step=f"chmod -R go= {home}",
        )


def _too_open(home: Path) -> Iterator[tuple[Path, int]]:
    """Paths that other users can read, write or enter, each with the mode it should have."""
    keep_readable = sandboxes_are_others()
    for folder, folders, files in os.walk(home):
        here = Path(folder)
        if here == home:
            for name in _SANDBOXES_OWN.intersection(folders):
                yield from _closed(here / name, 0o700)
                for workspace in _folders(here / name):
                    yield from _closed(workspace, 0o700)
            folders[:] = [name for name in folders if name not in _SANDBOXES_OWN]
        if keep_readable:
            folders[:] = [name for name in folders if name not in _READ_BY_SANDBOXES]
        for name in folders:
            yield from _closed(here / name, 0o700)
        for name in files:
            yield from _closed(here / name, 0o600)


def _close_mirrors(home: Path) -> None:
    """Undo an older version's `core.sharedRepository=0644`, unless sandboxes are other users."""
    if sandboxes_are_others():
        return
    for config in home.glob("**/*.git/config"):
        text = config.read_text(errors="surrogateescape")
        closed = _SHARED_REPOSITORY.sub(r"\g<1>0600", text)
        if closed != text:
            config.write_text(closed, errors="surrogateescape")


def _folders(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        yield from (Path(each.path) for each in entries if each.is_dir(follow_symlinks=False))


def _closed(path: Path, most: int) -> Iterator[tuple[Path, int]]:
    with contextlib.suppress(FileNotFoundError):
        status = path.lstat()
        ours = status.st_uid == os.geteuid() and not stat.S_ISLNK(status.st_mode)
        mode = stat.S_IMODE(status.st_mode)
        if ours and mode & 0o077:
            executable = 0o100 if stat.S_ISREG(status.st_mode) and mode & 0o100 else 0
            yield path, most | executable
