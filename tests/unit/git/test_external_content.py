"""Content that a commit refers to but a checkout does not contain."""

from __future__ import annotations

from app.git.external_content import (
    ExternalReferences,
    Pointer,
    Submodule,
    external_references,
)
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
    found = await external_references(world.mirrors, REPO, await world.fetched())
    assert found == ExternalReferences(
        pointers=(Pointer(path="a.bin", oid="a" * 64, size=7),),
        submodules=(Submodule(path="lib/sub", commit=commit, url=""),),
    )


async def test_where_a_submodule_comes_from_is_read_without_following_anything(
    world: World,
) -> None:
    world.origin.write(
        ".gitmodules",
        '[include]\n\tpath = /etc/gitconfig\n[submodule "a.b"]\n\tpath = lib\n\turl = ../lib.git\n'
        '[submodule "half"]\n\tpath = half\n',
    )
    world.origin.commit()
    assert await world.mirrors.submodule_urls(REPO, await world.fetched()) == {"lib": "../lib.git"}
    world.origin.write(".gitmodules", "no configuration [")
    world.origin.commit()
    assert await world.mirrors.submodule_urls(REPO, await world.fetched()) == {}


async def test_a_pointer_without_lfs_attributes_is_text(world: World) -> None:
    world.origin.write("a.bin", POINTER)
    world.origin.write(".gitattributes", "*.bin -text\n")
    world.origin.commit()
    found = await external_references(world.mirrors, REPO, await world.fetched())
    assert found == ExternalReferences(pointers=(), submodules=())
