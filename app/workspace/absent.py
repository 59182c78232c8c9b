"""What a commit names and a checkout does not hold: contents in Git LFS, and submodules.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

from app.domain.values import RepoName, Value
from app.workspace.mirror import Mirrors

_VERSION = b"version https://git-lfs.github.com/spec/"
_MOST_BYTES = 1024
"""A pointer is smaller than this, says its specification."""

_MOST_ATTRIBUTES = 50
_MOST_CANDIDATES = 10_000
_MOST_ATTRIBUTES_BYTES = 100_000


class Absent(Value):
    """Paths of files that are pointers, and of submodules."""

    pointers: tuple[str, ...]
    submodules: tuple[str, ...]


async def absent(mirrors: Mirrors, repo: RepoName, commit: str) -> Absent:
    """Look through a commit that the mirror has. Raises GitError."""
    return Absent(
        pointers=await _pointers(mirrors, repo, commit),
        submodules=tuple(sorted(await mirrors.gitlinks(repo, commit))),
    )


async def _pointers(mirrors: Mirrors, repo: RepoName, commit: str) -> tuple[str, ...]:
    """Files with a pointer's text, where the repository's attributes speak of LFS at all."""
    files = await mirrors.files(repo, commit)
    attributes = [sha for path, sha in files.items() if path.rpartition("/")[2] == ".gitattributes"]
    told = await _contents(mirrors, repo, attributes[:_MOST_ATTRIBUTES], _MOST_ATTRIBUTES_BYTES)
    if not any(b"filter=lfs" in content for content in told.values()):
        return ()
    found = await _contents(mirrors, repo, [*files.values()], _MOST_BYTES)
    pointers = {sha for sha, content in found.items() if content.startswith(_VERSION)}
    return tuple(sorted(path for path, sha in files.items() if sha in pointers))


async def _contents(
    mirrors: Mirrors, repo: RepoName, shas: list[str], max_bytes: int
) -> dict[str, bytes]:
    """Of those that are no longer than that; of very many the first."""
    if not shas:
        return {}
    sizes = await mirrors.sizes(repo, shas)
    small = [sha for sha, size in sizes.items() if size < max_bytes]
    return await mirrors.blobs(repo, small[:_MOST_CANDIDATES])
