"""Repositories whose history older tools wrote, or whose tags have confusing names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.harness import FINISH, FIX, PROJECT, Harness, Subject, script
from tests.support.malformed import commit_by, zero_padded
from tests.support.workspaces import run_git

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _bad_time_zone(bare: Path, head: str) -> str:
    return commit_by(bare, head, b"Ada <ada@example.com> 1287345600 +051800")


def _no_space_before_date(bare: Path, head: str) -> str:
    return commit_by(bare, head, b"Ada <ada@example.com>1287345600 +0000")


def _bare(harness: Harness, subject: Subject) -> Path:
    return harness.github.world.repository(subject.repository).git.path


@pytest.mark.slow
@pytest.mark.parametrize("make_old", [_bad_time_zone, _no_space_before_date, zero_padded])
async def test_a_history_that_strict_fsck_refuses_goes_through_a_whole_run(
    harness: Harness, make_old: object
) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    bare = _bare(harness, subject)
    assert callable(make_old)
    old = make_old(bare, run_git(bare, "rev-parse", "refs/heads/main"))
    # What strict fsck refuses is at the tip, and in the history of what is pushed on top of it.
    run_git(bare, "update-ref", "refs/heads/main", old)
    await subject.label()
    await subject.settled()

    assert subject.check.conclusion == "success"
    assert "Proven: 1 test fails without this change" in subject.status
    changed = await subject.git("diff", "--name-only", "main", "honk/1-add-subtracts")
    assert changed.split() == ["calc.py"]


VERSION_TEST = b"""import subprocess


def test_version():
    told = subprocess.run(["git", "describe"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("v1.2-")
"""


async def test_a_version_comes_from_tags_and_confusing_names_change_nothing(
    harness: Harness,
) -> None:
    plays = script([{"bash": {"command": "git describe --tags --long"}}], [FIX], [FINISH])
    subject = await harness.subject(files={**PROJECT, "test_version.py": VERSION_TEST}, plays=plays)
    bare = _bare(harness, subject)
    main = run_git(bare, "rev-parse", "refs/heads/main")
    run_git(bare, "tag", "-a", "v1.2", "-m", "One", main)
    empty = run_git(bare, "mktree", stdin=b"")
    wrong = commit_by(bare, main, tree=empty)
    base = commit_by(bare, main)
    run_git(bare, "update-ref", "refs/heads/main", base)
    for name in ("HEAD", "main", "refs/heads/main", "-option", base):
        run_git(bare, "update-ref", f"refs/tags/{name}", wrong)
        if name != "main":
            run_git(bare, "update-ref", f"refs/heads/{name}", wrong)
    await subject.label()
    await subject.settled()

    assert "v1.2-1-g" in subject.model_input
    assert "Proven: 1 test fails without this change" in subject.last_words
    changed = await subject.git("diff", "--name-only", base, "refs/heads/honk/1-add-subtracts")
    assert changed.split() == ["calc.py"]
    pull = subject.pull.pull
    assert pull is not None
    assert run_git(bare, "rev-parse", f"{pull.head_sha}^") == base
    for kind in ("tags", "heads"):
        assert run_git(bare, "rev-parse", f"refs/{kind}/refs/heads/main") == wrong
