"""Who may read what Honk keeps on its disk: the user that it runs as, and nobody else.

Everything below `HONK_HOME` is 0700 or 0600. One thing more has to be readable where the worker is
root: its sandboxes run as users of their own and read what is mounted for them. Those few files are
readable by whoever can reach them, and nobody else can: every folder above them is closed.
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
"""A file that says that the home was closed, so that a large one is gone through once."""

_SANDBOXES_OWN = frozenset({"workspaces"})
"""Below these lie folders of the sandboxes' users; each is closed as it is made."""

_READ_BY_SANDBOXES = ("objects", "lfs", "lent", "container", "setups")
_SHARED = re.compile(r"(?i)(^\s*sharedrepository\s*=\s*)0644\s*$", re.MULTILINE)


def sandboxes_are_others() -> bool:
    """A root worker gives each workspace a user of its own."""
    return os.geteuid() == 0


def open_for_sandboxes(path: Path, *, executable: bool = False) -> None:
    """Let sandboxes read a file or folder that is theirs to see, and nobody else."""
    mode = 0o700 if path.is_dir() or executable else 0o600
    if sandboxes_are_others():
        mode |= 0o055 if mode & stat.S_IXUSR else 0o044
    path.chmod(mode)


def close_home(home: Path) -> None:
    """Make the home and what is in it our own, also where an older version left it open.

    From here on the process makes only files that are its own user's.
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
    """What others may read, write or enter, with the mode that it should have."""
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
    """An older version had git write readable files, which only another user's sandbox needs."""
    if sandboxes_are_others():
        return
    for config in home.glob("**/*.git/config"):
        text = config.read_text(errors="surrogateescape")
        closed = _SHARED.sub(r"\g<1>0600", text)
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
