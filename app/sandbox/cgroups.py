"""Memory limits enforced by the kernel, where cgroup v2 is delegated to the worker.

A service manager delegates a cgroup (`Delegate=yes` in the units of `deploy/`). The worker moves
into a child group, since a group that sets limits for its children may not contain processes, and
creates one group per sandbox. See https://docs.kernel.org/admin-guide/cgroup-v2.html.
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
    """The cgroup of one sandbox."""

    path: Path

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    @property
    def ran_out(self) -> bool:
        """Whether the kernel's OOM killer ended processes in it."""
        try:
            rows = dict(
                line.split() for line in (self.path / "memory.events").read_text().splitlines()
            )
        except (OSError, ValueError):
            return False
        return int(rows.get("oom_kill", "0")) > 0

    def remove(self) -> None:
        """Remove the group. Its processes are dead, but the last may still be exiting."""
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
    """The cgroups of all sandboxes of one worker."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def delegated(cls, mount: Path = _MOUNT, own: Path = _OWN) -> Groups | None:
        """None if no cgroup is delegated; then the helper's polling limits memory."""
        try:
            root = _delegated(mount, own)
            if root is None:
                return None
            _enable_controllers(root)
        except OSError as problem:
            log.warning(log_events.CGROUPS_UNAVAILABLE, why=str(problem))
            return None
        return cls(root)

    def make(self, memory_bytes: int, processes: int) -> Group:
        """Create a sandbox's group with its limits. Raises OSError."""
        path = self._root / f"sandbox-{secrets.token_hex(6)}"
        path.mkdir()
        (path / "memory.max").write_text(str(memory_bytes))
        (path / "memory.oom.group").write_text("1")
        (path / "pids.max").write_text(str(processes + _SPARE_PROCESSES))
        with contextlib.suppress(OSError):
            # Missing if the kernel does not account for swap.
            (path / "memory.swap.max").write_text("0")
        return Group(path)


def _delegated(mount: Path, own: Path) -> Path | None:
    lines = [line for line in own.read_text().splitlines() if line.startswith("0::")]
    if not lines or not (mount / "cgroup.controllers").exists():
        return None
    root = mount / lines[0][3:].lstrip("/")
    if root.name == _WORKER:
        root = root.parent  # this process has already moved into the worker's group
    # The machine's root cgroup has no cgroup.type.
    if not (root / "cgroup.type").exists() or not _is_ours(root, whole=root == mount):
        return None
    others = set((root / "cgroup.procs").read_text().split()) - {str(os.getpid())}
    if others:
        return None  # other processes share the group, so it cannot get child groups
    controllers = set((root / "cgroup.controllers").read_text().split())
    return root if controllers >= _NEEDED else None


def _is_ours(root: Path, *, whole: bool) -> bool:
    """Whether the group was delegated: it belongs to our user, is marked, or is a container's."""
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


def _enable_controllers(root: Path) -> None:
    worker = root / _WORKER
    worker.mkdir(exist_ok=True)
    if str(os.getpid()) in (root / "cgroup.procs").read_text().split():
        (worker / "cgroup.procs").write_text(str(os.getpid()))
    (root / "cgroup.subtree_control").write_text("+memory +pids")
