"""Read a file of a commit, following symbolic links that stay in the repository.

Only git objects are read; links in this machine's file system are never followed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.values import RepoName
from app.git.mirror import Mirrors

_MOST_LINKS = 20


@dataclass(frozen=True)
class Start:
    """The first bytes of a file. `path` is the resolved path, `size` the whole file's in bytes."""

    path: str
    content: bytes
    size: int

    @property
    def is_whole(self) -> bool:
        return len(self.content) == self.size


class NotThereError(Exception):
    """The path resolves to no file; the message says to what instead."""


async def start_of(
    mirrors: Mirrors, repo: RepoName, commit: str, path: str, most: int
) -> Start | None:
    """The file's first `most` bytes, or None if the path does not exist. Raises NotThereError."""
    files = await mirrors.files(repo, commit)
    links = await mirrors.links(repo, commit)
    targets: dict[str, str] = {}
    parts, done, followed = path.split("/"), list[str](), 0
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                raise NotThereError("it is a link that leads outside of the repository")
            done.pop()
            continue
        done.append(part)
        here = "/".join(done)
        if here not in links:
            continue
        followed += 1
        if followed > _MOST_LINKS:
            raise NotThereError("it is a link that leads to itself")
        if here not in targets:
            targets[here] = os.fsdecode(await mirrors.link_target(repo, links[here]))
        if targets[here].startswith("/"):
            raise NotThereError("it is a link that leads outside of the repository")
        done.pop()
        parts[:0] = targets[here].split("/")
    found = "/".join(done)
    if found in files:
        sha = files[found]
        sizes = await mirrors.sizes(repo, [sha])
        return Start(found, await mirrors.blob_start(repo, sha, most), sizes.get(sha, 0))
    if _is_folder(files, found):
        raise NotThereError("it is a folder")
    if followed:
        raise NotThereError("it is a link that leads to no file of the repository")
    return None


def _is_folder(files: Mapping[str, str], path: str) -> bool:
    below = f"{path}/" if path else ""
    return any(each.startswith(below) for each in files)
