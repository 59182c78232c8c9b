"""Real file systems for workspaces, which take root, loop devices and a disk with ext4 or xfs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.git.checkout import Workspaces
from app.git.setup_snapshots import SetupSnapshots
from app.sandbox.spec import MIB
from app.sandbox.workspace_disks import DisksUnavailableError, WorkspaceDisks
from tests.support.workspaces import World, unmounted

pytestmark = pytest.mark.slow

LIMIT = 48 * MIB
SIZE = LIMIT * 7 // 6


def create(home: Path, limit: int = LIMIT) -> WorkspaceDisks:
    (home / "workspaces").mkdir(parents=True, exist_ok=True)
    try:
        return WorkspaceDisks.create(home, limit)
    except DisksUnavailableError as why:
        pytest.skip(str(why))


def left_mounted(home: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().split() if str(home) in line]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with unmounted(tmp_path):
        yield tmp_path


@pytest.fixture
def world(home: Path) -> World:
    world = World.make(home)
    disks = create(home)
    workspaces = Workspaces(home / "workspaces", world.mirrors, world.sandbox, disks=disks)
    return replace(world, workspaces=workspaces)


DELETED = """
import os, mmap
held = []
for number in range(100):
    fd = os.open(f"held-{number}", os.O_RDWR | os.O_CREAT)
    os.unlink(f"held-{number}")
    os.posix_fallocate(fd, 0, 4 << 20)
    held.append(mmap.mmap(fd, 4 << 20))
    os.close(fd)
"""


async def test_the_kernel_bounds_what_a_workspace_stores(world: World, home: Path) -> None:
    world.origin.write("a.txt", "a\n")
    world.origin.commit()
    workspace = await world.workspace()
    assert workspace.own_disk
    hidden = "mkdir closed && head -c 30M /dev/zero > closed/a && chmod 0 closed && echo hidden"
    assert "hidden" in await world.inside(workspace, hidden)
    done = await world.sandbox.run(world.workspaces.spec(workspace), ["python3", "-c", DELETED])
    assert done.killed == "disk" or "No space left" in done.text
    # Even without monitoring, root itself gets no more either.
    with pytest.raises(OSError, match="No space left"), (workspace.folder / "x").open("wb") as file:
        for _ in range(SIZE // MIB + 1):
            file.write(bytes(MIB))
            os.fsync(file.fileno())
    (image,) = (home / "disks").iterdir()
    assert image.stat().st_blocks * 512 <= SIZE + MIB
    await world.workspaces.remove(workspace)


async def test_everything_that_leaves_a_workspace_is_copied(world: World, home: Path) -> None:
    world.origin.write("a.txt", "a\n")
    world.origin.commit()
    workspace = await world.workspace()
    await world.inside(workspace, "echo changed > a.txt; mkdir made; echo set up > made/b")
    snapshots = SetupSnapshots(home / "setups", world.workspaces)
    kept = await snapshots.keep("key", workspace)
    assert kept is not None
    packed = await world.packed(workspace)
    assert "a.txt" in await world.listed(packed.tree)
    other = await world.workspace("run-2")
    assert await snapshots.apply(kept, other)
    assert await world.inside(other, "cat made/b a.txt") == "set up\na\n"
    await world.workspaces.discard(workspace)
    again = await world.workspace()
    assert again.own_disk
    assert await world.inside(again, "cat a.txt") == "a\n"
    assert await world.workspaces.clear(lambda _: False, before=2e10) == 2
    assert list((home / "disks").iterdir()) == []
    assert left_mounted(home / "workspaces") == []


async def test_without_room_a_workspace_is_watched(world: World, home: Path) -> None:
    world.origin.write("a.txt", "a\n")
    world.origin.commit()
    disks = create(home, 1 << 50)
    assert disks.room() == 0
    workspaces = Workspaces(home / "workspaces", world.mirrors, world.sandbox, disks=disks)
    workspace = await replace(world, workspaces=workspaces).workspace()
    assert not workspace.own_disk
    assert not workspaces.spec(workspace).own_disk
    assert await world.inside(workspace, "cat a.txt") == "a\n"
    assert list((home / "disks").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from app.sandbox.workspace_disks import WorkspaceDisks
disks = WorkspaceDisks(Path(sys.argv[1]), int(sys.argv[2]))
for name in ("a", "b"):
    folder = Path(sys.argv[1], "workspaces", name)
    folder.mkdir()
    assert disks.attach(folder)
    (folder / "file").write_text("written")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("taken_over", [True, False])
def test_what_a_killed_worker_left_is_taken_over(home: Path, taken_over: bool) -> None:
    disks = create(home)
    done = subprocess.run([sys.executable, "-c", KILLED, home, str(LIMIT)], check=False)
    assert done.returncode == -signal.SIGKILL
    a, b = (home / "workspaces" / name for name in ("a", "b"))
    subprocess.run(["umount", b], check=True)  # as after a crash of the machine
    disks.resume()
    assert (a / "file").read_text() == "written"
    assert [path.name for path in (home / "disks").iterdir()] == ["a.img"]
    # Another running worker leaves it alone.
    WorkspaceDisks(home, LIMIT).resume()
    assert a.is_mount()
    if taken_over:
        disks.detach(a)
    else:
        disks.discard_left()
    assert list((home / "disks").iterdir()) == []
    assert left_mounted(home) == []
    loops = (path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    assert not [path for path in loops if str(home) in path and "deleted" not in path]


def filled(disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"), (disk / "full").open("wb", 0) as file:
        while True:
            file.write(bytes(MIB))


@pytest.mark.parametrize("sparse", [False, True])
def test_a_full_disk_takes_no_write_back(home: Path, sparse: bool) -> None:
    """What was written to a workspace stays, however full the machine's disk becomes later."""
    create(home)
    host, image = home / "host", home / "host.img"
    host.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, host], check=True)
    folder = host / "workspaces" / "a"
    try:
        disks = create(host)
        folder.mkdir()
        if sparse:  # the control
            own = host / "a.img"
            with own.open("wb") as file:
                file.truncate(SIZE)
            subprocess.run(["mkfs.ext4", "-q", own], check=True)
            subprocess.run(["mount", "-o", "loop", own, folder], check=True)
        else:
            assert disks.attach(folder)
        filled(host)
        content = os.urandom(MIB)
        kept = 0
        for number in range(40):
            try:
                path = folder / str(number)
                path.write_bytes(content)
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                kept += path.read_bytes() == content
            except OSError:
                break
        assert (kept == 40) is not sparse
    finally:
        subprocess.run(["umount", "--lazy", folder], capture_output=True, check=False)
        subprocess.run(["umount", "--lazy", host], check=True)
