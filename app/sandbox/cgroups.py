"""Memory limits that the kernel itself keeps, where cgroup v2 is delegated to the worker.

A service manager delegates a group (`Delegate=yes` in the units of `deploy/`). The worker moves
into a group of its own below it, since one with limits for its children may have no processes, and
makes one for each sandbox. See https://docs.kernel.org/admin-guide/cgroup-v2.html.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from app import log_events

log = structlog.get_logger()

_MOUNT = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")
_NEEDED = {"memory", "pids"}
_SPARE_PROCESSES = 64


@dataclass(frozen=True)
class Group:
    """One sandbox's."""

    path: Path

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def ran_out(self) -> bool:
        """Did the kernel end its processes for want of memory?"""
        try:
            rows = dict(
                line.split() for line in (self.path / "memory.events").read_text().splitlines()
            )
        except (OSError, ValueError):
            return False
        return int(rows.get("oom_kill", "0")) > 0

    def remove(self) -> None:
        """Its processes are dead; the last of them may still be on its way out."""
        for _ in range(50):
            try:
                self.path.rmdir()
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.01)
            else:
                return
        log.warning(log_events.CGROUP_REMOVAL_FAILED, path=str(self.path))


class Groups:
    """The groups of all sandboxes of one worker."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def delegated(cls, mount: Path = _MOUNT, own: Path = _OWN) -> Groups | None:
        """None where nothing is delegated; then a watch bounds memory."""
        try:
            root = _delegated(mount, own)
            if root is None:
                return None
            _make_room(root)
        except OSError as problem:
            log.warning(log_events.CGROUPS_UNAVAILABLE, why=str(problem))
            return None
        return cls(root)

    def make(self, memory_bytes: int, processes: int) -> Group:
        """Raises OSError."""
        path = self._root / f"sandbox-{secrets.token_hex(6)}"
        path.mkdir()
        (path / "memory.max").write_text(str(memory_bytes))
        (path / "memory.oom.group").write_text("1")
        (path / "pids.max").write_text(str(processes + _SPARE_PROCESSES))
        with contextlib.suppress(OSError):
            # Not there where the kernel does not count swap.
            (path / "memory.swap.max").write_text("0")
        return Group(path)


def _delegated(mount: Path, own: Path) -> Path | None:
    lines = [line for line in own.read_text().splitlines() if line.startswith("0::")]
    if not lines or not (mount / "cgroup.controllers").exists():
        return None
    root = mount / lines[0][3:].lstrip("/")
    if root.name == _WORKER:
        root = root.parent  # an earlier worker of this process has moved already
    # The machine's own root group has no type.
    if not (root / "cgroup.type").exists() or not _is_ours(root, whole=root == mount):
        return None
    others = set((root / "cgroup.procs").read_text().split()) - {str(os.getpid())}
    if others:
        return None  # not a service of its own: they would be in the way
    controllers = set((root / "cgroup.controllers").read_text().split())
    return root if controllers >= _NEEDED else None


def _is_ours(root: Path, *, whole: bool) -> bool:
    """A service manager gives it to the service's user, or marks it; a container has its own."""
    if not os.access(root / "cgroup.procs", os.W_OK):
        return False
    if whole or root.stat().st_uid == os.geteuid() != 0:
        return True
    for name in ("user.delegate", "trusted.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(root, name) == b"1":
                return True
    return False


_WORKER = "honk-worker"


def _make_room(root: Path) -> None:
    worker = root / _WORKER
    worker.mkdir(exist_ok=True)
    if str(os.getpid()) in (root / "cgroup.procs").read_text().split():
        (worker / "cgroup.procs").write_text(str(os.getpid()))
    (root / "cgroup.subtree_control").write_text("+memory +pids")
