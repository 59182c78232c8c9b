"""What repositories keep elsewhere, as far as this machine has it: a cache for each of them.

    <root>/<owner>/<name>/lfs          contents of Git LFS, each under its SHA-256
    <root>/<owner>/<name>/submodules   mirrors of the repositories that its submodules are from

Nothing is shared: what one repository's token could read is no news for another.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from app.domain.values import RepoName
from app.git.mirror import Mirrors
from app.outgoing import DIRECT, Outgoing
from app.private_files import open_for_sandboxes
from app.sandbox.removal import GRAVES, older, removed


class ExternalCache:
    """All of it. A content that is here is whole and has the hash by which it is named."""

    def __init__(self, root: Path, outgoing: Outgoing = DIRECT) -> None:
        self._root = root
        self._outgoing = outgoing
        self._mirrors: dict[Path, Mirrors] = {}

    def contents(self, repo: RepoName) -> Path:
        """The folder of the repository's contents; made when it is not there."""
        folder = self._folder(repo) / "lfs"
        folder.mkdir(parents=True, exist_ok=True)
        open_for_sandboxes(folder)
        return folder

    def mirrors(self, repo: RepoName) -> Mirrors:
        """The mirrors of what the repository's submodules are from."""
        root = self._folder(repo) / "submodules"
        made = Mirrors(root, outgoing=self._outgoing, with_tags=False)
        return self._mirrors.setdefault(root, made)

    def use(self, repo: RepoName) -> None:
        """Note that it is in use: what was not used for long goes first."""
        self._folder(repo).mkdir(parents=True, exist_ok=True)
        os.utime(self._folder(repo))

    def known(self) -> list[tuple[RepoName, Path, float]]:
        """Every repository that has some, its folder, and when it was last used by time()."""
        found = []
        for folder in self._root.glob("*/[!.]*"):
            with contextlib.suppress(ValueError, FileNotFoundError):
                repo = RepoName.parse(f"{folder.parent.name}/{folder.name}")
                found.append((repo, folder, folder.stat().st_mtime))
        return found

    def drop(self, folder: Path) -> None:
        """Delete what is kept for a repository; who needs it next fetches it anew."""
        grave = folder.with_name(f".grave-{time.time_ns()}")
        folder.rename(grave)
        removed([grave])

    def clear(self, *, before: float) -> None:
        """Delete what a removal left that was cut short before then."""
        removed(older(self._root.glob(f"*/{GRAVES}"), before))

    def _folder(self, repo: RepoName) -> Path:
        return self._root / repo.owner.lower() / repo.name.lower()
