"""Snapshots in a row are the trees that packing makes, whatever was done in between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from app.git.snapshots import Snapshots, snapshots_of
from tests.support.workspaces import REPO, World, run_git

pytestmark = pytest.mark.slow

COMMIT = "git -c user.name=a -c user.email=a commit -qm Inner"
STEPS = {
    "an edit": "echo more >> a.txt",
    "nothing": ":",
    "an edit of the same size at the same time": (
        "touch -r a.txt /tmp/then; printf MORE | dd of=a.txt bs=1 conv=notrunc 2>/dev/null;"
        " touch -r /tmp/then a.txt"
    ),
    "a mode": "chmod +x a.txt",
    "a new file in a new folder": "mkdir -p new/er && echo x > new/er/file",
    "files that are ignored": "mkdir -p build && echo x > build/x && echo y > build/y",
    "one of them added": "git add -f build/x",
    "and changed": "echo z >> build/x",
    "and deleted": "rm build/x",
    "and made again": "echo again > build/x",
    "and no longer added": "git rm -qf --cached build/x",
    "a deletion": "rm folder/b.txt",
    "a rename, committed": "git mv a.txt c.txt && git commit -qam Renamed",
    "an ignored file of the base, removed": "git rm -q build/base && rm -rf build/base",
    "an ignored file of the base, made again": "mkdir -p build && echo new > build/base",
    "a link, and one that leads outside": "ln -s c.txt link && ln -s /etc/passwd outside",
    "a folder instead of a file": "rm c.txt && mkdir c.txt && echo x > c.txt/x",
    "a repository inside": (
        f"git init -q inner && cd inner && echo x > x && git add x && {COMMIT}"
    ),
    "a repository instead of a folder": (f"cd folder && git init -q . && git add -A && {COMMIT}"),
    "where submodules come from": "printf '[submodule \"x\"]\\n' > .gitmodules",
    "a file that cannot be read": "echo x > hidden && chmod 0 hidden",
    "no index": "rm .git/index",
    "a pipe instead of it": "mkfifo .git/index",
    "an index that is none": "rm .git/index && echo nothing > .git/index",
    "back to the beginning": "rm -rf .git/index && git reset -q --hard work && git clean -qfdx",
}


def write(world: World) -> None:
    world.origin.write("a.txt", "a long line\n")
    world.origin.write("folder/b.txt", "b\n")
    world.origin.write("folder/c.txt", "c\n")
    world.origin.write("build/base", "made once\n")
    world.origin.write(".gitignore", "build/\n")
    world.origin.commit()


async def packs(world: World) -> int:
    return len(list(world.mirrors.objects(REPO).glob("pack/*.pack")))


@pytest.mark.parametrize("idle_seconds", [10.0, 0.0], ids=["one sandbox", "a sandbox for each"])
async def test_each_snapshot_is_what_packing_makes(world: World, idle_seconds: float) -> None:
    write(world)
    workspace = await world.workspace()
    snapshots = Snapshots(workspace, world.workspaces, idle_seconds=idle_seconds)
    scratches: set[Path] = set()
    try:
        for name, script in STEPS.items():
            await world.inside(workspace, script)
            tree = await snapshots.take()
            assert world.mirrors.pinned(REPO, workspace.pin("tree")) == tree, name
            assert tree == (await world.packed(workspace)).tree, name
            run_git(world.mirrors.path(REPO), "rev-list", "--objects", tree)
            scratches |= set(workspace.folder.glob("scratch-*"))
        assert len(scratches) == 1, "it started over"
    finally:
        await snapshots.end()
    assert not list(workspace.folder.glob("scratch-*"))


async def test_a_snapshot_without_a_change_adds_nothing(world: World) -> None:
    write(world)
    workspace = await world.workspace()
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        await world.inside(workspace, "echo more >> a.txt")
        first = await snapshots.take()
        before = await packs(world)
        await world.inside(workspace, "git status && touch a.txt && cat a.txt")
        assert await snapshots.take() == first
        assert await packs(world) == before


async def test_git_may_make_packs_itself(world: World) -> None:
    """As it does for a file of more than 512 MB."""
    write(world)
    workspace = await world.workspace()
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        await snapshots.take()
        (scratch,) = workspace.folder.glob("scratch-*")
        (pack, *_) = world.mirrors.objects(REPO).glob("pack/*.pack")
        for file in (pack, pack.with_suffix(".idx")):
            shutil.copy(file, scratch / "git/objects/pack")
        for text in "ab":
            await world.inside(workspace, f"echo {text} >> a.txt")
            tree = await snapshots.take()
            run_git(world.mirrors.path(REPO), "rev-list", "--objects", tree)
        assert list(workspace.folder.glob("scratch-*")) == [scratch]


async def test_what_a_later_setup_makes_stays_out(world: World) -> None:
    write(world)
    workspace = await world.workspace()
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        await world.inside(workspace, "echo more >> a.txt")
        tree = await snapshots.take()
        await world.inside(workspace, "mkdir made && echo x > made/x")
        workspace.made.write_bytes(b"/made/\n")
        assert await snapshots.take() == tree


async def test_with_a_submodule(world: World) -> None:
    write(world)
    head = world.origin.at("main")
    run_git(world.origin.clone, "update-index", "--add", "--cacheinfo", f"160000,{head},sub")
    run_git(world.origin.clone, "commit", "-qm", "Submodule")
    run_git(world.origin.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    workspace = await world.workspace()
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        await world.inside(workspace, "echo more >> a.txt")
        assert await snapshots.take() == (await world.packed(workspace)).tree
        assert "160000" in await world.listed(await snapshots.take())


async def test_a_snapshot_that_breaks_off_is_taken_again(world: World) -> None:
    """The folder in which git works is not to be relied on after that."""
    write(world)
    workspace = await world.workspace()
    async with snapshots_of(workspace, world.workspaces) as snapshots:
        await world.inside(workspace, "echo more >> a.txt")
        await snapshots.take()
        (scratch,) = workspace.folder.glob("scratch-*")
        damage(scratch)
        await world.inside(workspace, "echo most >> a.txt")
        tree = await snapshots.take()
        assert tree == (await world.packed(workspace)).tree
        await world.inside(workspace, "echo last >> a.txt")
        assert await snapshots.take() == (await world.packed(workspace)).tree


def damage(scratch: Path) -> None:
    index = scratch / "git/index"
    os.truncate(index, index.stat().st_size // 2)
