"""Checkouts with a commit's Git LFS files and submodules, as far as the run's token may read them.

The token is limited to one repository. So LFS files come from that repository only, and submodules
only from public ones: one repository must not give access to another private one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from pydantic import SecretStr

from app import log_events, messages
from app.domain.run import RunInput
from app.domain.values import CommitSha, TreeSha
from app.git.checkout import (
    Fetched,
    FromLfs,
    FromRepository,
    Workspace,
)
from app.git.command import GitError
from app.git.external_content import Pointer, Submodule, external_references
from app.git.mirror import Remote
from app.github import lfs
from app.github.addresses import repository_at
from app.runs.services import READ_CODE, Services

log = structlog.get_logger()

_MAX_BYTES = 100_000_000
_MAX_TOTAL_BYTES = 500_000_000
_MAX_FILES = 1_000
_MAX_SUBMODULES = 20

_TOO_LARGE = f"larger than {_MAX_BYTES // 1_000_000} MB"
_TOO_MUCH = f"more than {_MAX_FILES:,} files, or {_MAX_TOTAL_BYTES // 1_000_000} MB together"
_TOO_MANY = f"more than {_MAX_SUBMODULES}"
_OTHER_SERVER = "not a repository on this server"
_NOT_READABLE = "only public repositories are read, and commits that they have"


@dataclass(frozen=True)
class ExternalContent:
    """External content for a checkout: the files, a description of what is present, and what is
    missing with the reason."""

    fetched: Fetched
    present: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """A digest of what is present and missing; empty when there is no external content."""
        if not (self.present or self.missing):
            return ""
        content = json.dumps([self.present, self.missing])
        return f"-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


async def check_out(
    services: Services, run: RunInput, commit: CommitSha, name: str, *, tree: TreeSha | None = None
) -> Workspace:
    """Create a workspace from a commit in the mirror; with `tree`, check out that tree on top of
    it.

    Raises as `Workspaces.create` does, and RetryableError while external content is unavailable.
    """
    external = await fetch_external_content(services, run, tree or commit)
    return await services.workspaces.create(
        run.trigger.repository, commit, name, tree=tree, fetched=external.fetched
    )


async def fetch_external_content(services: Services, run: RunInput, tree: str) -> ExternalContent:
    """Fetch the external content of a commit or tree unless it is cached. Raises RetryableError."""
    repo = run.trigger.repository
    found = await external_references(services.mirrors, repo, tree)
    if not (found.pointers or found.submodules):
        return ExternalContent(Fetched(), (), ())
    services.external_cache.use(repo)
    remote = await services.remote(run, READ_CODE)
    files, no_files = await _contents(services, run, remote, found.pointers)
    folders, no_folders = await _submodules(services, run, remote, found.submodules)
    present = []
    if files:
        present.append(messages.status_comment.pointers_fetched([each.path for each in files]))
    if folders:
        present.append(messages.status_comment.submodules_fetched([each.path for each in folders]))
    missing = [
        messages.status_comment.pointers_not_fetched(paths, why) for why, paths in no_files.items()
    ]
    missing += [
        messages.status_comment.submodules_not_fetched(paths, why)
        for why, paths in no_folders.items()
    ]
    folder = services.external_cache.contents(repo) if files else None
    return ExternalContent(
        Fetched(folder, tuple(files), tuple(folders)), tuple(present), tuple(missing)
    )


async def _contents(
    services: Services, run: RunInput, remote: Remote, pointers: Sequence[Pointer]
) -> tuple[list[FromLfs], dict[str, list[str]]]:
    """LFS files: those available locally now, and the paths of the others by reason."""
    folder = services.external_cache.contents(run.trigger.repository)
    wanted, missing = _within_limits(pointers)
    sizes = {each.oid: each.size for each in wanted if not (folder / each.oid).is_file()}
    contents = [lfs.Content(oid=oid, size=size) for oid, size in sizes.items()]
    refused: dict[str, str] = {}
    if contents:
        token = SecretStr(remote.token or "")
        refused = await lfs.fetch(services.github, remote.url, token, contents, folder)
        log.info(log_events.LFS_CONTENTS_FETCHED, count=len(contents), missing=len(refused))
    for each in wanted:
        if each.oid in refused:
            missing.setdefault(refused[each.oid], []).append(each.path)
    return [FromLfs(each.path, each.oid) for each in wanted if each.oid not in refused], missing


def _within_limits(pointers: Iterable[Pointer]) -> tuple[list[Pointer], dict[str, list[str]]]:
    wanted: list[Pointer] = []
    missing: dict[str, list[str]] = {}
    total = 0
    for each in pointers:
        if each.size > _MAX_BYTES:
            missing.setdefault(_TOO_LARGE, []).append(each.path)
        elif len(wanted) == _MAX_FILES or total + each.size > _MAX_TOTAL_BYTES:
            missing.setdefault(_TOO_MUCH, []).append(each.path)
        else:
            wanted.append(each)
            total += each.size
    return wanted, missing


async def _submodules(
    services: Services, run: RunInput, remote: Remote, submodules: Sequence[Submodule]
) -> tuple[list[FromRepository], dict[str, list[str]]]:
    """Submodules: those in a mirror now, and the paths of the others by reason."""
    present: list[FromRepository] = []
    missing: dict[str, list[str]] = {}
    for at, each in enumerate(submodules):
        found = await _submodule(services, run, remote, each) if at < _MAX_SUBMODULES else _TOO_MANY
        if isinstance(found, str):
            missing.setdefault(found, []).append(each.path)
        else:
            present.append(found)
    return present, missing


async def _submodule(
    services: Services, run: RunInput, remote: Remote, submodule: Submodule
) -> FromRepository | str:
    repo = repository_at(submodule.url, services.github.server_url, run.trigger.repository)
    if repo is None:
        return _OTHER_SERVER
    submodule_remote = Remote(url=services.git_url(repo), token=remote.token)
    mirrors = services.external_cache.mirrors(run.trigger.repository)
    try:
        commit = await mirrors.fetch(repo, submodule_remote, submodule.commit)
    except GitError as problem:
        log.info(log_events.SUBMODULE_NOT_FETCHED, repository=str(repo), why=problem.words)
        commit = None
    if commit is None:
        return _NOT_READABLE
    return FromRepository(submodule.path, mirrors.objects(repo), commit)
