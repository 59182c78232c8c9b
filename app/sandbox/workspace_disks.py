"""A file system for each workspace, so that the kernel bounds what its sandboxes store.

Only a worker that runs as root can make them. Each is an ext4 image, mounted through a loop device
at the workspace's folder and deleted with it:

    <home>/disks/<name>.img       the image; the worker that uses it holds a lock on it
    <home>/workspaces/<name>/     where it is mounted

All blocks of an image are allocated before it is used. A sparse image would accept writes that it
loses later, when the machine's disk is full.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import structlog

from app import log_events

log = structlog.get_logger()

_SPARE = 6
"""An image is larger than the limit by this fraction: for its inode tables, and so that the helper
ends a sandbox and says why before a write fails."""

WORKSPACES_PER_RUN = 3
"""The agent's, and those of the two commits while they are verified."""

_LEAST_FREE = 10
"""This fraction of the machine's disk stays free for everything else."""

_PROBE_BYTES = 16 << 20
_KEEPS_ALLOCATED = frozenset({"ext4", "xfs"})
"""File systems on which writing to allocated blocks needs no new ones."""

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SECONDS = 120.0

# No journal: after a crash of the machine the image is deleted. `nodiscard` and `noinit_itable`:
# otherwise blocks would be given back to the machine's disk.
_FORMAT = (
    *("mkfs.ext4", "-q", "-F", "-b", "4096", "-i", "8192", "-m", "1"),
    *("-O", "^has_journal,^resize_inode", "-E", "nodiscard,lazy_itable_init=1"),
)
_OPTIONS = "loop,noatime,nosuid,nodev,noinit_itable,errors=remount-ro"

_SHUT_DOWN, _WITHOUT_WRITING = 0x8004587D, 2
_DIRECT_IO = 0x4C08
_DETACH, _NO_LINK = 2, 8


class DisksUnavailableError(Exception):
    """Workspaces cannot have separate file systems here; the message says why."""


class WorkspaceDisks:
    """The file systems of this machine's workspaces. Safe to use from several threads."""

    def __init__(self, home: Path, workspace_bytes: int) -> None:
        """`workspace_bytes` is what the sandboxes of one workspace may store."""
        self._images = home / "disks"
        self._workspaces = home / "workspaces"
        self._size = (workspace_bytes + workspace_bytes // _SPARE) >> 12 << 12
        self._locks: dict[str, int] = {}
        self._turn = threading.Lock()

    @classmethod
    def create(cls, home: Path, workspace_bytes: int) -> WorkspaceDisks:
        """Raises DisksUnavailableError if this machine or this account does not allow them."""
        if os.geteuid() != 0:
            raise DisksUnavailableError("the worker is not root")
        disks = cls(home, workspace_bytes)
        disks._images.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            kind = _run("findmnt", "-n", "-o", "FSTYPE", "-T", str(home)).split()[-1]
            if kind not in _KEEPS_ALLOCATED:
                raise DisksUnavailableError(f"{home} is on {kind}, and they need ext4 or xfs")
            disks._try_one()
        except OSError as problem:
            raise DisksUnavailableError(str(problem)) from problem
        return disks

    def _try_one(self) -> None:
        image, folder = (self._images / f".probe-{os.getpid()}{end}" for end in ("", ".mount"))
        folder.mkdir(exist_ok=True)
        try:
            os.close(_mount(image, folder, _PROBE_BYTES))
            _unmount(folder)
        finally:
            _delete(image)
            folder.rmdir()

    def resume(self) -> None:
        """Take over the file systems that a killed worker left mounted; delete other leftovers."""
        for image in self._images.glob("*.img"):
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(image, os.O_RDWR | os.O_CLOEXEC)
                if not _lock(fd):
                    os.close(fd)  # another worker uses it
                elif (self._workspaces / image.stem).is_mount():
                    self._locks[image.stem] = fd
                else:
                    _delete(image)
                    os.close(fd)

    def discard_left(self) -> None:
        """Discard the file systems that a killed worker left mounted. Failures are logged."""
        self.resume()
        for name in tuple(self._locks):
            try:
                self.detach(self._workspaces / name)
            except OSError as problem:
                log.warning(log_events.WORKSPACE_REMOVAL_FAILED, name=name, why=str(problem))

    def attach(self, folder: Path) -> bool:
        """Mount a new file system at a workspace's empty folder, which only root may enter.

        False if the machine's disk has no room for one: then the workspace has the machine's disk.
        """
        image = self._image(folder)
        with self._turn:
            if self.room() < 1:
                log.warning(log_events.WORKSPACE_WITHOUT_DISK, name=folder.name, why="no room")
                return False
            try:
                _delete(image)
                self._locks[folder.name] = _mount(image, folder, self._size)
            except OSError as problem:
                why = str(problem)
                log.warning(log_events.WORKSPACE_WITHOUT_DISK, name=folder.name, why=why)
                _delete(image)
                return False
        return True

    def detach(self, folder: Path) -> None:
        """Discard a workspace's file system, if it has one, with everything in it.

        Raises OSError.
        """
        if folder.is_mount():
            _unmount(folder)
        with self._turn:
            fd = self._locks.pop(folder.name, None)
            if fd is not None:
                _delete(self._image(folder))
                os.close(fd)

    def room(self) -> int:
        """How many more fit on the machine's disk."""
        disk = shutil.disk_usage(self._images)
        return max(0, disk.free - disk.total // _LEAST_FREE) // self._size

    @property
    def size(self) -> int:
        """Bytes of one image."""
        return self._size

    def _image(self, folder: Path) -> Path:
        return self._images / f"{folder.name}.img"


def _mount(image: Path, folder: Path, size: int) -> int:
    """Make an image and mount it; return the descriptor that holds its lock. Raises OSError."""
    fd = os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd)
        os.ftruncate(fd, size)
        _run(*_FORMAT, str(image))
        # Last, because mkfs leaves holes.
        _run("fallocate", "-l", str(size), str(image))
        _run("mount", "-t", "ext4", "-o", _OPTIONS, str(image), str(folder))
        folder.chmod(0o700)
        (folder / "lost+found").rmdir()
        _tune(folder)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _tune(folder: Path) -> None:
    """Bypass the page cache of the machine's file system, and keep all blocks allocated."""
    number = folder.stat().st_dev
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    with contextlib.suppress(OSError), Path("/dev", block.name).open("rb") as device:
        fcntl.ioctl(device, _DIRECT_IO, 1)
    for path, value in (
        (block / "queue" / "discard_max_bytes", "0"),
        (block / "queue" / "write_zeroes_unmap_max_bytes", "0"),  # since Linux 6.17
        (Path("/sys/fs/ext4", block.name, "extent_max_zeroout_kb"), "0"),
    ):
        with contextlib.suppress(OSError):
            path.write_text(value)


def _unmount(folder: Path) -> None:
    """Detach at once: nothing in it is needed, so nothing is written back. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Fails if it was mounted read-only after an error, which changes nothing.
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, _SHUT_DOWN, struct.pack("=I", _WITHOUT_WRITING))
    finally:
        os.close(fd)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(folder), _DETACH | _NO_LINK) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))


def _delete(image: Path) -> None:
    """Free the disk space at once: another sandbox's mount namespace may still hold the device."""
    with contextlib.suppress(FileNotFoundError):
        os.truncate(image, 0)
        image.unlink()


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _run(*argv: str) -> str:
    """Run one of the system's tools. Raises OSError with what it printed."""
    try:
        done = subprocess.run(
            argv,
            env={"PATH": _PATH, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except FileNotFoundError:
        raise OSError(f"there is no {argv[0]}") from None
    except subprocess.CalledProcessError as problem:
        said = str(problem.stderr).strip().splitlines() or [f"exit code {problem.returncode}"]
        raise OSError(f"{argv[0]}: {said[0]}") from None
    except subprocess.TimeoutExpired:
        raise OSError(f"{argv[0]} takes too long") from None
    return done.stdout
