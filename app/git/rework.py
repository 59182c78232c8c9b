"""How many of the lines that a change added still exist."""

from __future__ import annotations

import os
import re
from datetime import datetime

from app.domain.pull_report import Lines
from app.domain.values import CommitSha, RepoName, commit_sha
from app.ecosystems import ECOSYSTEMS
from app.errors import RetryableError
from app.git.command import GitError, git
from app.git.mirror import Mirrors

_MOST_FILES = 300
_MOST_FILE_BYTES = 1_000_000
_MOST_OUTPUT_BYTES = 64_000_000
_SECONDS = 60.0
_MOST_COMMITS = 20_000
_FILES = ("100644", "100755")
_LOCKS = frozenset(name for each in ECOSYSTEMS for name in each.lock_files)
_BLAMED = re.compile(rb"(?m)^([0-9a-f]{40}(?:[0-9a-f]{24})?) [0-9]+ [0-9]+")


async def landed_commits(
    mirrors: Mirrors, repo: RepoName, before: CommitSha, merged: CommitSha
) -> frozenset[str]:
    """The commits that a merge added: in `merged`, but not in `before`. Raises GitError."""
    listed = await _git(
        mirrors, repo, ["rev-list", f"--max-count={_MOST_COMMITS}", merged, f"^{before}"]
    )
    return frozenset(listed.decode().split())


async def commit_at(
    mirrors: Mirrors, repo: RepoName, branch: CommitSha, moment: datetime
) -> CommitSha | None:
    """The last commit of a branch's own history that was made until then. Raises GitError."""
    until = f"--before={int(moment.timestamp())}"
    found = await _git(mirrors, repo, ["rev-list", "-1", "--first-parent", until, branch])
    return commit_sha(found.decode().strip()) if found.strip() else None


async def first_parent(mirrors: Mirrors, repo: RepoName, commit: CommitSha) -> CommitSha | None:
    """A commit's first parent, None for the first commit. Raises GitError."""
    listed = await _git(mirrors, repo, ["rev-list", "--parents", "-1", commit])
    parents = listed.decode().split()[1:]
    return commit_sha(parents[0]) if parents else None


async def before_rebase(
    mirrors: Mirrors, repo: RepoName, before: CommitSha, merged: CommitSha, head: CommitSha
) -> CommitSha:
    """The base that the commits up to `merged` were added to; `before` is its first parent.

    A rebase adds one commit for each of the head's and keeps their authors and messages; a merge
    and a squash add only `merged`. Raises GitError.
    """
    identity = ["log", "-1", "--format=%an%n%ae%n%at%n%B"]
    if await _git(mirrors, repo, [*identity, merged]) != await _git(
        mirrors, repo, [*identity, head]
    ):
        return before
    start = await mirrors.merge_base(repo, before, head)
    if start is None:
        return before
    own = await _git(mirrors, repo, ["rev-list", "--count", "--no-merges", head, f"^{start}"])
    first = await _git(mirrors, repo, ["rev-parse", f"{merged}~{max(1, int(own))}"])
    return commit_sha(first.decode().strip())


async def messages_since(
    mirrors: Mirrors, repo: RepoName, branch: CommitSha, moment: datetime
) -> tuple[tuple[float, str], ...]:
    """The messages of a branch's commits since then, each with its time. Raises GitError."""
    options = [f"--max-count={_MOST_COMMITS}", "-z", "--format=%ct%n%B"]
    since = f"--since={int(moment.timestamp())}"
    listed = await _git(mirrors, repo, ["log", *options, since, branch])
    output = listed.decode("utf-8", "replace")
    rows = [each.partition("\n") for each in output.split("\0") if each]
    return tuple((float(time), message) for time, _, message in rows)


async def lines_gone(
    mirrors: Mirrors,
    repo: RepoName,
    before: CommitSha,
    merged: CommitSha,
    later: CommitSha,
    landed: frozenset[str],
) -> Lines:
    """How many lines the change from `before` to `merged` added, and how many `later` lacks.

    A line is the change's when git's blame, which ignores white space and follows renames, finds it
    in one of the `landed` commits. Lock files, binary files, files over a megabyte and those after
    the first 300 are left out. Raises GitError.
    """
    renamed = {old: new for new, old in (await mirrors.renames(repo, merged, later)).items()}
    added = gone = 0
    changes = await mirrors.changes(repo, before, merged)
    for change in [each for each in changes if _is_counted(each.path, each.new_mode)][:_MOST_FILES]:
        if change.new_size > _MOST_FILE_BYTES or await _is_binary(mirrors, repo, change.new_sha):
            continue
        now = await _blamed(mirrors, repo, before, merged, change.path, landed)
        then = renamed.get(change.path, change.path)
        left = await _blamed(mirrors, repo, before, later, then, landed) if now else 0
        added, gone = added + now, gone + max(0, now - left)
    return Lines(added=added, gone=gone)


def _is_counted(path: str, mode: str) -> bool:
    return mode in _FILES and path.rpartition("/")[2] not in _LOCKS


async def _is_binary(mirrors: Mirrors, repo: RepoName, sha: str) -> bool:
    return b"\0" in await mirrors.blob_start(repo, sha, 8_000)


async def _blamed(
    mirrors: Mirrors,
    repo: RepoName,
    before: CommitSha,
    at: CommitSha,
    path: str,
    landed: frozenset[str],
) -> int:
    """How many lines of a file come from the landed commits; 0 when the file is not there."""
    name = os.fsencode(path)
    if await mirrors.read_blob(repo, at, name, _MOST_FILE_BYTES) is None:
        return 0
    options = ["-w", "--porcelain", f"{before}..{at}"]
    output = await _git(mirrors, repo, ["blame", *options, "--", os.fsdecode(name)])
    return sum(found.decode() in landed for found in _BLAMED.findall(output))


async def _git(mirrors: Mirrors, repo: RepoName, arguments: list[str]) -> bytes:
    try:
        return await git(
            arguments, cwd=mirrors.path(repo), timeout=_SECONDS, max_output=_MOST_OUTPUT_BYTES
        )
    except RetryableError as slow:
        raise GitError(arguments[0], 1, str(slow)) from None
