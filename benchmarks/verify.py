"""What does verifying in a clean checkout cost, beside the same command in a prepared one?

`python -m benchmarks.verify`: a repository of 20,000 files whose suite of 1,000 tests takes some
twenty seconds by itself, a warm mirror, and the snapshot of a setup that made 2,000 files. By hand
means: in a clone that is there already, without a sandbox, with the same pytest.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from app.domain.values import CommitSha
from app.git.setup_snapshots import SetupSnapshot, SetupSnapshots
from app.verify.bundled_tools import bundle_pytest
from app.verify.runner import VerifySite, verify
from app.verify.verifier import DirectoryTree
from app.verify.verifiers import choose
from benchmarks import cells
from tests.support.workspaces import World, run_git

FILES = 20_000
TEST_FILES = 40
TESTS_IN_EACH = 25
SECONDS_OF_A_TEST = 0.02
MADE_BY_SET_UP = 2_000
ROUNDS = 2

_Done = TypeVar("_Done")


def main() -> None:
    """Print the seconds of both and of the parts, and the ratio; then the cost of four cells."""
    cells.main()
    folder = Path(tempfile.mkdtemp(prefix="honk-bench-"))
    folder.chmod(0o755)
    try:
        asyncio.run(_measure(folder))
    finally:
        with suppress(OSError):
            shutil.rmtree(folder)


async def _measure(folder: Path) -> None:
    world = World.make(folder)
    _write(world.origin.clone)
    world.origin.commit("Everything")
    commit = await world.fetched()
    snapshot = await _set_up(world, commit, folder)
    ran: dict[str, float] = {}
    for _ in range(ROUNDS):
        hand = _by_hand(world.origin.clone, folder)
        parts = await _by_honk(world, commit, snapshot, folder)
        for name, seconds in {"by hand": hand, "honk": sum(parts.values()), **parts}.items():
            ran[name] = min(seconds, ran.get(name, seconds))
    for name, seconds in ran.items():
        print(f"{name:24} {seconds:6.2f} s")
    print(f"honk takes {ran['honk'] / ran['by hand']:.2f} times the command by hand")


def _write(clone: Path) -> None:
    for number in range(FILES - TEST_FILES):
        file = clone / f"src/part_{number // 100}" / f"module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def answer():\n    return {number}\n" + "# and some words\n" * 20)
    (clone / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (clone / ".gitignore").write_text(".made/\n")
    (clone / "tests").mkdir()
    for number in range(TEST_FILES):
        tests = (
            f"def test_{each}():\n    time.sleep({SECONDS_OF_A_TEST})\n"
            for each in range(TESTS_IN_EACH)
        )
        (clone / f"tests/test_{number}.py").write_text("import time\n" + "".join(tests))


async def _set_up(
    world: World, commit: CommitSha, folder: Path
) -> tuple[SetupSnapshots, SetupSnapshot]:
    workspace = await world.workspace("setup")
    script = f"mkdir .made && cd .made && for n in $(seq {MADE_BY_SET_UP}); do echo $n > $n; done"
    await world.inside(workspace, script)
    snapshots = SetupSnapshots(folder / "snapshots", world.workspaces)
    snapshot = await snapshots.keep("key", workspace)
    assert snapshot is not None
    await world.workspaces.remove(workspace)
    return snapshots, snapshot


def _by_hand(clone: Path, folder: Path) -> float:
    lent = bundle_pytest(folder / "scratch" / "lent")
    run_git(clone, "status")  # read the files once, so that they are cached as for a person at work
    began = time.perf_counter()
    subprocess.run(
        ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(lent / "lib"), "LANG": "C.UTF-8"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


async def _by_honk(
    world: World, commit: CommitSha, made: tuple[SetupSnapshots, SetupSnapshot], folder: Path
) -> dict[str, float]:
    parts: dict[str, float] = {}

    async def timed(name: str, work: Callable[[], Awaitable[_Done]]) -> _Done:
        began = time.perf_counter()
        done = await work()
        parts[f"  {name}"] = time.perf_counter() - began
        return done

    snapshots, snapshot = made
    workspace = await timed("checkout", lambda: world.workspace("verify"))
    assert await timed("setup's snapshot", lambda: snapshots.apply(snapshot, workspace))
    tree = DirectoryTree(workspace.path)
    choice = await timed("choosing", lambda: asyncio.to_thread(choose, None, tree))
    site = VerifySite(world.sandbox, world.workspaces.spec(workspace), folder / "scratch")
    results = await timed("the tests", lambda: verify(site, choice.verifiers, commit))
    assert len(results.verifiers[0].tests) == TEST_FILES * TESTS_IN_EACH
    await timed("out of the way", lambda: world.workspaces.discard(workspace))
    return parts


if __name__ == "__main__":
    main()
