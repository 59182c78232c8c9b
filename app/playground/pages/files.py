"""The code of a repository: overview, folders, files and commits."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from markupsafe import Markup
from starlette.responses import Response

from app.playground.github.git import Entry, SimulatedCommit
from app.playground.github.world import Repository

from .diff import shown
from .visit import NoSuchPageError, Visit

MOST_BYTES = 400_000
"""The maximum size of a displayed file."""


@dataclass(frozen=True)
class Glance:
    """The top of a repository."""

    branch: str
    branches: int
    last: SimulatedCommit
    entries: list[Entry]
    readme: Markup


async def at_a_glance(visit: Visit, repository: Repository) -> Glance | None:
    """The files on the default branch; None if nothing was pushed yet."""
    git = repository.git
    sha = await git.verify(f"refs/heads/{repository.default_branch}^{{commit}}")
    if sha is None:
        return None
    entries = _folders_first(await git.tree(f"{sha}^{{tree}}"))
    readme = next((one for one in entries if one.path.lower() == "readme.md"), None)
    text = (await git.blob(readme.sha)).decode(errors="replace") if readme else ""
    return Glance(
        branch=repository.default_branch,
        branches=len(await git.refs("refs/heads")),
        last=await git.commit(sha),
        entries=entries,
        readme=await visit.reader(repository).html(text),
    )


async def tree(visit: Visit) -> Response:
    """The page of a folder."""
    repository = visit.repository()
    ref, sha, path = await _place(repository, visit.parameter("path"))
    entry = await repository.git.entry(sha, path) if path else None
    if path and (entry is None or entry.type != "tree"):
        raise NoSuchPageError
    found = entry.sha if entry else f"{sha}^{{tree}}"
    entries = _folders_first(await repository.git.tree(found))
    parent = posixpath.dirname(path)
    return visit.show(
        "tree.html", repository=repository, ref=ref, path=path, parent=parent, entries=entries
    )


async def blob(visit: Visit) -> Response:
    """The page of a file."""
    repository = visit.repository()
    ref, sha, path = await _place(repository, visit.parameter("path"))
    entry = await repository.git.entry(sha, path) if path else None
    if entry is None or entry.type != "blob":
        raise NoSuchPageError
    content = b"" if (entry.size or 0) > MOST_BYTES else await repository.git.blob(entry.sha)
    is_text = bool(content) and b"\0" not in content
    lines = content.decode(errors="replace").removesuffix("\n").split("\n") if is_text else []
    return visit.show(
        "blob.html", repository=repository, ref=ref, path=path, entry=entry, lines=lines
    )


async def commit(visit: Visit) -> Response:
    """The page of a commit."""
    repository, git = visit.repository(), visit.repository().git
    sha = await git.verify(f"{visit.parameter('sha')}^{{commit}}")
    if sha is None:
        raise NoSuchPageError
    reader, found = visit.reader(repository), await git.commit(sha)
    changes = await git.changes(found.parents[0], sha) if found.parents else []
    return visit.show(
        "commit.html",
        repository=repository,
        commit=reader.shown_commit(found),
        parents=found.parents,
        files=[shown(change) for change in changes],
        checks=await reader.checks(sha),
    )


async def _place(repository: Repository, address: str) -> tuple[str, str, str]:
    """Branch, tag or SHA, its commit, and the path: branches have slashes too."""
    parts = address.strip("/").split("/")
    for length in range(1, len(parts) + 1):
        ref = "/".join(parts[:length])
        sha = await repository.git.commit_of(ref)
        if sha is not None:
            return ref, sha, "/".join(parts[length:])
    raise NoSuchPageError


def _folders_first(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.type != "tree", entry.path.lower()))
