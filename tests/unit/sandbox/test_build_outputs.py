"""What toolchains build once per worker, as checkouts see it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from app.git.checkout import Workspaces
from app.sandbox.bubblewrap import Bubblewrap, Sandbox, Unsandboxed
from app.sandbox.build_outputs import BuildOutputs
from app.sandbox.toolchains import Toolchain, Toolchains
from tests.support.workspaces import REPO, World

GO = """#!/bin/sh
case "$1" in
version) echo go version 1 ;;
list) echo fmt ;;
build)
  [ -z "$(ls -A .)" ] || exit 3
  mkdir -p "$GOCACHE/aa" && cd "$GOCACHE/aa" && echo compiled > std-d && ln -s /etc/passwd link
  ;;
esac
"""
CACHE = ".git/honk/go-build"


class Machine:
    """A worker with a Go whose standard library is one file."""

    def __init__(self, folder: Path, sandbox: Sandbox, program: str = GO) -> None:
        go = folder / "go" / "bin" / "go"
        go.parent.mkdir(parents=True, exist_ok=True)
        go.write_text(program)
        go.chmod(0o755)
        self.outputs = folder / "outputs"
        self.toolchains = Toolchains(
            (
                Toolchain(
                    "go",
                    go.parent.parent,
                    "bin",
                    ("bin",),
                    caches={"GOCACHE": "@/go-build"},
                    asked=("go", "version"),
                ),
            )
        )
        self.build_outputs = BuildOutputs(
            self.outputs, folder / "workspaces", sandbox, self.toolchains
        )


def world_on(machine: Machine, world: World, folder: Path) -> World:
    world.workspaces = Workspaces(
        folder / "workspaces",
        world.mirrors,
        world.sandbox,
        machine.toolchains,
        outputs=machine.build_outputs,
    )
    return world


async def test_every_checkout_of_a_project_starts_with_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    plain = World.make(tmp_path)
    machine = Machine(tmp_path, plain.sandbox)
    world = world_on(machine, plain, tmp_path)
    world.origin.write("tool/go.mod", "module m\n")
    commit = world.origin.commit()
    await world.fetched()
    first = await world.workspaces.create(REPO, commit, "first")
    (made,) = machine.outputs.glob("go-*")
    assert [path.name for path in made.glob("*/*")] == ["std-d"]  # only plain files

    attack = f"""
      cat {CACHE}/aa/std-d
      ! echo forged 2>/dev/null > {CACHE}/aa/std-d
      rm {CACHE}/aa/std-d && echo forged > {CACHE}/aa/std-d && echo own > {CACHE}/aa/more
    """
    assert await world.inside(first, attack) == "compiled\n"
    second = await world.workspaces.create(REPO, commit, "second")
    assert await world.inside(second, f"ls {CACHE}/aa; cat {CACHE}/aa/std-d") == "std-d\ncompiled\n"
    assert [path.name for path in (tmp_path / "workspaces").glob("toolchain-*")] == []


async def test_a_project_without_the_language_is_left_alone(tmp_path: Path) -> None:
    plain = World.make(tmp_path)
    machine = Machine(tmp_path, plain.sandbox)
    world = world_on(machine, plain, tmp_path)
    world.origin.write("setup.py", "")
    workspace = await world.workspaces.create(
        REPO, (world.origin.commit(), await world.fetched())[1], "run"
    )
    assert not machine.outputs.exists()
    assert not (workspace.path / ".git" / "honk").exists()


async def test_what_cannot_be_made_is_tried_once_and_missed_by_no_checkout(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    root = tmp_path / "workspaces"
    broken = "#!/bin/sh\nexit 1\n"
    machine = Machine(tmp_path, Bubblewrap.create(root), broken)
    assert await machine.build_outputs.needed(["go.mod"]) == ()
    (tmp_path / "go" / "bin" / "go").write_text(GO)
    assert await machine.build_outputs.needed(["go.mod"]) == ()


async def test_without_mounts_they_are_not_shared(tmp_path: Path) -> None:
    machine = Machine(tmp_path, Unsandboxed())
    assert await machine.build_outputs.needed(["go.mod"]) == ()
    assert not machine.outputs.exists()


async def test_their_files_stay_young(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    machine = Machine(tmp_path, Bubblewrap.create(tmp_path / "workspaces"))
    (output,) = await machine.build_outputs.needed(["go.mod"])
    file = output.mount.source / "aa" / "std-d"
    for path in (file, output.mount.source):
        os.utime(path, (1, 1))
    await machine.build_outputs.needed(["go.mod"])
    assert file.stat().st_mtime > 1


async def test_workers_with_one_home_make_them_once(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    sandbox = Bubblewrap.create(tmp_path / "workspaces")
    machines = [Machine(tmp_path, sandbox) for _ in range(3)]
    found = await asyncio.gather(*(each.build_outputs.needed(["go.mod"]) for each in machines))
    assert len({each.mount.source for (each,) in found}) == 1
    assert [each.name for each in (tmp_path / "outputs").glob(".making-*")] == []
