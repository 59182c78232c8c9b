"""What the work tree holds is what is packed: no more, no less."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from app.errors import RetryableError
from app.git.checkout import Workspaces
from app.git.packing import leads_outside, pack
from app.sandbox.bubblewrap import Completed, Unsandboxed
from tests.support.workspaces import REPO, World, make_old, run_git

pytestmark = pytest.mark.slow

ODD_NAMES = (
    "with space.txt",
    "quote'\"s.txt",
    "new\nline.txt",
    "tab\there.txt",
    "ümläut-日本.txt",
    "-dash.txt",
    "back\\slash.txt",
    "star*[x]?.txt",
    os.fsdecode(b"not-utf8-\xff\xfe.txt"),
)


def write_odd_files(world: World) -> None:
    origin = world.origin
    for name in ODD_NAMES:
        origin.write(f"dir/{name}", f"content of {name!r}\n")
    origin.write("run.sh", "#!/bin/sh\necho hi\n", executable=True)
    origin.write("binary.bin", bytes(range(256)) * 50)
    origin.write("empty", b"")
    origin.write("no-newline", "x")
    origin.write("crlf.txt", "a\r\nb\r\n")
    origin.write("lf.bat", "a\nb\n")
    origin.write("id.c", "$Id$\n")
    origin.write("big.psd", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    origin.write("utf16.txt", "hello\n".encode("utf-16"))
    (origin.clone / "link").symlink_to("dir/with space.txt")
    (origin.clone / "broken-link").symlink_to("nowhere/at\nall")


HOSTILE_ATTRIBUTES = (
    "*.txt text=auto\n*.bat text eol=crlf\n*.c ident filter=evil\n*.psd filter=lfs\n"
    "utf16.txt working-tree-encoding=UTF-16\n"
)


async def test_everything_survives_checkout_and_packing(world: World) -> None:
    write_odd_files(world)
    commit = world.origin.commit()
    workspace = await world.workspace()
    packed = await world.packed(workspace)
    assert packed.changes == ()
    assert packed.skipped == ()
    assert packed.tree == await world.mirrors.tree_of(REPO, commit)
    assert (workspace.path / "dir" / ODD_NAMES[2]).read_text() == f"content of {ODD_NAMES[2]!r}\n"


async def test_attributes_convert_nothing_and_change_nothing(world: World) -> None:
    # Committed before the attributes are, so that the blobs are as they were written.
    write_odd_files(world)
    world.origin.commit()
    world.origin.write(".gitattributes", HOSTILE_ATTRIBUTES)
    run_git(world.origin.clone, "add", ".gitattributes")
    run_git(world.origin.clone, "commit", "-qm", "attributes")
    run_git(world.origin.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    workspace = await world.workspace()
    assert (workspace.path / "lf.bat").read_bytes() == b"a\nb\n"
    assert (workspace.path / "id.c").read_bytes() == b"$Id$\n"
    # Written again with the same content: git must look into the files, not at their times.
    await world.inside(workspace, 'for f in *.* dir/*; do cp "$f" /tmp/c; cat /tmp/c > "$f"; done')
    packed = await world.packed(workspace)
    assert packed.changes == ()
    assert (await world.inside(workspace, "git status --porcelain")).strip() == ""


async def test_changes_arrive_with_modes_names_and_bytes(world: World) -> None:
    write_odd_files(world)
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(
        workspace,
        r"""
        chmod -x run.sh; chmod +x empty; rm 'dir/-dash.txt'; printf '\0\1\r\n\377' > binary.bin
        printf 'x\r\n' > $'made\nhere ü.txt'; rm link; ln -s empty link; rm no-newline
        mkdir no-newline; echo in > no-newline/file; mkdir -p deep/er; ln -s ../../empty deep/er/up
        """,
    )
    packed = await world.packed(workspace)
    rows = {
        change.path: (change.status, change.old_mode, change.new_mode, change.new_size)
        for change in packed.changes
    }
    assert rows == {
        "run.sh": ("M", "100755", "100644", 18),
        "empty": ("M", "100644", "100755", 0),
        "dir/-dash.txt": ("D", "100644", "000000", 0),
        "binary.bin": ("M", "100644", "100644", 5),
        "made\nhere ü.txt": ("A", "000000", "100644", 3),
        "link": ("M", "120000", "120000", 5),
        "no-newline": ("D", "100644", "000000", 0),
        "no-newline/file": ("A", "000000", "100644", 3),
        "deep/er/up": ("A", "000000", "120000", 11),
    }
    read = world.mirrors.read_blob
    assert await read(REPO, packed.tree, "binary.bin", 100) == b"\0\1\r\n\377"
    assert await read(REPO, packed.tree, "made\nhere ü.txt", 100) == b"x\r\n"
    assert await read(REPO, packed.tree, "binary.bin", 4) is None
    assert await read(REPO, packed.tree, "link", 100) is None
    assert await read(REPO, packed.tree, "nowhere", 100) is None
    assert packed.skipped == ()


async def test_what_the_agent_does_to_its_git_changes_nothing(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.write("b", "1\n")
    world.origin.commit()
    world.origin.write("c", "1\n")
    world.origin.commit("Second")
    workspace = await world.workspace()
    log = await world.inside(
        workspace,
        "git log --oneline | wc -l; git blame a | wc -l; echo 2 > a; git add a; echo 3 > a; "
        "git diff --stat | tail -1; git rm -q --cached b; git commit -qm mine; git status -s",
    )
    assert log.split("\n")[:2] == ["2", "1"]
    first = await world.packed(workspace)
    assert [(change.status, change.path) for change in first.changes] == [("M", "a")]
    for damage in (
        "git config core.worktree /tmp; git config core.bare true; echo a > .git/info/exclude",
        "rm -rf .git/objects .git/HEAD",
        "rm -rf .git; echo 'gitdir: /tmp' > .git",
        "rm -f .git; git init -q -b x .; git config core.fsmonitor /bin/false; git add -A",
        "rm -rf .git; ln -s /tmp .git",
        "rm -rf .git; mkfifo .git",
    ):
        await world.inside(workspace, damage)
        assert (await world.packed(workspace)).tree == first.tree, damage


async def test_ignored_files_stay_out_and_tracked_ones_in(world: World) -> None:
    world.origin.write(".gitignore", "*.log\nbuild/\n")
    world.origin.write("kept.log", "tracked although ignored\n")
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(
        workspace,
        "echo changed > kept.log; echo x > new.log; mkdir build; echo x > build/x;"
        "echo y > new.txt;"
        "mkdir -p ~/.config/git; echo new.txt > ~/.config/git/ignore",
    )
    packed = await world.packed(workspace)
    assert sorted(change.path for change in packed.changes) == ["kept.log", "new.txt"]


async def test_what_cannot_be_packed_is_named(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.write("was-a-file", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(
        workspace,
        "git init -q nested; cd nested; echo x > x; git add x;"
        "git -c user.name=x -c user.email=x commit -qm x; cd ..;"
        "git init -q unborn; echo y > unborn/y; mkfifo pipe; rm was-a-file; mkfifo was-a-file;"
        "echo s > secret; chmod 0 secret; ln -s /etc/passwd out; ln -s ../../etc up;"
        "echo '[submodule \"x\"]' > .gitmodules; mkdir .GIT; echo z > .GIT/config; echo 2 > a",
    )
    packed = await world.packed(workspace)
    assert [(change.status, change.path) for change in packed.changes] == [("M", "a")]
    told = "\n".join(packed.skipped)
    for path in ("nested", "unborn", "secret", "out", "up", ".gitmodules", ".GIT", "was-a-file"):
        assert f"`{path}" in told, (path, told)


async def test_submodules_of_the_base_stay_as_they_are(world: World) -> None:
    world.origin.write("a", "1\n")
    commit = world.origin.commit()
    run_git(world.origin.clone, "update-index", "--add", "--cacheinfo", f"160000,{commit},lib/sub")
    run_git(world.origin.clone, "commit", "-qm", "sub")
    run_git(world.origin.clone, "push", "-q", "origin", "HEAD:refs/heads/main")
    workspace = await world.workspace()
    assert (await world.packed(workspace)).changes == ()
    await world.inside(workspace, "rm -r lib; echo vendored > lib; echo 2 > a")
    packed = await world.packed(workspace)
    assert [(change.status, change.path) for change in packed.changes] == [("M", "a")]
    await world.inside(
        workspace,
        "rm lib; mkdir -p lib/sub; cd lib/sub; git init -q; echo x > x;"
        "git add x; git -c user.name=x -c user.email=x commit -qm x",
    )
    packed = await world.packed(workspace)
    assert [(change.status, change.path) for change in packed.changes] == [("M", "a")]
    assert packed.skipped == ("`lib/sub` is a submodule: it was left as it was",)


async def test_a_resumed_workspace_holds_the_tree_and_knows_the_base(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.write("b", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(workspace, "echo 2 > a; echo new > c; rm b")
    packed = await world.packed(workspace)
    again = await world.workspaces.create(REPO, workspace.base, "run-1", tree=packed.tree)
    assert (again.path / "a").read_text() == "2\n"
    assert not (again.path / "b").exists()
    status = await world.inside(again, "git status --porcelain")
    assert sorted(status.split("\n")) == ["", " D b", " M a", "?? c"]
    assert await world.packed(again) == packed


@pytest.mark.parametrize(
    ("path", "target", "outside"),
    [
        ("link", "file", False),
        ("link", "a/b", False),
        ("a/link", "../file", False),
        ("a/link", "./../b/./c", False),
        ("link", "../file", True),
        ("a/link", "../../file", True),
        ("link", "/etc/passwd", True),
        ("a/b/link", "c/../../../../x", True),
        ("link", "c/../x", True),
    ],
)
def test_links_that_lead_outside(path: str, target: str, outside: bool) -> None:
    assert leads_outside(path, target) is outside


async def test_removal_of_what_an_agent_leaves_behind(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(
        workspace,
        'python3 -c \'import os\nfor _ in range(1500): os.mkdir("deep"); os.chdir("deep")\';'
        "mkdir closed; touch closed/x; chmod 0 closed; ln -s /etc leads-out; mkfifo pipe;"
        "touch \"$(printf 'n%.0s' $(seq 255))\"; chmod 0 .",
    )
    await world.workspaces.remove(workspace)
    assert os.listdir(workspace.folder.parent) in ([], [".slots.lock"])  # noqa: PTH208
    assert Path("/etc/passwd").exists()
    assert await world.workspaces.open("run-1") is None


async def test_what_is_discarded_is_out_of_the_way_at_once_and_then_gone(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.commit()
    first = await world.workspace()
    await world.workspaces.discard(first)
    assert await world.workspaces.open("run-1") is None
    assert "workspaces" not in run_git(world.mirrors.path(REPO), "for-each-ref")
    second = await world.workspace()  # of the same name, while the first is being deleted
    await world.workspaces.discard(second)
    await world.workspaces.discard(second)
    async with asyncio.timeout(20):
        while set(os.listdir(second.folder.parent)) - {".slots.lock"}:  # noqa: PTH208, ASYNC110
            await asyncio.sleep(0.02)  # their end sends no event


async def test_a_workspace_is_opened_again_by_name(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    assert await world.workspaces.open("run-1") == workspace
    assert await world.workspaces.open("run-2") is None
    for name in ("../x", "", ".x", "a..b", "a.lock", "a/b", "a."):
        with pytest.raises(ValueError, match="no name"):
            await world.workspaces.create(REPO, workspace.base, name)


class _Leaving(Unsandboxed):
    """It is gone before it has answered."""

    async def run(self, *_: object, **__: object) -> Completed:
        return Completed(None, b"", 0, timed_out=False, killed="sandbox", seconds=0.1)


async def test_a_sandbox_that_vanished_is_started_again(world: World) -> None:
    world.origin.write("a", "1\n")
    world.origin.commit()
    workspace = await world.workspace()
    leaving = Workspaces(workspace.folder.parent, world.mirrors, _Leaving())
    with pytest.raises(RetryableError, match="went away"):
        await pack(workspace, leaving)
    with pytest.raises(RetryableError, match="went away"):
        await leaving.create(REPO, workspace.base, "run-2")
    assert await leaving.open("run-2") is None


async def test_a_live_workspace_keeps_its_objects(world: World) -> None:
    world.origin.write("a", "1\n")
    commit = world.origin.commit()
    workspace = await world.workspace("run.1_x-y")
    await world.inside(workspace, "echo 2 > a")
    packed = await world.packed(workspace)
    mirror = world.mirrors.path(REPO)
    for ref in run_git(mirror, "for-each-ref", "--format=%(refname)", "refs/honk-fetched").split():
        run_git(mirror, "update-ref", "-d", ref)
    make_old(mirror / "objects")
    await world.mirrors.collect_garbage(REPO, lambda _: True)
    assert (await world.packed(workspace)).tree == packed.tree
    await world.workspaces.remove(workspace)
    make_old(mirror / "objects")
    await world.mirrors.collect_garbage(REPO, lambda _: True)
    assert not await world.mirrors.has_commit(REPO, commit)
