"""Checkouts have tags for tools that ask git for a version; tags decide nothing else."""

from __future__ import annotations

import os

import pytest

from app.git.mirror import Mirrors
from tests.support.malformed import literal
from tests.support.workspaces import REPO, World, run_git

CONFUSING = [b"HEAD", b"main", b"work", b"FETCH_HEAD", b"refs/heads/main", b"-option", b"caf\xe9"]


def _tag(world: World, name: bytes, sha: str) -> None:
    run_git(world.origin.bare, "update-ref", b"refs/tags/" + name, sha)


async def test_a_version_from_tags_is_known_inside(world: World) -> None:
    world.origin.write("a", "1\n")
    first = world.origin.commit()
    run_git(world.origin.bare, "tag", "-a", "v1.0", "-m", "One", first)
    run_git(world.origin.bare, "tag", "light", first)
    world.origin.write("a", "2\n")
    world.origin.commit("Second")
    other = world.origin.commit("On another branch", branch="other")
    run_git(world.origin.bare, "tag", "v9", other)
    run_git(world.origin.bare, "tag", "tree", f"{first}^{{tree}}")

    workspace = await world.workspace()
    assert (await world.inside(workspace, "git describe --long")).startswith("v1.0-1-g")
    assert await world.inside(workspace, "git tag") == "light\nv1.0\n"
    assert await world.inside(workspace, "git fsck --strict 2>&1; git status --porcelain") == ""


async def test_tags_that_moved_went_or_came_are_so_in_the_next_checkout(world: World) -> None:
    first = world.origin.commit()
    second = world.origin.commit("Second")
    bare = world.origin.bare
    for name, at in [("moves", first), ("goes", first)]:
        run_git(bare, "tag", "-a", name, "-m", name, at)
    await world.workspace()
    run_git(bare, "tag", "-f", "-a", "moves", "-m", "moved", second)
    run_git(bare, "tag", "-d", "goes")
    run_git(bare, "tag", "goes/deeper", first)
    workspace = await world.workspace()
    assert await world.inside(workspace, "git tag; git rev-parse moves^{}") == (
        f"goes/deeper\nmoves\n{second}\n"
    )


async def test_a_commit_fetched_by_its_sha_has_its_tags(world: World) -> None:
    sha = world.origin.commit()
    run_git(world.origin.bare, "tag", "v1", sha)
    await world.fetched(sha)
    assert [tag.name for tag in await world.mirrors.tags(REPO, sha)] == [b"v1"]


async def test_tags_are_kept_while_old_objects_go(world: World) -> None:
    sha = world.origin.commit()
    run_git(world.origin.bare, "tag", "-a", "v1", "-m", "One", sha)
    await world.fetched()
    path = world.mirrors.path(REPO)
    for each in path.rglob("objects/*/*"):
        os.utime(each, (1, 1))
    await world.mirrors.collect_garbage(REPO, lambda _: False)
    workspace = await world.workspace()
    assert await world.inside(workspace, "git describe") == "v1\n"


async def test_a_malformed_tag_costs_that_tag_alone(world: World) -> None:
    sha = world.origin.commit()
    bare = world.origin.bare
    head = f"object {sha}\ntype commit\ntag bad\0\ntagger A <a@b> 1700000000 +0000\n\nBad\n"
    bad = literal(bare, "tag", head.encode())
    _tag(world, b"bad", bad)
    run_git(bare, "tag", "light", sha)
    workspace = await world.workspace()
    assert await world.inside(workspace, "git tag") == "light\n"


async def test_confusing_names_change_nothing_that_is_checked_out_or_pushed(world: World) -> None:
    world.origin.write("a", "right\n")
    right = world.origin.commit()
    world.origin.write("a", "wrong\n")
    wrong = world.origin.commit("Wrong", branch="other")
    await world.fetched("other")
    bare = world.origin.bare
    for name in [*CONFUSING, right.encode(), b"honk-fetched/aa"]:
        _tag(world, name, wrong)
    for name in [b"HEAD", b"refs/heads/main", b"-option", b"caf\xe9", right.encode()]:
        run_git(bare, "update-ref", b"refs/heads/" + name, wrong)

    assert await world.fetched() == right
    workspace = await world.workspace()
    assert await world.inside(workspace, "cat a") == "right\n"
    await world.inside(workspace, "echo new > b")
    packed = await world.packed(workspace)
    assert [change.path for change in packed.changes] == ["b"]
    assert await world.mirrors.fetch(REPO, world.origin.remote, right) == right
    mirrors, remote = world.mirrors, world.origin.remote
    made = await mirrors.commit_tree(REPO, packed.tree, [right], "Work")
    await mirrors.push(REPO, remote, made, "refs/heads/main")
    await mirrors.push(REPO, remote, made, "refs/honk/1", expected=None)
    assert (world.origin.at("refs/heads/main"), world.origin.at("refs/honk/1")) == (made, made)
    for name in CONFUSING:
        assert run_git(bare, "rev-parse", b"refs/tags/" + name) == wrong
    for branch in (right, "refs/heads/main"):
        assert world.origin.at(f"refs/heads/{branch}") == wrong

    fresh = Mirrors(world.mirrors.path(REPO).parent.parent / "fresh")
    assert await fresh.fetch(REPO, remote, right) == right
    assert [tag.name for tag in await fresh.tags(REPO, right)] == []


@pytest.mark.parametrize("kind", ["tags", "heads"])
async def test_a_branch_that_is_gone_is_no_other_ref_that_ends_like_it(
    world: World, kind: str
) -> None:
    sha = world.origin.commit()
    other = world.origin.commit("Other", branch="other")
    run_git(world.origin.bare, "update-ref", f"refs/{kind}/refs/heads/gone", other)
    run_git(world.origin.bare, "update-ref", f"refs/{kind}/refs/honk/new", other)
    await world.fetched()
    remote = world.origin.remote
    assert await world.mirrors.fetch(REPO, remote, "refs/heads/gone") is None
    for ref in ("refs/heads/gone", "refs/honk/new"):
        await world.mirrors.push(REPO, remote, sha, ref, expected=None)
        assert world.origin.at(ref) == sha
        assert world.origin.at(f"refs/{kind}/{ref}") == other
