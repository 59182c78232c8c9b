"""Honk's files are private, even where an older version left them readable."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.git.external_cache import ExternalCache
from app.git.packing import pack
from app.git.setup_snapshots import SetupSnapshots
from app.private_files import close_home
from app.verify.bundled_tools import bundle_pytest
from tests.support.workspaces import REPO, World

pytestmark = pytest.mark.slow

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(home: Path, *, but: tuple[str, ...] = ()) -> list[str]:
    return [
        str(path.relative_to(home))
        for path in [home, *sorted(home.rglob("*"))]
        if not path.is_symlink()
        and stat.S_IMODE(path.lstat().st_mode) & 0o077
        and not set(but).intersection(path.relative_to(home).parts)
    ]


def test_what_is_there_already_is_closed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    secret = home / "mirrors" / "octo" / "private.git"
    (secret / "refs").mkdir(parents=True)
    (secret / "packed-refs").write_text("secret")
    (secret / "config").write_text("[core]\n\tsharedRepository = 0644\n")
    (home / "honk.db").write_text("secret")
    (home / "link").symlink_to("/etc/passwd")
    for path in (home, *home.rglob("*")):
        path.chmod(0o777, follow_symlinks=False) if not path.is_symlink() else None
    (home / "workspaces" / "run").mkdir(parents=True)
    tree = home / "workspaces" / "run" / "tree"
    tree.mkdir()
    (tree / "run.sh").touch(mode=0o755)
    passwd = Path("/etc/passwd").stat().st_mode
    close_home(home)
    assert open_to_others(home, but=("tree",)) == []
    assert stat.S_IMODE((tree / "run.sh").stat().st_mode) == 0o755
    assert Path("/etc/passwd").stat().st_mode == passwd
    (home / "later").write_text("made later")
    assert open_to_others(home, but=("tree",)) == []
    shared = "0644" if ROOT else "0600"
    assert f"sharedRepository = {shared}" in (secret / "config").read_text()


async def test_what_a_worker_makes_is_its_own_and_its_sandboxes_read_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    close_home(home)
    world = World.make(home)
    world.origin.write("README", "private\n")
    world.origin.commit()
    workspace = await world.workspace()
    assert await world.inside(workspace, "cat README; git log --format=%s") == "private\nChange\n"
    await world.inside(workspace, "echo more > more")
    packed = await pack(workspace, world.workspaces)
    assert [change.path for change in packed.changes] == ["more"]
    snapshots = SetupSnapshots(home / "setups", world.workspaces)
    kept = await snapshots.keep("key", workspace)
    assert kept is not None
    assert await snapshots.apply(kept, workspace)
    bundle_pytest(home / "scratch" / "lent")
    ExternalCache(home / "elsewhere").contents(REPO)
    # A root worker's sandboxes are other users: they may read these, but cannot reach them.
    open_ = open_to_others(home, but=("tree", "origin.git", "clone"))
    assert not open_ or ROOT
    for path in open_:
        above = [home / part for part in Path(path).parents]
        assert any(folder.stat().st_mode & 0o077 == 0 for folder in above if folder != home), path


@pytest.mark.skipif(not ROOT, reason="only root can be somebody else")
async def test_another_user_of_the_machine_reads_nothing(tmp_path: Path) -> None:
    """Not even where something opens the home itself again."""
    for folder in tmp_path.parents[:-1]:
        folder.chmod(folder.stat().st_mode | 0o011)
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    close_home(home)
    world = World.make(home)
    world.origin.write("README", "private\n")
    world.origin.commit()
    await world.workspace()

    def readable() -> str:
        words = ["find", str(world.mirrors.path(REPO)), str(home / "workspaces"), "-readable"]
        done = subprocess.run(words, user=65534, group=65534, capture_output=True, check=False)
        return done.stdout.decode()

    assert readable() == ""
    home.chmod(0o755)
    (home / "mirrors").chmod(0o755)
    (home / "workspaces").chmod(0o755)
    assert str(world.mirrors.path(REPO)) + "/" not in readable()
