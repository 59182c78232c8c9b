"""Read files from a directory that untrusted code may be changing concurrently.

`openat2` (https://man7.org/linux/man-pages/man2/openat2.2.html, Linux 5.6) resolves a path
atomically and refuses to leave the directory, to follow any link and to cross into another mount.
Checking a path before opening it would be a race.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

_SYS_OPENAT2 = 437  # the same on every architecture
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_NO_SYMLINKS = 0x04
_RESOLVE_BENEATH = 0x08
_RESOLVE = _RESOLVE_NO_XDEV | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH
_TRIES = 16


class NotReadableError(Exception):
    """There is no such regular file within the limits; the message says which and why."""


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)


def read_file(root: Path, relative: str, max_bytes: int) -> bytes:
    """The whole content of a regular file below `root`.

    Raises NotReadableError when it is missing, not a regular file, reached through a link, or
    longer than `max_bytes`.
    """
    with open_file(root, relative) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise NotReadableError(f"{relative} is longer than {max_bytes} bytes")
    return data


def open_file(root: Path, relative: str) -> BinaryIO:
    """Open a regular file below `root`. Raises NotReadableError."""
    with _Directory(root) as directory:
        return os.fdopen(_open_regular(directory, relative), "rb")


def iter_files(
    root: Path, relative: str = ".", *, suffix: str = "", max_files: int = 10_000
) -> Iterator[str]:
    """Sorted paths, relative to `root`, of regular files below `relative`; at most `max_files`.

    Does not enter links or other mounts; reads at most `max_files` folders too. A file may have
    changed by the time it is opened.
    """
    left = folders_left = max_files
    with _Directory(root) as top:
        waiting = [os.path.normpath(relative)]
        while waiting and left > 0 and folders_left > 0:
            folder = waiting.pop()
            folders_left -= 1
            for name, is_folder in _entries(top, folder):
                path = name if folder == "." else f"{folder}/{name}"
                if is_folder:
                    waiting.append(path)
                elif path.endswith(suffix) and left > 0:
                    left -= 1
                    yield path


def has_links(
    root: Path, relative: str, *, but: Collection[str] = (), max_entries: int = 10_000
) -> bool:
    """Whether there is a symbolic link below `relative`; also True if that is unknown.

    Skips directories named in `but`.
    """
    with _Directory(root) as top:
        waiting = [os.path.normpath(relative)]
        while waiting:
            folder = waiting.pop()
            try:
                fd = _openat2(top, folder, os.O_RDONLY | os.O_DIRECTORY)
            except OSError:
                return True
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        max_entries -= 1
                        if entry.is_symlink() or max_entries < 0:
                            return True
                        if entry.is_dir(follow_symlinks=False) and entry.name not in but:
                            waiting.append(f"{folder}/{entry.name}")
            finally:
                os.close(fd)
    return False


def _entries(top: int, folder: str) -> list[tuple[str, bool]]:
    """Regular files and directories of a directory; empty if it vanished."""
    try:
        fd = _openat2(top, folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return []
    try:
        with os.scandir(fd) as entries:
            found = [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
            ]
    except OSError:
        return []
    finally:
        os.close(fd)
    return sorted(found)


class _Directory:
    """The root, held open so that it cannot be replaced."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._fd = -1

    def __enter__(self) -> int:
        try:
            self._fd = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise NotReadableError(f"{self._root}: {error.strerror}") from error
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _open_regular(directory: int, relative: str) -> int:
    try:
        fd = _openat2(directory, relative, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise NotReadableError(f"{relative}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotReadableError(f"{relative} is not a regular file")
    return fd


def _openat2(directory: int, path: str, flags: int) -> int:
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE)
    name = os.fsencode(path)
    if b"\0" in name:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    for _ in range(_TRIES):
        fd = _libc.syscall(_SYS_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return int(fd)
        # EAGAIN: a concurrent rename kept the kernel from verifying RESOLVE_BENEATH; retry.
        if ctypes.get_errno() not in (errno.EAGAIN, errno.EINTR):
            break
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), path)
