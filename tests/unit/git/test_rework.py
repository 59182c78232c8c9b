"""What happened to the lines that a change added, in real repositories."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.domain.pull_report import Lines
from app.domain.values import CommitSha, RepoName
from app.git import rework
from app.git.mirror import Mirrors, Remote

REPO = RepoName(owner="o", name="r")
WHO = {"GIT_AUTHOR_NAME": "o", "GIT_AUTHOR_EMAIL": "o@example.com"}
WHO |= {"GIT_COMMITTER_NAME": "o", "GIT_COMMITTER_EMAIL": "o@example.com"}


class Source:
    """A repository that people work in, and its mirror."""

    def __init__(self, place: Path) -> None:
        self.path = place / "source"
        self.mirrors = Mirrors(place / "mirrors")
        self._day = 0
        self.path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *words: str) -> str:
        day = f"2026-01-{self._day + 1:02}T12:00:00Z"
        return subprocess.run(
            ["git", "-C", str(self.path), *words],
            env={"PATH": "/usr/bin:/bin", **WHO, "GIT_AUTHOR_DATE": day, "GIT_COMMITTER_DATE": day},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()

    def commit(self, message: str, **files: str | None) -> CommitSha:
        self._day += 1
        for name, content in files.items():
            file = self.path / name.replace("__", ".")
            file.unlink(missing_ok=True)
            if content is not None:
                file.write_text(content)
        self.git("add", "-A")
        self.git("commit", "-qm", message)
        return CommitSha(self.git("rev-parse", "HEAD"))

    async def fetched(self, ref: str = "refs/heads/main") -> CommitSha:
        found = await self.mirrors.fetch(REPO, Remote(url=self.path.as_uri()), ref)
        assert found is not None
        return found

    async def gone(self, before: CommitSha, merged: CommitSha, later: CommitSha) -> Lines:
        landed = await rework.landed_commits(self.mirrors, REPO, before, merged)
        return await rework.lines_gone(self.mirrors, REPO, before, merged, later, landed)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path)


async def test_lines_that_later_commits_deleted_or_rewrote(source: Source) -> None:
    old = "".join(f"old line {number}\n" for number in range(20))
    before = source.commit("Start", a__py=old)
    added = f"{old}one\ntwo\nthree\nfour\n"
    merged = source.commit("Change", a__py=added, notes="x\n")
    assert await _lines(source, before, merged) == (5, 0)
    source.commit("Indent", a__py=added.replace("one", "    one"))
    assert await _lines(source, before, merged) == (5, 0)
    source.commit("Rewrite", a__py=f"{old}    one\n2\nfour\n")
    assert await _lines(source, before, merged) == (5, 2)
    source.git("mv", "a.py", "b.py")
    source.commit("Rename")
    assert await _lines(source, before, merged) == (5, 2)
    source.commit("Delete", b__py=None)
    assert await _lines(source, before, merged) == (5, 4)


async def _lines(source: Source, before: CommitSha, merged: CommitSha) -> tuple[int, int]:
    found = await source.gone(before, merged, await source.fetched())
    return found.added, found.gone


async def test_lock_files_and_binary_files_are_left_out(source: Source) -> None:
    before = source.commit("Start", a="a\n")
    merged = source.commit("Change", image="\0\n\n", poetry__lock="1\n2\n")
    assert await _lines(source, before, merged) == (0, 0)


async def test_a_rebase_begins_before_its_first_commit(source: Source) -> None:
    start = source.commit("Start", a="a\n")
    source.git("checkout", "-qb", "topic")
    source.commit("One", b="1\n")
    head = source.commit("Two", c="2\n")
    source.git("checkout", "-q", "main")
    base = source.commit("Other", d="d\n")
    source.git("cherry-pick", "topic~1", "topic")
    merged = CommitSha(source.git("rev-parse", "HEAD"))
    await source.fetched()
    await source.fetched("refs/heads/topic")
    mirrors = source.mirrors
    before = await rework.first_parent(mirrors, REPO, merged)
    assert before is not None
    assert before != base
    assert await rework.before_rebase(mirrors, REPO, before, merged, head) == base
    squashed = source.commit("One and two (#1)", e="e\n")
    await source.fetched()
    before = await rework.first_parent(mirrors, REPO, squashed)
    assert before is not None
    assert await rework.before_rebase(mirrors, REPO, before, squashed, head) == before
    assert await rework.first_parent(mirrors, REPO, start) is None


async def test_the_branch_as_it_was_at_a_time(source: Source) -> None:
    first = source.commit("First", a="1\n")
    second = source.commit("Second\n\nThis reverts commit abc.", a="2\n")
    tip = await source.fetched()

    def at(day: int) -> datetime:
        return datetime(2026, 1, day, 13, tzinfo=UTC)

    mirrors = source.mirrors
    assert await rework.commit_at(mirrors, REPO, tip, at(2)) == first
    assert await rework.commit_at(mirrors, REPO, tip, at(3)) == second
    assert await rework.commit_at(mirrors, REPO, tip, at(1)) is None
    told = await rework.messages_since(mirrors, REPO, tip, at(2))
    assert [text.split("\n")[0] for _, text in told] == ["Second"]
