"""Content that a commit references but does not contain: Git LFS files and submodules.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, gitmodules(5)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.values import RepoName
from app.git.mirror import Mirrors

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n"
    rb"(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize ([0-9]{1,15})\n"
)
_MOST_BYTES = 1024
"""The LFS specification says that a pointer is smaller than this."""

_MOST_ATTRIBUTES = 50
_MOST_CANDIDATES = 10_000
_MOST_ATTRIBUTES_BYTES = 100_000


@dataclass(frozen=True)
class Pointer:
    """A Git LFS pointer file: the content's SHA-256 and its size in bytes."""

    path: str
    oid: str
    size: int


@dataclass(frozen=True)
class Submodule:
    """A path that is a commit of another repository. `url` is from `.gitmodules`, or empty."""

    path: str
    commit: str
    url: str


@dataclass(frozen=True)
class ExternalReferences:
    """The external content of a commit, sorted by path."""

    pointers: tuple[Pointer, ...] = ()
    submodules: tuple[Submodule, ...] = ()


async def external_references(mirrors: Mirrors, repo: RepoName, tree: str) -> ExternalReferences:
    """Find the external content of a commit or tree in the mirror. Raises GitError."""
    return ExternalReferences(
        pointers=await _pointers(mirrors, repo, tree),
        submodules=await _submodules(mirrors, repo, tree),
    )


async def _pointers(mirrors: Mirrors, repo: RepoName, tree: str) -> tuple[Pointer, ...]:
    """Pointer files, searched only if some `.gitattributes` mentions LFS."""
    files = await mirrors.files(repo, tree)
    attributes = [sha for path, sha in files.items() if path.rpartition("/")[2] == ".gitattributes"]
    contents = await _contents(mirrors, repo, attributes[:_MOST_ATTRIBUTES], _MOST_ATTRIBUTES_BYTES)
    if not any(b"filter=lfs" in content for content in contents.values()):
        return ()
    links = await mirrors.links(repo, tree)
    plain = {path: sha for path, sha in files.items() if path not in links}
    texts = await _contents(mirrors, repo, list(plain.values()), _MOST_BYTES)
    read = {sha: _POINTER.fullmatch(text) for sha, text in texts.items()}
    return tuple(
        Pointer(path=path, oid=found[1].decode(), size=int(found[2]))
        for path, sha in sorted(plain.items())
        if (found := read.get(sha)) is not None
    )


async def _submodules(mirrors: Mirrors, repo: RepoName, tree: str) -> tuple[Submodule, ...]:
    links = await mirrors.gitlinks(repo, tree)
    urls = await mirrors.submodule_urls(repo, tree) if links else {}
    return tuple(
        Submodule(path=path, commit=commit, url=urls.get(path, ""))
        for path, commit in sorted(links.items())
    )


async def _contents(
    mirrors: Mirrors, repo: RepoName, shas: Sequence[str], max_bytes: int
) -> dict[str, bytes]:
    """The blobs smaller than `max_bytes`, at most `_MOST_CANDIDATES` of them."""
    if not shas:
        return {}
    sizes = await mirrors.sizes(repo, shas)
    small = [sha for sha, size in sizes.items() if size < max_bytes]
    return await mirrors.blobs(repo, small[:_MOST_CANDIDATES])
