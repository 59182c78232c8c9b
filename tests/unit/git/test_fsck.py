"""Objects of old tools are fetched; harmful ones are not, and the error names the object."""

from __future__ import annotations

import subprocess
import tempfile
from typing import BinaryIO

import pytest

from app.git import fsck
from app.git.command import GitError, GitUnsoundError
from tests.support.malformed import commit_by, literal, tree_of, zero_padded
from tests.support.workspaces import REPO, World, run_git


def _base(world: World) -> str:
    world.origin.write("calc.py", "1\n")
    world.origin.write("lib/a.py", "1\n")
    return world.origin.commit()


def _move(world: World, commit: str) -> None:
    run_git(world.origin.bare, "update-ref", "refs/heads/main", commit)


def _strict(world: World) -> str:
    """Git's message about the remote without any exceptions."""
    done = subprocess.run(
        ["git", "-C", str(world.origin.bare), "fsck", "--strict"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    return done.stderr + done.stdout


AUTHORS = {
    "badTimezone": b"Ada <ada@example.com> 1700000000 +051800",
    "badDate": b"Ada <ada@example.com> yesterday +0000",
    "badDateOverflow": b"Ada <ada@example.com> 99999999999999999999 +0000",
    "zeroPaddedDate": b"Ada <ada@example.com> 01700000000 +0000",
    "missingSpaceBeforeDate": b"Ada <ada@example.com>1700000000 +0000",
    "missingSpaceBeforeEmail": b"Ada<ada@example.com> 1700000000 +0000",
    "missingEmail": b"Ada 1700000000 +0000",
    "missingNameBeforeEmail": b"<ada@example.com> 1700000000 +0000",
    "badName": b"Ada> <ada@example.com> 1700000000 +0000",
    "badEmail": b"Ada <ada@<example.com> 1700000000 +0000",
}


async def test_malformed_author_lines_in_the_history_are_no_obstacle(world: World) -> None:
    bare, old = world.origin.bare, _base(world)
    for line in AUTHORS.values():
        old = commit_by(bare, old, line)
    old = commit_by(bare, old, more=b"author Bob <bob@example.com> 1700000000 +0000")
    old = commit_by(bare, old, message=b"Old\n\nwith a \0 in it\n")
    _move(world, old)
    told = _strict(world)
    kinds = (*AUTHORS, "multipleAuthors", "nulInCommit")
    assert [kind for kind in kinds if kind not in told] == []

    workspace = await world.workspace()
    assert await world.inside(workspace, "git log -1 --format=%s") == "Old\n"
    await world.inside(workspace, "echo 2 > calc.py")
    packed = await world.packed(workspace)
    assert [change.path for change in packed.changes] == ["calc.py"]
    history = await world.mirrors.history(REPO, workspace.base, 20)
    assert [one.message.split()[0] for one in history[1:]] == ["Old"] * 12


async def test_zero_padded_modes_are_no_obstacle_and_no_change(world: World) -> None:
    old = zero_padded(world.origin.bare, _base(world))
    _move(world, old)
    assert "zeroPaddedFilemode" in _strict(world)

    workspace = await world.workspace()
    base_tree = await world.mirrors.tree_of(REPO, old)
    untouched = await world.packed(workspace)
    assert (untouched.tree, untouched.changes) == (base_tree, ())
    await world.inside(workspace, "echo 2 > lib/a.py; echo 2 > old/a.txt")
    changed = await world.packed(workspace)
    assert [change.path for change in changed.changes] == ["lib/a.py", "old/a.txt"]
    await world.inside(workspace, "echo 1 > lib/a.py; echo old > old/a.txt")
    back = await world.packed(workspace)
    assert (back.tree, back.changes) == (base_tree, ())


def _dot_git(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"100644", b".git", blob))


def _dot_dot(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"100644", b"..", blob))


def _slash(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"100644", b"a/b", blob))


def _unsorted(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"100644", b"b", blob), (b"100644", b"a", blob))


def _twice(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"100644", b"a", blob), (b"100644", b"a", blob))


def _modules_link(world: World, blob: str) -> str:
    return tree_of(world.origin.bare, (b"120000", b".gitmodules", blob))


def _modules_option(world: World, _: str) -> str:
    text = b'[submodule "x"]\n\tpath = x\n\turl = -u./payload\n'
    blob = literal(world.origin.bare, "blob", text)
    return tree_of(world.origin.bare, (b"100644", b".gitmodules", blob))


def _modules_name(world: World, _: str) -> str:
    text = b'[submodule "../../x"]\n\tpath = x\n\turl = https://example.com/x.git\n'
    blob = literal(world.origin.bare, "blob", text)
    return tree_of(world.origin.bare, (b"100644", b".gitmodules", blob))


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_dot_git, "hasDotgit"),
        (_dot_dot, "hasDotdot"),
        (_slash, "fullPathname"),
        (_unsorted, "treeNotSorted"),
        (_twice, "duplicateEntries"),
        (_modules_link, "gitmodulesSymlink"),
        (_modules_option, "gitmodulesUrl"),
        (_modules_name, "gitmodulesName"),
    ],
)
async def test_dangerous_kinds_are_refused_wherever_they_are_in_the_history(
    world: World, make: object, kind: str
) -> None:
    bare, base = world.origin.bare, _base(world)
    assert callable(make)
    bad = commit_by(bare, base, tree=make(world, literal(bare, "blob", b"x\n")))
    good = commit_by(bare, bad, tree=run_git(bare, "rev-parse", f"{base}^{{tree}}"))
    _move(world, good)
    with pytest.raises(GitUnsoundError) as refused:
        await world.fetched()
    assert f"`{kind}`: {fsck.why_refused(kind)}" in refused.value.message
    assert refused.value.next_step
    assert not await world.mirrors.has_commit(REPO, good)


async def test_what_a_sandbox_packs_is_checked_without_exceptions(world: World) -> None:
    bare, base = world.origin.bare, _base(world)
    await world.fetched()
    tree = tree_of(bare, (b"0100644", b"a", literal(bare, "blob", b"x\n")))
    matches = "zeroPaddedFilemode"
    with _packed(world, f"{tree}\n^{base}\n") as file, pytest.raises(GitError, match=matches):
        await world.mirrors.add_pack(REPO, file, 1_000_000)


def _packed(world: World, revisions: str) -> BinaryIO:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    subprocess.run(
        ["git", "-C", str(world.origin.bare), "pack-objects", "-q", "--revs", "--stdout"],
        input=revisions.encode(),
        stdout=file,
        check=True,
    )
    file.seek(0)
    return file


def test_every_kind_of_this_git_has_a_row_with_a_reason() -> None:
    told = subprocess.run(["git", "help", "-c"], capture_output=True, text=True, check=True).stdout
    kinds = {line.removeprefix("fsck.") for line in told.split() if line.startswith("fsck.")}
    of_objects = {kind for kind in kinds if "ref" not in kind.lower()} - {"skipList"}
    rows = [*fsck.ACCEPTED, *fsck.REFUSED, *fsck.LEFT_TO_GIT]
    names = [row.name for row in rows]
    assert of_objects <= set(names)
    assert len(names) == len(set(names))
    assert all(row.why for row in rows)
