"""Reading out of a directory that may be hostile."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.sandbox.untrusted_files import NotReadableError, iter_files, read_file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "report.xml").write_text("<ok/>")
    (root / "odd \n ü.xml").write_text("odd")
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to("../secret")
    (root / "inner").symlink_to("sub/report.xml")
    (root / "folder").symlink_to("..")
    os.mkfifo(root / "pipe")
    (root / "proc").symlink_to("/proc/self")
    return root


def test_regular_files_are_read(root: Path) -> None:
    assert read_file(root, "sub/report.xml", 5) == b"<ok/>"
    assert read_file(root, "odd \n ü.xml", 100) == b"odd"


@pytest.mark.parametrize(
    "name",
    [
        *("link", "inner", "folder/secret", "../secret", "sub/../../secret", "pipe", "sub"),
        *("missing", "/etc/passwd", "proc/environ", "", "sub/report.xml/x", "a\0b", "x" * 5000),
    ],
)
def test_everything_else_is_refused(root: Path, name: str) -> None:
    with pytest.raises(NotReadableError):
        read_file(root, name, 100)


def test_size_is_bounded(root: Path) -> None:
    with pytest.raises(NotReadableError, match="longer than 4"):
        read_file(root, "sub/report.xml", 4)


def test_names_of_regular_files(root: Path) -> None:
    assert list(iter_files(root)) == ["odd \n ü.xml", "sub/report.xml"]
    assert list(iter_files(root, "sub")) == ["sub/report.xml"]
    assert list(iter_files(root, suffix=".txt")) == []
    assert list(iter_files(root, max_files=1)) == ["odd \n ü.xml"]
    assert list(iter_files(root, "folder")) == []
    assert list(iter_files(root, "..")) == []


def test_a_directory_swapped_for_a_link_leaks_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "report.xml").write_text("secret")
    (root / "evil").symlink_to("../outside")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            (root / "sub").rename(root / "aside")
            (root / "evil").rename(root / "sub")
            (root / "sub").rename(root / "evil")
            (root / "aside").rename(root / "sub")

    thread = threading.Thread(target=swap)
    thread.start()
    read, refused = set(), 0
    try:
        for _ in range(3000):
            try:
                read.add(read_file(root, "sub/report.xml", 100))
            except NotReadableError:
                refused += 1
    finally:
        done.set()
        thread.join()
    assert read == {b"<ok/>"}
    assert refused
