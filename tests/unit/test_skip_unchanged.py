"""`make test` skips the playground's unit tests while the playground is unchanged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "skip-unchanged"
IDENTITY = {
    name: "test@example.invalid" if name.endswith("EMAIL") else "Test"
    for who in ("AUTHOR", "COMMITTER")
    for name in (f"GIT_{who}_NAME", f"GIT_{who}_EMAIL")
}


def _run(repo: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=repo,
        env={"PATH": os.environ["PATH"], "HOME": str(repo), **IDENTITY, **env},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository on a branch that has changed nothing of the playground since main."""
    _write(tmp_path, "app/playground/run.py")
    _run(tmp_path, "git", "init", "-q", "-b", "main")
    _commit(tmp_path)
    _run(tmp_path, "git", "switch", "-q", "-c", "work")
    _write(tmp_path, "app/other.py")
    _commit(tmp_path)
    return tmp_path


def _write(repo: Path, name: str) -> None:
    path = repo / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.read_text() + "more\n" if path.exists() else "one\n")


def _commit(repo: Path) -> None:
    _run(repo, "git", "add", "-A")
    _run(repo, "git", "commit", "-q", "-m", "change")


def _change_on_main(repo: Path) -> None:
    _run(repo, "git", "switch", "-q", "main")
    _write(repo, "app/playground/run.py")
    _commit(repo)
    _run(repo, "git", "switch", "-q", "work")


def _commit_a_change(repo: Path) -> None:
    _write(repo, "app/playground/run.py")
    _commit(repo)


@pytest.mark.parametrize("change", [lambda repo: None, _change_on_main])
def test_an_unchanged_playground_is_skipped_in_one_line(
    repo: Path, change: Callable[[Path], None]
) -> None:
    change(repo)
    done = _run(repo, str(SCRIPT))
    assert done.stdout == "--ignore=tests/unit/playground\n"
    assert done.stderr.count("\n") == 1
    assert "tests/unit/playground" in done.stderr


@pytest.mark.parametrize(
    "change",
    [
        _commit_a_change,
        lambda repo: _write(repo, "app/playground/run.py"),
        lambda repo: _write(repo, "app/playground/untracked.py"),
        lambda repo: _write(repo, "tests/unit/playground/test_run.py"),
        lambda repo: _run(repo, "git", "branch", "-q", "-D", "main"),
    ],
    ids=["committed", "modified", "untracked", "test", "no main"],
)
def test_a_changed_playground_is_tested(repo: Path, change: Callable[[Path], object]) -> None:
    change(repo)
    assert _run(repo, str(SCRIPT)).stdout == ""


@pytest.mark.parametrize("variable", ["CI", "ALL_TESTS"])
def test_ci_always_tests_the_playground(repo: Path, variable: str) -> None:
    assert _run(repo, str(SCRIPT), **{variable: "1"}).stdout == ""
