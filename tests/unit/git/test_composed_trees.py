"""Composed trees: a commit's tree with the files of another one, or with made-up contents."""

from __future__ import annotations

import asyncio
import os

import pytest

from app.domain.values import CommitSha
from app.git.load_diff import load_diff
from app.git.load_trees import load_trees
from app.git.mirror import Mirrors
from app.integrity.cells import plan
from app.integrity.composing import CommitSide, Override
from tests.support.workspaces import REPO, World, run_git

BASE, HEAD = CommitSide.BASE, CommitSide.HEAD
ODD = os.fsdecode(b"tests/\xe9\n\t\"'\\ \xff.py")
LINK = ("120000", b"a.py")
Files = dict[str, tuple[str, bytes]]


def _commit(world: World, files: Files) -> CommitSha:
    """A commit with any names, made without a work tree."""
    clone = world.origin.clone
    rows = b""
    for path, (mode, content) in files.items():
        sha = content.decode()
        if mode != "160000":
            sha = run_git(clone, "hash-object", "-w", "--stdin", stdin=content)
        rows += f"{mode} {sha}\t".encode() + os.fsencode(path) + b"\0"
    run_git(clone, "read-tree", "--empty")
    run_git(clone, "update-index", "-z", "--index-info", stdin=rows)
    return CommitSha(run_git(clone, "commit-tree", run_git(clone, "write-tree"), "-m", "x"))


async def _both(world: World, base: Files, head: Files) -> tuple[CommitSha, CommitSha]:
    commits = _commit(world, base), _commit(world, head)
    for name, commit in zip(("base", "head"), commits, strict=True):
        run_git(world.origin.clone, "push", "-q", "origin", f"{commit}:refs/heads/{name}")
        await world.mirrors.fetch(REPO, world.origin.remote, name)
    return commits


async def _composed(
    mirrors: Mirrors, base: CommitSha, head: CommitSha, overrides: dict[str, Override]
) -> Files:
    tree = await mirrors.compose_tree(REPO, base, overrides, base=base, head=head)
    found: Files = {}
    listing = run_git(mirrors.path(REPO), "ls-tree", "-r", "-z", tree)
    for row in listing.split("\0")[:-1]:
        described, _, path = row.partition("\t")
        mode, kind, sha = described.split()
        content = run_git(mirrors.path(REPO), "cat-file", "blob", sha) if kind == "blob" else sha
        found[path] = (mode, os.fsencode(content))
    return found


def _plain(**contents: str) -> Files:
    return {
        f"{name.replace('_', '/')}.py": ("100644", text.encode()) for name, text in contents.items()
    }


async def test_entries_come_from_either_commit_are_composed_or_go(world: World) -> None:
    module = ("160000", b"1" * 40)
    base = {**_plain(a="1", tests_b="2"), ODD: ("100644", b"old"), "gone": ("100755", b"x")}
    head = {**_plain(a="9"), ODD: ("100755", b"new"), "tests/link": LINK, "tests/sub": module}
    commits = await _both(world, base, head)
    overrides: dict[str, Override] = {
        ODD: HEAD,
        "tests/link": HEAD,
        "tests/sub": HEAD,
        "tests/b.py": ("100755", b"both\0\xff"),
        "gone": None,
        "never there": None,
        "a.py": BASE,
    }
    assert await _composed(world.mirrors, *commits, overrides) == {
        "a.py": ("100644", b"1"),
        "tests/b.py": ("100755", b"both\0\xff"),
        ODD: ("100755", b"new"),
        "tests/link": LINK,
        "tests/sub": module,
    }


async def test_nothing_to_set_gives_the_tree_itself(world: World) -> None:
    base, head = await _both(world, _plain(a="1"), _plain(a="2"))
    mirrors = world.mirrors
    for start in (base, await mirrors.tree_of(REPO, base)):
        tree = await mirrors.compose_tree(REPO, start, {}, base=base, head=head)
        assert tree == await mirrors.tree_of(REPO, base)
    whole = await mirrors.compose_tree(REPO, base, {"a.py": HEAD}, base=base, head=head)
    assert whole == await mirrors.tree_of(REPO, head)


async def test_a_file_becomes_a_folder_and_a_folder_a_file(world: World) -> None:
    file = {"tests": ("100644", b"file")}
    folder = _plain(tests_a="1", tests_b="2")
    commits = await _both(world, file, folder)
    overrides: dict[str, Override] = {"tests/a.py": HEAD, "tests": None, "tests/b.py": HEAD}
    assert await _composed(world.mirrors, *commits, overrides) == folder
    base, head = commits
    back: dict[str, Override] = {"tests": BASE, "tests/a.py": None, "tests/b.py": None}
    mirrors = world.mirrors
    tree = await mirrors.compose_tree(REPO, head, back, base=base, head=head)
    assert tree == await mirrors.tree_of(REPO, base)


@pytest.mark.parametrize(
    ("overrides", "why"),
    [
        ({"tests/a.py": HEAD}, "a file and a folder"),
        ({"lib": ("100644", b"")}, "a file and a folder"),
        ({"n/m": ("100644", b""), "n": ("100644", b"")}, "a file and a folder"),
        ({"lib/a.py": BASE, "lib/a.py/b": ("100644", b"")}, "a file and a folder"),
        ({"none": HEAD}, "not in the head commit"),
        ({"tests/a.py": BASE}, "not in the base commit"),
        ({"x": ("120000", b"a")}, "cannot be composed"),
        ({"x": ("100644", b"a" * 64_000_001)}, "larger than"),
    ],
    ids=range(8),
)
async def test_what_cannot_be_set_is_refused(
    world: World, overrides: dict[str, Override], why: str
) -> None:
    base_files: Files = {"tests": ("100644", b"file"), **_plain(lib_a="1")}
    base, head = await _both(world, base_files, _plain(tests_a="1", lib_a="1"))
    with pytest.raises(ValueError, match=why):
        await world.mirrors.compose_tree(REPO, base, overrides, base=base, head=head)


async def test_a_planned_cell_is_composed_and_collapses_to_a_commit(world: World) -> None:
    odd = os.fsdecode(b"tests/test_\xe9\n.py")
    test = b"def test_a(): pass"
    base_files: Files = {"a.py": ("100644", b"1"), odd: ("100644", test), "up": LINK}
    head_files: Files = {"a.py": ("100644", b"2"), odd: ("100755", test), "up": ("100644", b"")}
    base, head = await _both(world, base_files, head_files)
    mirrors = world.mirrors
    trees = await load_trees(mirrors, REPO, base, head)
    assert [tree.read("a.py") for tree in trees] == [b"1", b"2"]
    assert trees[0].read("up") is None
    assert trees[0].paths == base_files.keys()
    found = plan(await load_diff(mirrors, REPO, base, head), *trees)
    proof = await _composed(mirrors, base, head, dict(found.proof))
    assert proof == {**base_files, odd: ("100755", test)}
    tree = await mirrors.compose_tree(REPO, head, found.guard, base=base, head=head)
    back = {"a.py": CommitSide.BASE, "up": CommitSide.BASE}
    whole = await mirrors.compose_tree(REPO, tree, back, base=base, head=head)
    assert whole == await mirrors.tree_of(REPO, base)


async def test_many_at_once_leave_nothing_behind(world: World) -> None:
    base, head = await _both(world, _plain(a="1"), _plain(a="2"))
    mirrors = world.mirrors

    async def one(number: int) -> str:
        content = ("100644", str(number % 4).encode())
        return await mirrors.compose_tree(REPO, base, {"t.py": content}, base=base, head=head)

    trees = await asyncio.gather(*map(one, range(12)))
    assert len(set(trees)) == 4
    assert trees[:4] == trees[4:8] == trees[8:]
    assert not list(mirrors.path(REPO).glob("index-*"))
