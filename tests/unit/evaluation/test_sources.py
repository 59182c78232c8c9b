"""The commits that are worked on and graded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.domain.evaluation import EvalTask
from app.errors import UserError
from app.evaluation import sources

_NOWHERE = "http://127.0.0.1:9"


def _git(path: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=path, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture(name="path")
def _repository(tmp_path: Path) -> Path:
    path = tmp_path / "clones" / "o__r"
    path.mkdir(parents=True)
    _git(path, "init", "-q", "-b", "trunk")
    _git(path, "config", "user.name", "Me")
    _git(path, "config", "user.email", "me@example.com")
    _commit(path, "old", "test old")
    return path


def _commit(path: Path, source: str, test: str) -> str:
    (path / "a.py").write_text(f"{source}\n")
    (path / "test_a.py").write_text(f"{test}\n")
    _git(path, "add", ".")
    _git(path, "commit", "-qm", source)
    return _git(path, "rev-parse", "HEAD")


def _task(repository: str = "o/r", base: str = "", **more: str | dict[str, str]) -> EvalTask:
    values = {"id": "t", "repository": repository, "base": base, "problem": "p", **more}
    return EvalTask.model_validate({**values, "fail_to_pass": ["test_a.py::test"]})


async def _prepared(task: EvalTask, tmp_path: Path) -> tuple[Path, str]:
    folder = tmp_path / "task.git"
    cache = tmp_path / "cache"
    return folder, await sources.prepare(task, folder, tmp_path / "clones", cache, _NOWHERE)


async def test_the_future_of_the_base_is_not_there(path: Path, tmp_path: Path) -> None:
    base = _git(path, "rev-parse", "HEAD")
    _git(path, "tag", "v1")
    fixed = _commit(path, "fixed", "test new")
    _git(path, "tag", "v2")
    folder, found = await _prepared(_task(base=base), tmp_path)
    assert found == base
    refs = _git(folder, "for-each-ref", "--format=%(refname)").split()
    assert refs == ["refs/heads/main", "refs/tags/v1"]
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "-q", folder.as_uri(), str(clone))
    assert fixed not in _git(clone, "rev-list", "--all", "--objects")


async def test_hidden_tests_replace_what_the_work_made_of_them(path: Path, tmp_path: Path) -> None:
    base = _git(path, "rev-parse", "HEAD")
    _commit(path, "fixed", "test new")
    patch = _git(path, "diff", base, "HEAD", "--", "test_a.py")
    gold = _git(path, "diff", base, "HEAD", "--", "a.py")
    _git(path, "checkout", "-q", base)
    work = _commit(path, "mine", "test weakened")
    task = _task(base=base, test_patch=patch, gold=gold, tests={"more/test_b.py": "b\n"})
    folder, _ = await _prepared(task, tmp_path)
    _git(folder, "fetch", "-q", str(path), work)
    graded = await sources.with_tests(task, folder, base, work)
    shown = [_git(folder, "show", f"{graded}:{name}") for name in _names(folder, graded)]
    assert _names(folder, graded) == ["a.py", "more/test_b.py", "test_a.py"]
    assert shown == ["mine", "b", "test new"]
    solved = await sources.with_gold(task, folder, base)
    assert _git(folder, "show", f"{solved}:a.py") == "fixed"
    assert _git(folder, "show", f"{solved}:test_a.py") == "test old"


def _names(folder: Path, commit: str) -> list[str]:
    return _git(folder, "ls-tree", "-r", "--name-only", commit).split()


async def test_a_test_file_that_the_patch_deletes_is_gone(path: Path, tmp_path: Path) -> None:
    base = _git(path, "rev-parse", "HEAD")
    _git(path, "rm", "-q", "test_a.py")
    _git(path, "commit", "-qm", "no test")
    patch = _git(path, "diff", base, "HEAD")
    task = _task(base=base, test_patch=patch)
    folder, _ = await _prepared(task, tmp_path)
    assert _names(folder, await sources.with_tests(task, folder, base, base)) == ["a.py"]


async def test_a_plain_folder_becomes_one_commit_even_inside_a_repository(
    path: Path, tmp_path: Path
) -> None:
    inside = path / "samples" / "one"
    inside.mkdir(parents=True)
    (inside / "b.py").write_text("b\n")
    folder, base = await _prepared(_task(str(inside)), tmp_path)
    assert _names(folder, base) == ["b.py"]
    again = tmp_path / "again.git"
    other = await sources.prepare(_task(str(inside)), again, None, tmp_path / "cache", _NOWHERE)
    assert other == base


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (_task(base="0" * 40), "does not have the commit"),
        (_task("o/unknown"), "cannot be cloned"),
        (_task("no such folder/at all/"), "neither a folder"),
    ],
)
async def test_what_cannot_be_fetched_is_reported(
    task: EvalTask, said: str, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=said):
        await _prepared(task, tmp_path)


async def test_a_patch_that_does_not_apply_is_reported(path: Path, tmp_path: Path) -> None:
    task = _task(test_patch="--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", gold="junk")
    folder, base = await _prepared(task, tmp_path)
    with pytest.raises(UserError, match="`test_patch` does not apply"):
        await sources.with_tests(task, folder, base, base)
    with pytest.raises(UserError, match="`patch` does not apply"):
        await sources.with_gold(task, folder, base)


@pytest.mark.parametrize("name", ["../outside", ".git/hooks/post-commit", "/etc/x"])
async def test_hidden_tests_stay_inside_the_tree(name: str, path: Path, tmp_path: Path) -> None:
    task = _task(tests={name: "x"})
    folder, base = await _prepared(task, tmp_path)
    with pytest.raises(UserError):
        await sources.with_tests(task, folder, base, base)
