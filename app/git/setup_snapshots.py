"""Snapshots of what setup installs, reused in other checkouts.

    <root>/<key>/made.tar     untracked files that setup left in the work tree
    <root>/<key>/about.json   hosts that were blocked; its mtime is the last use

A snapshot is one archive. It is created in a fresh sandbox, after every process of the setup has
ended, and unpacked in a sandbox as the user of the target checkout. So no checkout shares an inode
with a snapshot, and nothing that runs in a checkout can change one. Snapshots are a cache and may
vanish at any time.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import structlog
from pydantic import ValidationError

from app import log_events
from app.domain.setup import BlockedHost
from app.domain.setup_outcome import SetupOutcome
from app.domain.values import CommitSha, TreeSha, Value
from app.errors import UserError
from app.git.checkout import Workspace, Workspaces
from app.git.command import inside_environment
from app.private_files import open_for_sandboxes
from app.sandbox.removal import older, remove_tree, removed
from app.sandbox.spec import (
    GIB,
    Completed,
    Mount,
    ResourceLimits,
    SandboxSpec,
)
from app.sandbox.toolchains import CACHES

log = structlog.get_logger()

MAX_BYTES = 20 * GIB
_MAX_ARCHIVE = 6 * GIB
_INDEX = "/run/honk/index"
_ARCHIVE = "/run/honk/made.tar"
_LIMITS = ResourceLimits(seconds=900, file_bytes=_MAX_ARCHIVE)

# Use a fresh git directory: setup could have changed the checkout's own.
_LIST_SCRIPT = f"""
set -eu
aside=$(mktemp -d)
export GIT_DIR="$aside/git" GIT_WORK_TREE="$PWD"
git init -q --template=
cp "$1" "$GIT_DIR/index"
git ls-files -z --others --directory
if [ -d {CACHES} ]; then printf '%s\\0' {CACHES}; fi
rm -rf "$aside"
"""
_TOUCH_SCRIPT = """
set -eu
aside=$(mktemp -d)
export GIT_DIR="$aside/git" GIT_WORK_TREE="$PWD"
git init -q --template=
cp "$1" "$GIT_DIR/index"
git ls-files -z | xargs -0 -r touch -h -c --
rm -rf "$aside"
"""
_ARCHIVE_SCRIPT = (
    "exec tar --create --null --verbatim-files-from --files-from=- --ignore-failed-read"
)
_UNPACK_SCRIPT = 'exec tar --extract --file "$1" --skip-old-files --no-same-owner'


class SnapshotInfo(Value):
    """`about.json`: the hosts that were blocked during setup, the code that ran it, how it went."""

    tried: tuple[BlockedHost, ...] = ()
    commit: CommitSha | None = None
    tree: TreeSha | None = None
    outcome: SetupOutcome | None = None


NOTHING_KNOWN = SnapshotInfo()


@dataclass(frozen=True)
class SetupSnapshot:
    """The result of one setup. `tried` lists the hosts that were blocked.

    `commit` and `tree` are the code that ran it; `tree` is set if it differs from the commit's.
    """

    key: str
    folder: Path
    tried: tuple[BlockedHost, ...] = ()
    commit: CommitSha | None = None
    tree: TreeSha | None = None
    outcome: SetupOutcome | None = None

    @property
    def archive(self) -> Path:
        return self.folder / "made.tar"

    @property
    def about(self) -> Path:
        return self.folder / "about.json"


class SetupSnapshots:
    """All snapshots of one worker; above `max_bytes` the least recently used are deleted."""

    def __init__(self, root: Path, workspaces: Workspaces, *, max_bytes: int = MAX_BYTES) -> None:
        self._root = root
        self._workspaces = workspaces
        self._max_bytes = max_bytes

    def find(self, key: str) -> SetupSnapshot | None:
        """The snapshot with this key, if it still exists. Counts as a use."""
        snapshot = SetupSnapshot(key, self._root / key)
        try:
            about = SnapshotInfo.model_validate_json(snapshot.about.read_bytes())
            os.utime(snapshot.about)
        except (OSError, ValidationError):
            return None
        if not snapshot.archive.is_file():
            return None
        return _with_info(snapshot, about)

    async def keep(
        self, key: str, workspace: Workspace, about: SnapshotInfo = NOTHING_KNOWN
    ) -> SetupSnapshot | None:
        """Save what setup created in the checkout, whose sandboxes must be dead.

        Returns None when it cannot be saved: it is too large, or the disk is full.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
            making = Path(tempfile.mkdtemp(prefix=".making-", dir=self._root))
        except OSError as error:
            log.warning(log_events.SETUP_SNAPSHOT_NOT_KEPT, why=str(error))
            return None
        try:
            made = await self._made(workspace)
            if made is None or not await self._pack(workspace, made, making / "made.tar"):
                return None
            open_for_sandboxes(making / "made.tar")
            (making / "about.json").write_text(about.model_dump_json())
            return await asyncio.to_thread(self._store, key, making, about)
        except OSError as error:
            log.warning(log_events.SETUP_SNAPSHOT_NOT_KEPT, why=str(error))
            return None
        finally:
            await asyncio.to_thread(removed, [making])

    async def apply(self, snapshot: SetupSnapshot, workspace: Workspace) -> bool:
        """Unpack it into a checkout; existing files win. False when it is gone or broken."""
        mount = Mount(snapshot.archive, _ARCHIVE)
        try:
            done = await self._run(workspace, _UNPACK_SCRIPT, mount, writable=True)
        except (OSError, UserError) as error:
            log.warning(log_events.SETUP_SNAPSHOT_NOT_APPLIED, why=str(error))
            return False
        if not done.ok:
            await asyncio.to_thread(removed, [snapshot.folder])
        return done.ok

    async def touch_sources(self, workspace: Workspace) -> None:
        """Make all tracked files newer than what a snapshot brought.

        Build tools compare times: what was compiled from another tree's sources after this
        checkout was made would pass for up to date.
        """
        mount = Mount(workspace.index, _INDEX)
        await self._run(workspace, _TOUCH_SCRIPT, mount, writable=True)

    def known(self) -> list[tuple[Path, float, int]]:
        """Every snapshot's folder, last use (as of time()) and size in bytes."""
        return [(folder, used, size) for used, size, folder in self._sizes()]

    def drop(self, folder: Path) -> None:
        """Delete one; the next run does setup again."""
        removed([folder])

    def clear(self, *, before: float) -> None:
        """Delete snapshots that were begun before `before` and never completed."""
        removed(older(self._root.glob(".*-*"), before))

    async def leave_out(self, workspace: Workspace, before: frozenset[bytes]) -> None:
        """Exclude what setup created in the checkout from every commit.

        `before` is what was `untracked` before setup. A new folder without tracked files is
        excluded as a whole.
        """
        made = await self.untracked(workspace) - before
        with workspace.made.open("ab") as file:
            file.writelines(map(_exclude_line, sorted(made)))

    async def untracked(self, workspace: Workspace) -> frozenset[bytes]:
        """Paths in the work tree that are not in the checked-out tree."""
        made = await self._made(workspace)
        return frozenset(path for path in (made or b"").split(b"\0") if path)

    async def _made(self, workspace: Workspace) -> bytes | None:
        """The untracked paths, each followed by a NUL; None when the list is too long."""
        mount = Mount(workspace.index, _INDEX)
        done = await self._run(workspace, _LIST_SCRIPT, mount)
        return done.output if done.ok and not done.dropped_bytes else None

    async def _pack(self, workspace: Workspace, made: bytes, target: Path) -> bool:
        spec = self._spec(workspace)
        argv = ["/bin/sh", "-c", _ARCHIVE_SCRIPT]
        done = await self._workspaces.sandbox.run(spec, argv, stdin=made, stdout_to=target)
        return _log_failure(done).ok

    async def _run(
        self, workspace: Workspace, script: str, mount: Mount, *, writable: bool = False
    ) -> Completed:
        sandbox = self._workspaces.sandbox
        argv = ["/bin/sh", "-c", script, "snapshot", sandbox.seen(mount)]
        spec = self._spec(workspace, mount, writable=writable)
        return _log_failure(await sandbox.run(spec, argv))

    def _spec(self, workspace: Workspace, *mounts: Mount, writable: bool = False) -> SandboxSpec:
        return SandboxSpec(
            workspace.path,
            workspace_writable=writable,
            mounts=mounts,
            environment=inside_environment(),
            limits=_LIMITS,
            own_disk=workspace.own_disk,
        )

    def _store(self, key: str, making: Path, about: SnapshotInfo) -> SetupSnapshot:
        snapshot = _with_info(SetupSnapshot(key, self._root / key), about)
        remove_tree(snapshot.folder)
        making.rename(snapshot.folder)
        self._evict(snapshot)
        return snapshot

    def _evict(self, newest: SetupSnapshot) -> None:
        by_age = sorted(self._sizes(), reverse=True)
        total = 0
        for _, size, folder in by_age:
            total += size
            if total > self._max_bytes and folder != newest.folder:
                removed([folder])

    def _sizes(self) -> Iterator[tuple[float, int, Path]]:
        """Last use, size and folder of each. Skips those that vanish while it reads."""
        for folder in self._root.glob("[!.]*"):
            try:
                used = (folder / "about.json").stat().st_mtime
                size = (folder / "made.tar").stat().st_size
            except OSError:
                continue
            yield used, size, folder


def _with_info(snapshot: SetupSnapshot, about: SnapshotInfo) -> SetupSnapshot:
    return replace(
        snapshot,
        tried=about.tried,
        commit=about.commit,
        tree=about.tree,
        outcome=about.outcome,
    )


def _log_failure(done: Completed) -> Completed:
    if not done.ok:
        log.warning(
            log_events.SETUP_SNAPSHOT_COMMAND_FAILED,
            killed=done.killed,
            said=done.text.strip()[-500:],
        )
    return done


def _exclude_line(path: bytes) -> bytes:
    """One line of an exclude file that matches only this path (gitignore(5))."""
    if b"\n" in path or path == CACHES.encode():
        return b""
    return b"/" + re.sub(rb"([\\*?\[ ])", rb"\\\1", path) + b"\n"
