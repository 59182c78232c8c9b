"""What do four cells cost, beside the two runs of a verdict that compares before and after?

`python -m benchmarks.cells`: a project with a suite of some a minute of processor time, in
which a change touches one source file, or one source file and one test file. What is compared are
the runs of tests that the verify step makes, and their wall time on this machine in the same call.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.sandbox.spec import Completed, SandboxSpec
from tests.cheats.edits import Change, append, did, files
from tests.cheats.edits import replace as replaced
from tests.cheats.harness import Bench, Outcome
from tests.cheats.projects import Project
from tests.support.toolchains import use_fetched
from tests.support.workspaces import run_git

FILES = 60
TESTS_IN_EACH = 10
ROUNDS_OF_A_TEST = 400_000
"""Some 0.1 s of processor time."""

_MODULE = """def spin(n):
    total = 0
    for each in range(n):
        total += each % 7
    return total


def number(n):
    return n + {at}
"""
_TESTS = """import pytest

from module_{at} import number, spin


@pytest.mark.parametrize("n", range({count}))
def test_number(n):
    spin({rounds})
    assert number(n) == n + {at}
"""
PROJECT = Project(
    "cells",
    "Python (pytest)",
    files(
        {
            "pytest.ini": "[pytest]\ntestpaths = tests\n",
            "conftest.py": '"""Makes the modules importable."""\n',
            **{f"module_{at}.py": _MODULE.format(at=at) for at in range(FILES)},
            **{
                f"tests/test_module_{at}.py": _TESTS.format(
                    at=at, count=TESTS_IN_EACH, rounds=ROUNDS_OF_A_TEST
                )
                for at in range(FILES)
            },
        }
    ),
)
SOURCE_ONLY = did(replaced("module_3.py", "return n + 3", "return 3 + n"))
SOURCE_AND_TEST = did(
    replaced("module_3.py", "    return n + 3", "    return int(n) + 3"),
    append("tests/test_module_3.py", '\n\ndef test_text():\n    assert number("4") == 7\n'),
)


@dataclass
class Counting:
    """A sandbox that notes how long each run of tests took, and of which commit it was."""

    real: Any
    runs: list[tuple[str, float]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def run(self, spec: SandboxSpec, argv: Sequence[str], **more: Any) -> Completed:
        began = time.perf_counter()
        done: Completed = await self.real.run(spec, argv, **more)
        if any(mount.target.endswith("/report") for mount in spec.mounts):
            commit = (spec.workspace / ".git/refs/heads/work").read_text().strip()
            self.runs.append((commit, time.perf_counter() - began))
        return done


@dataclass(frozen=True)
class _Measured:
    outcome: Outcome
    seconds: float
    runs: list[tuple[str, float]]

    def of(self, word: str) -> float:
        return sum(seconds for name, seconds in self.runs if word in name)


async def _measured(folder: Path, change: Change) -> _Measured:
    """A verdict on the change from nothing: the base is not known either."""
    async with Bench.open(folder, PROJECT) as bench:
        counting = Counting(bench.parts.sandbox)
        bench.parts = replace(bench.parts, sandbox=counting)
        began = time.perf_counter()
        outcome = await bench.judge(change, "run")
        seconds = time.perf_counter() - began
        mirror = bench.parts.mirrors.path(bench.repo)
        runs = [(run_git(mirror, "log", "-1", "--format=%s", sha), s) for sha, s in counting.runs]
        return _Measured(outcome, seconds, runs)


async def _measure() -> None:
    with tempfile.TemporaryDirectory(prefix="honk-bench-") as folder:
        Path(folder).chmod(0o755)
        two = await _measured(Path(folder) / "two", SOURCE_ONLY)
        four = await _measured(Path(folder) / "four", SOURCE_AND_TEST)
    for name, measured in (("one source file", two), ("one source and one test file", four)):
        print(f"{name}: {measured.seconds:.1f} s, {measured.outcome.why}")
        for where, seconds in measured.runs:
            print(f"  {where:24} {seconds:6.2f} s")
    print(f"no test-side change: {len(two.runs)} runs of tests (2 are the base and the head)")
    print(f"four cells take {four.seconds / two.seconds:.2f} times the two runs")
    proof = [seconds for name, seconds in four.runs if "proof" in name]
    if proof:
        ratio = four.of("canary") / proof[0]
        print(f"the canary takes {ratio:.2f} times one run of the affected tests")


def main() -> None:
    """Print the runs of tests, their seconds and the ratios."""
    use_fetched()
    asyncio.run(_measure())


if __name__ == "__main__":
    main()
