"""Which files the latest commits changed together."""

from __future__ import annotations

import os

from app.domain.values import CommitSha, RepoName, commit_sha
from app.errors import RetryableError
from app.git.command import GitError, git
from app.git.mirror import Mirrors

_COMMITS = 300
_MOST_FILES = 40
"""A commit of more files (an import, a mass rename) says nothing about two of them."""

_SECONDS = 20.0
_MOST_OUTPUT_BYTES = 8 << 20


async def latest_changes(
    mirrors: Mirrors, repo: RepoName, head: CommitSha
) -> tuple[frozenset[str], ...]:
    """The paths that each of the latest commits changed, newest first; empty where git takes too
    long. Bytes of a path that are not UTF-8 become surrogates, as with `os.fsdecode`."""
    options = [f"--max-count={_COMMITS}", "--no-merges", "--no-renames", "--name-only", "-z"]
    try:
        listed = await git(
            ["log", *options, "--format=%x01", commit_sha(head)],
            cwd=mirrors.path(repo),
            timeout=_SECONDS,
            max_output=_MOST_OUTPUT_BYTES,
        )
    except (GitError, RetryableError):
        return ()
    commits = (
        frozenset(os.fsdecode(path) for path in block.strip(b"\n\0").split(b"\0") if path)
        for block in listed.split(b"\x01")
    )
    return tuple(each for each in commits if 1 < len(each) <= _MOST_FILES)
