"""Mirrors that are dropped and tidied up, while others may still want them."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from app.domain.values import CommitSha
from app.git.mirror import Mirrors
from tests.support.workspaces import REPO, World, make_old, run_git


@pytest.fixture(name="mirrors")
def _mirrors(tmp_path: Path) -> Mirrors:
    return Mirrors(tmp_path / "mirrors")


async def _work(mirrors: Mirrors, base: CommitSha, message: str) -> CommitSha:
    """A commit of ours, as old as what `collect_garbage` lets go of."""
    sha = await mirrors.commit_tree(REPO, await mirrors.tree_of(REPO, base), [base], message)
    make_old(mirrors.objects(REPO))
    return sha


async def test_what_a_wanted_pin_holds_stays_and_the_rest_goes(
    world: World, mirrors: Mirrors
) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    wanted, unwanted = [await _work(mirrors, head, name) for name in ("wanted", "unwanted")]
    await mirrors.pin(REPO, "aaaaaaaaaa-work", wanted)
    await mirrors.pin(REPO, "workspaces/bbbbbbbbbb/base", unwanted)

    asked: list[str] = []

    def is_wanted(name: str) -> bool:
        asked.append(name)
        return name.startswith("aaaaaaaaaa")

    await mirrors.collect_garbage(REPO, is_wanted)

    assert sorted(asked) == ["aaaaaaaaaa-work", "workspaces/bbbbbbbbbb/base"]
    assert await mirrors.has_commit(REPO, wanted)
    assert not await mirrors.has_commit(REPO, unwanted)
    assert await mirrors.has_commit(REPO, head)

    await mirrors.unpin(REPO, "aaaaaaaaaa-work")
    await mirrors.unpin(REPO, "aaaaaaaaaa-work")
    make_old(mirrors.objects(REPO))
    await mirrors.collect_garbage(REPO, is_wanted)
    assert not await mirrors.has_commit(REPO, wanted)


async def test_a_pin_of_what_is_not_here_any_more_holds_up_nothing(
    world: World, mirrors: Mirrors
) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    await mirrors.pin(REPO, "aaaaaaaaaa-work", "1" * 40)
    await mirrors.pin(REPO, "aaaaaaaaaa-base", head)
    await mirrors.pin(REPO, "bbbbbbbbbb-base", head)
    await mirrors.collect_garbage(REPO, lambda _: True)
    assert await mirrors.has_commit(REPO, head)


async def test_what_a_cleaning_that_was_killed_held_is_let_go(
    world: World, mirrors: Mirrors
) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    work = await _work(mirrors, head, "work")
    run_git(mirrors.path(REPO), "update-ref", f"refs/honk-held/{work}", work)
    await mirrors.collect_garbage(REPO, lambda _: True)
    assert not await mirrors.has_commit(REPO, work)


async def test_refs_do_not_become_more_with_the_runs(world: World, mirrors: Mirrors) -> None:
    """Git reads each of them whenever it fetches or pushes."""
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")

    def refs() -> list[str]:
        return run_git(mirrors.path(REPO), "for-each-ref", "--format=%(refname)").splitlines()

    few = refs()
    for number in range(3):
        work = await _work(mirrors, head, f"work {number}")
        await mirrors.pin(REPO, f"{number}aaaaaaaaa-work", work)
        await mirrors.push(REPO, world.origin.remote, work, f"refs/honk/{number}")
        for name in (f"refs/honk/{number}", work):
            assert await mirrors.fetch(REPO, world.origin.remote, name) == work
    await mirrors.collect_garbage(REPO, lambda _: True)
    assert refs() == few


async def test_tidying_up_is_no_use_and_a_fetch_is(world: World, mirrors: Mirrors) -> None:
    world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    lock = mirrors.path(REPO) / "honk.lock"
    os.utime(lock, (1000, 1000))
    await mirrors.collect_garbage(REPO, lambda _: True)
    assert [(str(repo).lower(), used) for repo, used in mirrors.known()] == [
        (str(REPO).lower(), 1000)
    ]
    await mirrors.fetch(REPO, world.origin.remote, "main")
    ((_, used),) = mirrors.known()
    assert time.time() - used < 60


async def test_waiting_for_a_mirror_that_is_dropped_yields_a_new_one(
    world: World, mirrors: Mirrors, tmp_path: Path
) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    # Another process: it knows nothing of the first one's locks but the file.
    other = Mirrors(tmp_path / "mirrors")
    async with other._locked(REPO):
        waiting = asyncio.create_task(mirrors.fetch(REPO, world.origin.remote, "main"))
        await asyncio.sleep(0.2)
        other.path(REPO).rename(tmp_path / "dropped")
    assert await waiting == head
    assert await mirrors.has_commit(REPO, head)


async def test_a_dropped_mirror_is_gone_and_comes_back(world: World, mirrors: Mirrors) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    await mirrors.drop(REPO)
    assert mirrors.known() == []
    assert list(mirrors.path(REPO).parent.iterdir()) == []
    assert await mirrors.fetch(REPO, world.origin.remote, "main") == head
    run_git(mirrors.path(REPO), "fsck", "--strict")


async def test_a_bundle_brings_work_into_a_new_mirror(
    world: World, mirrors: Mirrors, tmp_path: Path
) -> None:
    head = world.origin.commit()
    await mirrors.fetch(REPO, world.origin.remote, "main")
    work = await _work(mirrors, head, "work")
    path = tmp_path / "kept" / "aaaaaaaaaa.bundle"
    # The courier that runs alongside the agent and the end of the work may coincide.
    await asyncio.gather(*(mirrors.bundle(REPO, head, work, path) for _ in range(8)))
    assert [each.name for each in path.parent.iterdir()] == [path.name]

    await mirrors.drop(REPO)
    # Without its base commit it does not apply.
    assert not await mirrors.unbundle(REPO, path)
    await mirrors.fetch(REPO, world.origin.remote, "main")
    assert await mirrors.unbundle(REPO, path)
    assert await mirrors.has_commit(REPO, work)
    assert not await mirrors.unbundle(REPO, path.with_name("other.bundle"))
