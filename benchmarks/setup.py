"""What does a prepared project cost in every further checkout?

`python -m benchmarks.setup`: the snapshot of a setup that made 20,000 files is copied into a second
checkout with the same manifests; and a Go project's tests run in a new checkout, beside the same
command in a clone on this machine whose cache is warm.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from app.git.checkout import Workspace, Workspaces
from app.git.setup_snapshots import SetupSnapshots
from app.playground.samples import load
from app.sandbox.build_outputs import BuildOutputs
from app.sandbox.spec import SandboxSpec
from app.sandbox.toolchains import installed
from app.verify.runner import VerifySite, verify
from app.verify.verifiers.go import Go
from tests.support.toolchains import OUTPUTS, use_fetched
from tests.support.workspaces import World, run_git

FOLDERS = 200
FILES_IN_EACH = 100
BYTES_OF_A_FILE = 4_000
ROUNDS = 3


def main() -> None:
    """Print the seconds of both, and the ratio for Go."""
    use_fetched()
    folder = Path(tempfile.mkdtemp(prefix="honk-bench-"))
    folder.chmod(0o755)
    try:
        asyncio.run(_measure(folder))
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


async def _measure(folder: Path) -> None:
    await _snapshot(folder / "snapshot")
    if "go" in installed():
        await _go(folder / "go")
    else:
        print("skipped: no Go on this machine")


async def _snapshot(folder: Path) -> None:
    folder.mkdir()
    world = World.make(folder)
    world.origin.write("package.json", "{}")
    world.origin.commit()
    first = await world.workspace("first")
    script = f"""
      content=$(head -c {BYTES_OF_A_FILE} /dev/zero | tr '\\0' x)
      for folder in $(seq {FOLDERS}); do
        mkdir -p node_modules/$folder
        for file in $(seq {FILES_IN_EACH}); do echo $content > node_modules/$folder/$file.js; done
      done
    """
    await world.inside(first, script)
    snapshots = SetupSnapshots(folder / "setups", world.workspaces)
    snapshot = await snapshots.keep("key", first)
    assert snapshot is not None
    seconds = []
    for at in range(ROUNDS):
        checkout = await world.workspace(f"next-{at}")
        began = time.perf_counter()
        assert await snapshots.apply(snapshot, checkout)
        seconds.append(time.perf_counter() - began)
    files = FOLDERS * FILES_IN_EACH
    print(f"a second checkout with the same setup, {files:,} files: {min(seconds):.2f} s more")


async def _go(folder: Path) -> None:
    folder.mkdir()
    world = World.make(folder)
    root = folder / "workspaces"
    outputs = BuildOutputs(OUTPUTS, root, world.sandbox, installed())
    world.workspaces = Workspaces(root, world.mirrors, world.sandbox, installed(), outputs=outputs)
    (sample,) = (each for each in load() if each.name == "hits")
    for path, content in sample.files.items():
        world.origin.write(path, content)
    world.origin.commit()
    hand = _by_hand(world.origin.clone, folder)
    seconds: dict[str, float] = {}
    for at in range(ROUNDS + 1):  # the first makes the outputs, where this machine has none
        began = time.perf_counter()
        checkout = await world.workspace(f"run-{at}")
        checked_out = time.perf_counter()
        await _tests(world, checkout, folder)
        ended = time.perf_counter()
        parts = {"checkout": checked_out - began, "go test": ended - checked_out}
        for name, spent in parts.items():
            seconds[name] = min(spent, seconds.get(name, spent))
    print(f"a warm `go test ./...` on this machine: {hand:.2f} s")
    for name, spent in seconds.items():
        print(f"  {name} in a new checkout: {spent:.2f} s")
    print(f"verification takes {sum(seconds.values()) / hand:.2f} times the warm command")


def _by_hand(clone: Path, folder: Path) -> float:
    """The command of the verifier, in a clone whose cache holds everything."""
    run_git(clone, "status")
    environment = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-buildvcs=false"}
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        subprocess.run(
            ["go", "test", "-count=1", "./..."],
            cwd=clone,
            env=environment,
            capture_output=True,
            check=False,  # the sample has a bug
        )
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


async def _tests(world: World, checkout: Workspace, folder: Path) -> None:
    spec: SandboxSpec = world.workspaces.spec(checkout)
    site = VerifySite(world.sandbox, spec, folder / "scratch")
    results = await verify(site, [Go()], checkout.base)
    assert results.verifiers[0].tests, results.verifiers[0].output_tail


if __name__ == "__main__":
    main()
