"""The diff of two commits or trees, with file contents."""

from __future__ import annotations

from app.domain.diff import Diff, FileDiff
from app.domain.values import RepoName
from app.git.mirror import Mirrors

MOST_BYTES = 64_000_000
"""For all files of one change together; larger contents are reported as not examined."""


async def load_diff(mirrors: Mirrors, repo: RepoName, base: str, head: str) -> Diff:
    """All files that differ, with their contents as far as `MOST_BYTES` allows."""
    changes = await mirrors.changes(repo, base, head)
    wanted: dict[str, int] = {}
    left = MOST_BYTES
    for change in changes:
        for sha, size in ((change.old_sha, change.old_size), (change.new_sha, change.new_size)):
            if size <= left and sha.strip("0") and sha not in wanted:
                wanted[sha] = size
                left -= size
    contents = await mirrors.blobs(repo, tuple(wanted))
    files = tuple(
        FileDiff(
            path=change.path,
            old=contents.get(change.old_sha),
            new=contents.get(change.new_sha),
            old_mode=change.old_mode,
            new_mode=change.new_mode,
            old_size=change.old_size,
            new_size=change.new_size,
        )
        for change in changes
    )
    return Diff(files, renames=await mirrors.renames(repo, base, head))
