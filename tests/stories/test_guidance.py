"""The project's guidance for agents is read, and the status comment lists what was read."""

from __future__ import annotations

import pytest

from tests.support.harness import FINISH, FIX, PROJECT, Harness, script
from tests.support.workspaces import run_git

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_links_are_followed_long_files_are_cut_and_all_is_listed(harness: Harness) -> None:
    long = b"Use tabs in every file.\n" + b"An old rule of the project.\n" * 2_000
    files = {**PROJECT, "docs/rules.md": long, "web/AGENTS.md": b"Only for the web.\n"}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    bare = harness.github.world.repository(subject.repository).git.path
    run_git(bare, "read-tree", "refs/heads/main")
    for name, target in {"AGENTS.md": b"docs/rules.md", "CLAUDE.md": b"AGENTS.md"}.items():
        blob = run_git(bare, "hash-object", "-w", "--stdin", stdin=target)
        run_git(bare, "update-index", "--add", "--cacheinfo", f"120000,{blob},{name}")
    tree = run_git(bare, "write-tree")
    commit = run_git(bare, "commit-tree", tree, "-p", "refs/heads/main", "-m", "Links")
    run_git(bare, "update-ref", "refs/heads/main", commit)
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    first = str(subject.requests[0])
    assert "guidance in AGENTS.md" in first
    assert "Use tabs in every file." in first
    assert "The rest is left out" in first
    assert "guidance in CLAUDE.md" not in first
    told = subject.status
    assert (
        f"AGENTS.md (a link to docs/rules.md, cut: the first 32,756 of {len(long):,} bytes)" in told
    )
    assert "CLAUDE.md (the same file as AGENTS.md)" in told
    assert "**left out:** web/AGENTS.md: only files at the top are given" in told
