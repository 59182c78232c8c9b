"""Deleting trees that somebody hostile made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from app.sandbox.removal import older, remove_tree, removed
from app.sandbox.untrusted_files import iter_files


def _deep(top: Path, depth: int) -> None:
    """Deeper than a path may be long, each folder with a file."""
    top.mkdir()
    fd = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 10, dir_fd=fd)
        inner = os.open("d" * 10, os.O_RDONLY, dir_fd=fd)
        os.close(os.open("f", os.O_WRONLY | os.O_CREAT, dir_fd=inner))
        os.close(fd)
        fd = inner
    os.close(fd)


def test_depth_does_not_matter(tmp_path: Path) -> None:
    _deep(tmp_path / "deep", 3000)
    assert len(list(iter_files(tmp_path / "deep"))) < 3000
    remove_tree(tmp_path / "deep")
    assert list(tmp_path.iterdir()) == []


def test_numbers_and_kinds_do_not_matter(tmp_path: Path) -> None:
    top = tmp_path / "wide"
    top.mkdir()
    for number in range(12_000):
        os.close(os.open(top / f"{number}", os.O_WRONLY | os.O_CREAT))
    for number in range(300):
        (top / f"folder-{number}").mkdir()
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("/etc")
    (top / os.fsdecode(b"\xff\nname")).write_text("x")
    remove_tree(top)
    remove_tree(top)
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc").is_dir()


def test_modes_do_not_matter(tmp_path: Path) -> None:
    """As an ordinary user too, whom a closed folder of their own keeps out."""
    folder = tmp_path / "open"
    folder.mkdir()
    script = f"""
import os, sys
from pathlib import Path
from app.sandbox.removal import remove_tree
os.umask(0)
top = Path({str(folder)!r}, "top")
(top / "closed" / "inner").mkdir(parents=True)
(top / "closed" / "inner" / "file").write_text("x")
(top / "closed" / "inner").chmod(0)
(top / "closed").chmod(0)
top.chmod(0o500)
remove_tree(top)
"""
    folder.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    tmp_path.chmod(0o755)
    user = 65_534 if os.geteuid() == 0 else None
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script.replace("from app.sandbox.removal", _IMPORT)],
        capture_output=True,
        text=True,
        input=_SOURCE,
        check=False,
        user=user,
        group=user,
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []


# The other user may not be able to read this checkout.
_IMPORT = (
    "import types; structlog = types.ModuleType('structlog'); structlog.get_logger = print\n"
    "app = types.ModuleType('app'); app.log_events = types.ModuleType('app.log_events')\n"
    "sys.modules['structlog'] = structlog; sys.modules['app'] = app\n"
    "removal = types.ModuleType('removal')\n"
    "exec(sys.stdin.read(), removal.__dict__); sys.modules['removal'] = removal\n"
    "from removal"
)
_SOURCE = Path(remove_tree.__code__.co_filename).read_text()


def _unremovable(path: Path) -> None:
    done = subprocess.run(["chattr", "+i", str(path)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this disk has no files that cannot be deleted")


def test_one_leftover_holds_up_nothing_else(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "file").write_text("x")
    stuck = tmp_path / "b" / "inner" / "file"
    _unremovable(stuck)
    try:
        assert removed(sorted(tmp_path.iterdir())) == 2
        left = [each for each in tmp_path.rglob("*") if each.is_file()]
        assert len(left) == 1
        with pytest.raises(PermissionError):
            remove_tree(left[0].parents[1])
    finally:
        for each in tmp_path.rglob("file"):
            subprocess.run(["chattr", "-i", str(each)], check=True)
    assert removed(tmp_path.iterdir()) == 1


def test_older_looks_at_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "old").mkdir()
    os.utime(tmp_path / "old", (1, 1))
    found = older([tmp_path / "new", tmp_path / "old", tmp_path / "gone"], 1000)
    assert list(found) == [tmp_path / "old"]
