"""Unused user ids, one per workspace; available only if the worker is root."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
from collections.abc import Iterator
from pathlib import Path

from app.errors import UserError

_PREFERRED = range(200_000, 265_536)
_SCARCE = range(60_001, 61_184)
"""If a container maps only the usual 65,536 ids: a range that systemd leaves unused."""


class UidPool:
    """Assigns user ids. The owners of the directories below `root` are its only state."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ids = _PREFERRED if _mapped(_PREFERRED) else _SCARCE

    def claim(self, path: Path, like: Path | None) -> None:
        """Give the directory to an id that owns nothing else below the root, with mode 0700.

        With `like`, it gets the owner of that workspace. Raises UserError if there are no ids.
        """
        if like is not None:
            uid = self.owner(like)
            os.chown(path, uid, uid)
            path.chmod(0o700)
            return
        with (self._root / ".slots.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            taken = self._taken()
            # At random, so that two installations on one machine rarely pick the same id.
            free = [uid for uid in random.sample(self._ids, 64) if uid not in taken]
            uid = free[0] if free else next(uid for uid in self._ids if uid not in taken)
            try:
                os.chown(path, uid, uid)
            except OSError as error:
                raise UserError(
                    f"This root account has no user ids to assign to sandboxes ({error.strerror}).",
                    next_step="Run the worker as a regular user.",
                ) from error
            path.chmod(0o700)

    def owner(self, path: Path) -> int:
        """The id that owns a workspace. Raises ValueError if it was never claimed."""
        uid = path.stat().st_uid
        if uid not in self._ids:
            raise ValueError(f"{path} belongs to user {uid}, which no sandbox may run as")
        return uid

    def _taken(self) -> set[int]:
        taken = set()
        for folder, folders, _ in os.walk(self._root):
            owners = dict(_owners(Path(folder), folders))
            taken |= set(owners.values())
            # Do not descend into workspaces: their files have the same owner.
            deep = len(Path(folder).relative_to(self._root).parts) >= 2
            folders[:] = [name for name in owners if not deep and owners[name] not in self._ids]
        return taken


def uid_pool_below(root: Path) -> UidPool | None:
    """The pool for workspaces below `root`, which is created; None if the worker is not root."""
    root.mkdir(parents=True, exist_ok=True)
    return UidPool(root) if os.geteuid() == 0 else None


def _owners(folder: Path, names: list[str]) -> Iterator[tuple[str, int]]:
    """Owner by name. Skips entries that vanish, such as another run's workspace."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            yield name, (folder / name).lstat().st_uid


def _mapped(ids: range) -> bool:
    """Whether this user namespace maps all of these ids."""
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        first, _, count = (int(word) for word in line.split())
        if first <= ids[0] and ids[-1] < first + count:
            return True
    return False
