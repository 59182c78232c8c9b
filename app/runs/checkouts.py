"""Checkouts with what a commit names and does not hold, as far as the run's own token may read it.

The token opens one repository. So what Git LFS keeps for that one is fetched, and of submodules
those that are public: a repository must not become the way to read another that is private.
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

_MOST_BYTES = 100_000_000
_MOST_BYTES_TOGETHER = 500_000_000
_MOST_FILES = 1_000
_MOST_SUBMODULES = 20

_TOO_LARGE = f"larger than {_MOST_BYTES // 1_000_000} MB"
_TOO_MUCH = f"more than {_MOST_FILES:,} files, or {_MOST_BYTES_TOGETHER // 1_000_000} MB together"
_TOO_MANY = f"more than {_MOST_SUBMODULES}"
_FOREIGN = "not a repository on this server"
_NOT_READABLE = "only public repositories are read, and commits that they have"


@dataclass(frozen=True)
class ExternalContent:
    """What is laid into a checkout, in words what that is, and what is missing with the reason."""

    fetched: Fetched
    here: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        """A name for what is there and what is not; empty for a commit that is whole by itself."""
        if not (self.here or self.missing):
            return ""
        said = json.dumps([self.here, self.missing])
        return f"-{hashlib.sha256(said.encode()).hexdigest()[:8]}"


async def check_out(
    services: Services, run: RunInput, commit: CommitSha, name: str, *, tree: TreeSha | None = None
) -> Workspace:
    """A workspace of a commit that the mirror has; with `tree`, that tree on top of the commit.

    Raises as `Workspaces.create` does, and RetryableError while what is elsewhere cannot be had.
    """
    supplies = await fetch_external_content(services, run, tree or commit)
    return await services.workspaces.create(
        run.trigger.repository, commit, name, tree=tree, fetched=supplies.fetched
    )


async def fetch_external_content(services: Services, run: RunInput, tree: str) -> ExternalContent:
    """Fetch what a commit or tree keeps elsewhere, unless this machine has it. Raises
    RetryableError.
    """
    repo = run.trigger.repository
    found = await external_references(services.mirrors, repo, tree)
    if not (found.pointers or found.submodules):
        return ExternalContent(Fetched(), (), ())
    services.supply.use(repo)
    remote = await services.remote(run, READ_CODE)
    files, no_files = await _contents(services, run, remote, found.pointers)
    folders, no_folders = await _submodules(services, run, remote, found.submodules)
    here = []
    if files:
        here.append(messages.status_comment.pointers_fetched([each.path for each in files]))
    if folders:
        here.append(messages.status_comment.submodules_fetched([each.path for each in folders]))
    missing = [
        messages.status_comment.pointers_not_fetched(paths, why) for why, paths in no_files.items()
    ]
    missing += [
        messages.status_comment.submodules_not_fetched(paths, why)
        for why, paths in no_folders.items()
    ]
    folder = services.supply.contents(repo) if files else None
    return ExternalContent(
        Fetched(folder, tuple(files), tuple(folders)), tuple(here), tuple(missing)
    )


async def _contents(
    services: Services, run: RunInput, remote: Remote, pointers: Sequence[Pointer]
) -> tuple[list[FromLfs], dict[str, list[str]]]:
    """What Git LFS keeps: the files that are here now, and the paths of others by the reason."""
    folder = services.supply.contents(run.trigger.repository)
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
    together = 0
    for each in pointers:
        if each.size > _MOST_BYTES:
            missing.setdefault(_TOO_LARGE, []).append(each.path)
        elif len(wanted) == _MOST_FILES or together + each.size > _MOST_BYTES_TOGETHER:
            missing.setdefault(_TOO_MUCH, []).append(each.path)
        else:
            wanted.append(each)
            together += each.size
    return wanted, missing


async def _submodules(
    services: Services, run: RunInput, remote: Remote, submodules: Sequence[Submodule]
) -> tuple[list[FromRepository], dict[str, list[str]]]:
    """Submodules: those that are in a mirror now, and the paths of others by the reason."""
    here: list[FromRepository] = []
    missing: dict[str, list[str]] = {}
    for at, each in enumerate(submodules):
        found = (
            await _submodule(services, run, remote, each) if at < _MOST_SUBMODULES else _TOO_MANY
        )
        if isinstance(found, str):
            missing.setdefault(found, []).append(each.path)
        else:
            here.append(found)
    return here, missing


async def _submodule(
    services: Services, run: RunInput, remote: Remote, submodule: Submodule
) -> FromRepository | str:
    repo = repository_at(submodule.url, services.github.server_url, run.trigger.repository)
    if repo is None:
        return _FOREIGN
    there = Remote(url=services.git_url(repo), token=remote.token)
    mirrors = services.supply.mirrors(run.trigger.repository)
    try:
        commit = await mirrors.fetch(repo, there, submodule.commit)
    except GitError as problem:
        log.info(log_events.SUBMODULE_NOT_FETCHED, repository=str(repo), why=problem.words)
        commit = None
    if commit is None:
        return _NOT_READABLE
    return FromRepository(submodule.path, mirrors.objects(repo), commit)
