"""What `honk try` reads of the user's repository, and the only thing it writes there."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from app.errors import UserError
from app.local import checkout as checkouts
from app.local.trying import split_task


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture(name="path")
def _repository(tmp_path: Path) -> Path:
    path = tmp_path / "mine"
    path.mkdir()
    _git(path, "init", "-q", "-b", "trunk")
    _git(path, "config", "user.name", "Me")
    _git(path, "config", "user.email", "me@example.com")
    (path / "a.py").write_text("1\n")
    _git(path, "add", ".")
    _git(path, "commit", "-qm", "one")
    _git(path, "tag", "v1")
    return path


def _commit(path: Path, text: str) -> str:
    (path / "a.py").write_text(text)
    _git(path, "commit", "-qam", text)
    return _git(path, "rev-parse", "HEAD")


async def test_uncommitted_files_are_counted_and_not_touched(path: Path) -> None:
    (path / "a.py").write_text("2\n")
    (path / "new with ü.py").write_text("")
    index = (path / ".git/index").read_bytes()
    found = await checkouts.read_checkout(path)
    assert (found.branch, found.uncommitted) == ("trunk", 2)
    assert found.head == _git(path, "rev-parse", "HEAD")
    assert (path / ".git/index").read_bytes() == index


async def test_a_folder_inside_stands_for_the_whole_repository(path: Path) -> None:
    (path / "sub").mkdir()
    assert (await checkouts.read_checkout(path / "sub")).path == path


async def test_what_cannot_be_worked_on_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with pytest.raises(UserError, match="not a checkout"):
        await checkouts.read_checkout(tmp_path / "plain")
    _git(tmp_path / "plain", "init", "-q")
    with pytest.raises(UserError, match="has no commit"):
        await checkouts.read_checkout(tmp_path / "plain")
    _commit(path, "2\n")
    _git(tmp_path, "clone", "-q", "--depth=1", path.as_uri(), "shallow")
    with pytest.raises(UserError, match="shallow"):
        await checkouts.read_checkout(tmp_path / "shallow")
    with pytest.raises(UserError, match="not a checkout"):
        await checkouts.read_checkout(path / ".git")


async def test_the_copy_ends_at_the_head(path: Path, tmp_path: Path) -> None:
    first = _git(path, "rev-parse", "HEAD")
    later = _commit(path, "2\n")
    _git(path, "tag", "v2")
    _git(path, "branch", "later")
    _git(path, "checkout", "-q", first)
    checkout = await checkouts.read_checkout(path)
    copy, branch = await checkouts.copy_of(checkout, tmp_path / "copy.git")
    assert (checkout.branch, branch) == ("", "main")
    refs = _git(copy, "for-each-ref", "--format=%(refname)").split()
    assert refs == ["refs/heads/main", "refs/tags/v1"]
    assert later not in _git(copy, "rev-list", "--all")


async def test_the_base_of_the_policy_is_the_branch(path: Path, tmp_path: Path) -> None:
    (path / ".github").mkdir()
    (path / ".github/honk.yml").write_text("base: develop\n")
    _git(path, "add", ".")
    _git(path, "commit", "-qm", "policy")
    checkout = await checkouts.read_checkout(path)
    _, branch = await checkouts.copy_of(checkout, tmp_path / "copy.git")
    assert branch == "develop"


async def test_applying_makes_a_branch_and_changes_nothing_else(path: Path, tmp_path: Path) -> None:
    # Hooks of the user's repository are for the user's own commits.
    hook = path / ".git/hooks/reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    _git(tmp_path, "clone", "-q", str(path), "work")
    _git(tmp_path / "work", "config", "user.name", "honk")
    _git(tmp_path / "work", "config", "user.email", "honk@example.com")
    work = _commit(tmp_path / "work", "fixed\n")
    (tmp_path / "hook-ran").unlink(missing_ok=True)
    (path / "a.py").write_text("not committed\n")
    checkout = await checkouts.read_checkout(path)
    before = {file: file.read_bytes() for file in (path / ".git/index", path / ".git/HEAD")}
    for expected in ("honk/1-fix", "honk/1-fix-2"):
        branch = await checkouts.apply_as_branch(
            checkout, tmp_path / "work", work, name="honk/1-fix", message="Fix\n\nHonk-Run: x\n"
        )
        assert branch == expected
    assert _git(path, "log", "-1", "--format=%an %P %s", "honk/1-fix") == f"Me {checkout.head} Fix"
    assert _git(path, "show", "honk/1-fix:a.py") == "fixed"
    assert (path / "a.py").read_text() == "not committed\n"
    assert {file: file.read_bytes() for file in before} == before
    assert not (path / ".git/FETCH_HEAD").exists()
    assert not (tmp_path / "hook-ran").exists()


async def test_a_branch_that_cannot_be_created_is_reported(path: Path) -> None:
    checkout = await checkouts.read_checkout(path)
    await asyncio.to_thread(_git, path, "branch", "honk")
    with pytest.raises(UserError, match="cannot be made"):
        await checkouts.apply_as_branch(checkout, path, checkout.head, name="honk/1", message="x")


@pytest.mark.parametrize(
    ("task", "title", "body"),
    [
        ("fix it", "fix it", ""),
        ("# Fix  it\n\nIt is broken.\n", "Fix it", "It is broken."),
        ("\n\n", "Work to do", ""),
        ("x" * 200, "x" * 119 + "…", "x" * 200),
    ],
)
def test_a_task_is_an_issue(task: str, title: str, body: str) -> None:
    assert split_task(task) == (title, body)
