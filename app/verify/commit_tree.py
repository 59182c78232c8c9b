"""The files of a commit, read from a mirror without a checkout."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from fnmatch import fnmatchcase

from app.domain.file_tree import NEVER_OURS
from app.domain.values import CommitSha, RepoName
from app.git.mirror import Mirrors
from app.verify.verifier import MAX_NAMES

_MOST_BYTES = 2_000_000
_SECONDS = 30.0


class CommitTree:
    """A commit of a mirror as a FileTree. Read it from a thread; `open` runs on the event loop."""

    def __init__(
        self,
        mirrors: Mirrors,
        repo: RepoName,
        commit: CommitSha,
        files: tuple[str, ...],
        links: tuple[str, ...],
    ) -> None:
        self._mirrors = mirrors
        self._repo = repo
        self._commit = commit
        self._files = files
        self._links = links
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, mirrors: Mirrors, repo: RepoName, commit: CommitSha) -> CommitTree:
        """List the commit's files. Raises GitError when the mirror has no such commit."""
        links = tuple(await mirrors.links(repo, commit))
        found = set(await mirrors.files(repo, commit)).difference(links)
        ours = (path for path in sorted(found) if NEVER_OURS.isdisjoint(path.split("/")))
        return cls(mirrors, repo, commit, tuple(ours)[:MAX_NAMES], links)

    def exists(self, path: str) -> bool:
        return path in self._files

    def read_text(self, path: str, max_bytes: int) -> str | None:
        """See FileTree. Also None for a file too large to be configuration."""
        if path not in self._files:
            return None
        reading = self._mirrors.read_blob(self._repo, self._commit, path, _MOST_BYTES)
        try:
            content = asyncio.run_coroutine_threadsafe(reading, self._loop).result(_SECONDS)
        except TimeoutError:
            return None
        return None if content is None else content[:max_bytes].decode("utf-8", errors="replace")

    def names(self, pattern: str) -> Iterable[str]:
        return (path for path in self._files if fnmatchcase(path, pattern))

    def has_links(self, folder: str) -> bool:
        below = f"{folder}/" if folder not in ("", ".") else ""
        return any(path.startswith(below) for path in self._links)
