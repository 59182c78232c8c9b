"""A cache of each repository's external content: Git LFS files and submodules.

    <root>/<owner>/<name>/lfs          Git LFS contents, each named by its SHA-256
    <root>/<owner>/<name>/submodules   mirrors of its submodules' repositories

Nothing is shared between repositories: what one token may read, another may not.
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
    """All cached content. A file in it is complete and matches the hash it is named by."""

    def __init__(self, root: Path, outgoing: Outgoing = DIRECT) -> None:
        self._root = root
        self._outgoing = outgoing
        self._mirrors: dict[Path, Mirrors] = {}

    def contents(self, repo: RepoName) -> Path:
        """The repository's folder of LFS contents, created if missing."""
        folder = self._folder(repo) / "lfs"
        folder.mkdir(parents=True, exist_ok=True)
        open_for_sandboxes(folder)
        return folder

    def mirrors(self, repo: RepoName) -> Mirrors:
        """The mirrors of the repository's submodules."""
        root = self._folder(repo) / "submodules"
        made = Mirrors(root, outgoing=self._outgoing, with_tags=False)
        return self._mirrors.setdefault(root, made)

    def use(self, repo: RepoName) -> None:
        """Record a use now; the least recently used content is deleted first."""
        self._folder(repo).mkdir(parents=True, exist_ok=True)
        os.utime(self._folder(repo))

    def known(self) -> list[tuple[RepoName, Path, float]]:
        """Every cached repository with its folder and the time of last use (as of time())."""
        found = []
        for folder in self._root.glob("*/[!.]*"):
            with contextlib.suppress(ValueError, FileNotFoundError):
                repo = RepoName.parse(f"{folder.parent.name}/{folder.name}")
                found.append((repo, folder, folder.stat().st_mtime))
        return found

    def drop(self, folder: Path) -> None:
        """Delete one repository's cache; the next use fetches it again."""
        grave = folder.with_name(f".grave-{time.time_ns()}")
        folder.rename(grave)
        removed([grave])

    def clear(self, *, before: float) -> None:
        """Delete the remains of removals that were interrupted before `before`."""
        removed(older(self._root.glob(f"*/{GRAVES}"), before))

    def _folder(self, repo: RepoName) -> Path:
        return self._root / repo.owner.lower() / repo.name.lower()
