"""Writing `.env` without touching what others wrote."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from app.errors import UserError
from app.installer.env_file import EnvFile

BEFORE = """\
# mine
export A=1
EMPTY=
KEY='several
lines'

# about B
B="with ${A} and \\"quotes\\"" # why
B2='x'
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_other_lines_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(BEFORE)
    path.chmod(0o644)
    kept = EnvFile(path).add({"EMPTY": "e", "A": "2", "NEW": "n", "B2": "x"})
    assert kept == ["A"]
    assert path.read_text() == BEFORE.replace("EMPTY=\n", "EMPTY=e\n") + "NEW=n\n"
    assert mode(path) == 0o600


def test_only_named_settings_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(BEFORE)
    EnvFile(path).add({"A": "2", "KEY": "k", "B": "b"}, replacing={"A", "KEY"})
    expected = BEFORE.replace("A=1", "A=2").replace("'several\nlines'", "k")
    assert path.read_text() == expected


def test_the_same_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    env = EnvFile(path)
    env.add({"A": "1"})
    before = path.stat()
    assert env.add({"A": "1"}) == []
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_ino == before.st_ino


def test_a_file_without_a_last_line_break_is_continued(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("A=1")
    EnvFile(path).add({"B": "2"})
    assert path.read_text() == "A=1\nB=2\n"


@pytest.mark.parametrize(
    "value", ["plain", "a b", "it's", 'q"q', "$HOME `x` \\", "#no", "ü", "a=b=="]
)
def test_every_value_is_read_back(tmp_path: Path, value: str) -> None:
    path = tmp_path / ".env"
    EnvFile(path).add({"A": value, "B": "after"})
    assert dotenv_values(path) == {"A": value, "B": "after"}
    EnvFile(path).add({"A": value + "2"}, replacing={"A"})
    assert dotenv_values(path) == {"A": value + "2", "B": "after"}


def test_a_key_means_the_same_to_a_shell(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    EnvFile(path).add({"A": "LS0tLS1CRUdJTg+/=="})
    said = subprocess.run(
        ["sh", "-c", f". {path} && printf %s $A"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "LS0tLS1CRUdJTg+/=="


def test_a_link_keeps_leading_to_its_file(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("A=1\n")
    link = tmp_path / ".env"
    link.symlink_to("there")
    EnvFile(link).add({"B": "2"})
    assert link.is_symlink()
    assert (tmp_path / "there").read_text() == "A=1\nB=2\n"


def test_a_folder_that_cannot_be_written_is_reported_before_anything_happens(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "not" / "there"
    env = EnvFile(folder / ".env")
    for attempt in (env.check_writable, lambda: env.add({"A": "1"})):
        with pytest.raises(UserError, match="cannot be written"):
            attempt()
    (tmp_path / "folder").mkdir(mode=0o755)
    in_the_way = EnvFile(tmp_path / "folder")
    in_the_way.close()
    assert mode(in_the_way.path) == 0o755
    with pytest.raises(UserError, match="cannot be read"):
        in_the_way.check_writable()
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(UserError, match="is not text"):
        EnvFile(tmp_path / "bytes").check_writable()


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    env = EnvFile(tmp_path / ".env")
    env.check_writable()
    env.close()
    assert list(tmp_path.iterdir()) == []
    env.path.write_text("A=1\n")
    env.path.chmod(0o644)
    env.close()
    assert mode(env.path) == 0o600
