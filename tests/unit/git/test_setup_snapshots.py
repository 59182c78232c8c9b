"""The result of setup is stored, copied into other checkouts, and never changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.domain.setup import BlockedHost
from app.git.setup_snapshots import SetupSnapshot, SetupSnapshots, SnapshotInfo
from tests.support.workspaces import World

pytestmark = pytest.mark.slow

MAKE = """
mkdir -p node_modules/a/empty .git/honk/cache 'odd [name]*'
echo made > node_modules/a/index.js
ln -s a node_modules/b
ln node_modules/a/index.js node_modules/a/hard
echo cached > .git/honk/cache/file
echo ignored > out.log
echo x > 'odd [name]*/file'
chmod 0500 .git/honk/cache
echo changed >> README
"""


@pytest.fixture
def snapshots(world: World, tmp_path: Path) -> SetupSnapshots:
    world.origin.write("README", "Read me.\n")
    world.origin.write(".gitignore", "*.log\n")
    world.origin.commit()
    return SetupSnapshots(tmp_path / "setups", world.workspaces)


async def made(world: World, snapshots: SetupSnapshots, key: str = "k") -> SetupSnapshot:
    workspace = await world.workspace("maker")
    await world.inside(workspace, MAKE)
    kept = await snapshots.keep(
        key, workspace, SnapshotInfo(tried=(BlockedHost(host="a.test", why="no"),))
    )
    assert kept is not None
    return kept


async def test_another_checkout_has_it(world: World, snapshots: SetupSnapshots) -> None:
    await made(world, snapshots)
    found = snapshots.find("k")
    assert found is not None and found.tried == (BlockedHost(host="a.test", why="no"),)
    other = await world.workspace("other")
    assert await snapshots.apply(found, other)
    told = await world.inside(
        other,
        "cat node_modules/b/index.js .git/honk/cache/file out.log README; ls -d node_modules/a/*; "
        "stat -c %a .git/honk/cache",
    )
    # Tracked files stay as they were checked out.
    assert told.split("\n") == [
        *("made", "cached", "ignored", "Read me."),
        *(f"node_modules/a/{name}" for name in ("empty", "hard", "index.js")),
        *("500", ""),
    ]


async def test_no_run_changes_a_snapshot(world: World, snapshots: SetupSnapshots) -> None:
    kept = await made(world, snapshots)
    first = await world.workspace("first")
    assert await snapshots.apply(kept, first)
    await world.inside(first, "echo evil > node_modules/a/index.js; rm -r node_modules/b")
    second = await world.workspace("second")
    assert await snapshots.apply(kept, second)
    assert await world.inside(second, "cat node_modules/b/index.js") == "made\n"
    assert kept.archive.stat().st_nlink == 1
    # the file's two hard links
    assert (first.path / "node_modules/a/index.js").stat().st_nlink == 2


async def test_what_a_checkout_has_already_stays(world: World, snapshots: SetupSnapshots) -> None:
    kept = await made(world, snapshots)
    other = await world.workspace("other")
    await world.inside(other, "echo mine > out.log; ln -s /etc node_modules")
    await snapshots.apply(kept, other)
    assert await world.inside(other, "cat out.log") == "mine\n"


async def test_no_commit_takes_it_in(world: World, snapshots: SetupSnapshots) -> None:
    kept = await made(world, snapshots)
    other = await world.workspace("other")
    assert await snapshots.apply(kept, other)
    await snapshots.leave_out(other, frozenset())
    await world.inside(other, "echo new > new.txt; echo new > 'odd x'; echo more >> README")
    packed = await world.packed(other)
    assert sorted(change.path for change in packed.changes) == ["README", "new.txt", "odd x"]
    # What the agent made before a second setup is the agent's.
    before = await snapshots.untracked(other)
    await world.inside(other, "mkdir vendor; echo > vendor/a")
    await snapshots.leave_out(other, before)
    packed = await world.packed(other)
    assert sorted(change.path for change in packed.changes) == ["README", "new.txt", "odd x"]


async def test_a_snapshot_may_vanish(world: World, snapshots: SetupSnapshots) -> None:
    kept = await made(world, snapshots)
    kept.archive.unlink()
    assert snapshots.find("k") is None
    other = await world.workspace("other")
    assert not await snapshots.apply(kept, other)
    kept = await made(world, snapshots)
    kept.archive.write_bytes(b"broken" * 1000)
    assert not await snapshots.apply(kept, other)
    assert snapshots.find("k") is None


async def test_the_least_recently_used_goes(world: World, tmp_path: Path) -> None:
    snapshots = SetupSnapshots(tmp_path / "setups", world.workspaces, max_bytes=30_000)
    world.origin.write("README", "Read me.\n")
    world.origin.commit()
    for number, key in enumerate(("a", "b")):
        kept = await made(world, snapshots, key)
        os.utime(kept.about, (number, number))
    assert snapshots.find("a") is not None  # and now used later than b
    await made(world, snapshots, "c")
    assert [key for key in "abc" if snapshots.find(key)] == ["a", "c"]


async def test_a_git_directory_of_set_ups_own_runs_nothing(
    world: World, snapshots: SetupSnapshots
) -> None:
    workspace = await world.workspace("maker")
    await world.inside(
        workspace,
        "git config core.fsmonitor 'touch /workspace/ran; false'; mkdir n; git init -q n; "
        "git -C n config core.fsmonitor 'touch /workspace/ran; false'; echo > n/a",
    )
    kept = await snapshots.keep("k", workspace)
    assert kept is not None
    assert not (workspace.path / "ran").exists()
    other = await world.workspace("other")
    assert await snapshots.apply(kept, other)
    assert "fsmonitor" not in await world.inside(other, "cat .git/config")


async def test_sources_can_be_made_newer_than_what_was_built(
    world: World, snapshots: SetupSnapshots
) -> None:
    """What was compiled after this checkout was made must not pass for up to date."""
    other = await world.workspace("other")
    await world.inside(other, "touch -d '2001-01-01' README")
    assert await snapshots.apply(await made(world, snapshots), other)
    newer = "[ README -nt out.log ] && echo sources || echo outputs"
    assert await world.inside(other, newer) == "outputs\n"
    await snapshots.touch_sources(other)
    assert await world.inside(other, newer) == "sources\n"
