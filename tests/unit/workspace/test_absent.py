"""What a commit names and a checkout does not hold."""

from __future__ import annotations

from app.workspace.absent import Absent, absent
from tests.support.workspaces import REPO, World, run_git

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 7\n"


async def test_pointers_and_submodules_are_found(world: World) -> None:
    world.origin.write("a.bin", POINTER)
    world.origin.write("b.bin", "version 2\n")
    world.origin.write("assets/.gitattributes", "*.bin filter=lfs -text\n")
    commit = world.origin.commit()
    link = f"160000,{commit},lib/sub"
    run_git(world.origin.clone, "update-index", "--add", "--cacheinfo", link)
    run_git(world.origin.clone, "commit", "-q", "-m", "Submodule")
    run_git(world.origin.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    found = await absent(world.mirrors, REPO, await world.fetched())
    assert found == Absent(pointers=("a.bin",), submodules=("lib/sub",))


async def test_a_pointer_where_nothing_speaks_of_lfs_is_a_text(world: World) -> None:
    world.origin.write("a.bin", POINTER)
    world.origin.write(".gitattributes", "*.bin -text\n")
    world.origin.commit()
    found = await absent(world.mirrors, REPO, await world.fetched())
    assert found == Absent(pointers=(), submodules=())
