"""Files below `HONK_HOME` are private to Honk."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from tests.support.harness import FINISH, FIX, PROJECT, Harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

READ_BY_SANDBOXES = re.compile(
    r"mirrors/[\w.-]+/[\w.-]+\.git/.+|setups/\w+/made\.tar|scratch/lent/.+"
    r"|elsewhere/.+/(?:lfs|submodules)(?:/.+)?|outputs/.+"
)
"""What the sandboxes of a root worker read as other users. See "Other users of the machine" in
docs/security.md."""

OF_SANDBOXES = re.compile(r"workspaces/[^/]+/.+")
"""Checkouts: their sandboxes' user owns them and gives them the modes that the code needs."""


async def test_the_walk_finds_what_is_open(tmp_path: Path) -> None:
    (tmp_path / "mirrors").mkdir(mode=0o700)
    (tmp_path / "mirrors/a").touch(mode=0o640)
    (tmp_path / "workspaces/run/tree").mkdir(mode=0o755, parents=True)
    (tmp_path / "workspaces").chmod(0o755)
    (tmp_path / "workspaces/run").chmod(0o700)
    assert open_to_others(tmp_path) == {"mirrors/a": 0o640, "workspaces": 0o755}


async def test_a_run_leaves_nothing_that_others_can_read(harness: Harness) -> None:
    policy = b"setup:\n  - mkdir -p build && echo 1 > build/made\n"
    subject = await harness.subject(
        files={**PROJECT, ".gitignore": b"build/\n", ".github/honk.yml": policy},
        plays=script([FIX], [FINISH]),
    )
    await subject.label()
    await subject.settled()
    home = harness.home / "honk"
    assert any((home / "setups").iterdir())
    found = open_to_others(home)
    if os.geteuid():
        assert not found
    for name, mode in found.items():
        assert READ_BY_SANDBOXES.fullmatch(name), f"{mode:o} {name}"
        assert not mode & 0o022, f"{mode:o} {name}"
        assert is_below_a_closed_folder(home, name), name


def open_to_others(home: Path) -> dict[str, int]:
    """The modes of files and folders of the home that others could read, by path."""
    found = {}
    for folder, folders, files in os.walk(home):
        for path in (Path(folder, name) for name in (*folders, *files)):
            name, status = str(path.relative_to(home)), path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if stat.S_ISLNK(status.st_mode) or not mode & 0o077 or OF_SANDBOXES.fullmatch(name):
                continue
            found[name] = mode
    return found


def is_below_a_closed_folder(home: Path, name: str) -> bool:
    above = (home / each for each in Path(name).parents if each != Path())
    return any(stat.S_IMODE(each.stat().st_mode) & 0o077 == 0 for each in above)
