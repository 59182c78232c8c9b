"""What do four cells cost, beside the two runs of a verdict that compares before and after?

`python -m benchmarks.cells`: a project with a suite of about a minute of processor time, in
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
ROUNDS_OF_A_TEST = 4_000_000
"""About 0.1 s of CPU time each: a suite of a minute."""

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
    """A sandbox that records each test run's start, end and commit."""

    real: Any
    runs: list[tuple[str, float, float]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def run(self, spec: SandboxSpec, argv: Sequence[str], **more: Any) -> Completed:
        began = time.perf_counter()
        done: Completed = await self.real.run(spec, argv, **more)
        if any(mount.target.endswith("/report") for mount in spec.mounts):
            commit = (spec.workspace / ".git/refs/heads/work").read_text().strip()
            self.runs.append((commit, began, time.perf_counter()))
        return done


@dataclass(frozen=True)
class _Run:
    """A test run. `began` and `ended` are monotonic times."""

    name: str
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class _Measured:
    outcome: Outcome
    seconds: float
    runs: list[_Run]

    def of(self, word: str) -> list[_Run]:
        return [run for run in self.runs if word in run.name]

    def alone(self, word: str) -> float:
        """The seconds during which only runs with this word in their names were awaited."""
        others = [run for run in self.runs if word not in run.name]
        last = max((run.ended for run in others), default=0.0)
        first = min((run.began for run in others), default=0.0)
        spans = [(max(run.began, last), run.ended) for run in self.of(word)]
        spans += [(run.began, min(run.ended, first)) for run in self.of(word)]
        return sum(max(0.0, end - start) for start, end in spans)


async def _measured(folder: Path, change: Change) -> _Measured:
    """A verdict on the change without cached results: the base is measured, too."""
    async with Bench.open(folder, PROJECT) as bench:
        counting = Counting(bench.parts.sandbox)
        bench.parts = replace(bench.parts, sandbox=counting)
        began = time.perf_counter()
        outcome = await bench.judge(change, "run")
        seconds = time.perf_counter() - began
        mirror = bench.parts.mirrors.path(bench.repo)
        runs = [
            _Run(run_git(mirror, "log", "-1", "--format=%s", sha), began, ended)
            for sha, began, ended in counting.runs
        ]
        return _Measured(outcome, seconds, runs)


async def _measure() -> None:
    with tempfile.TemporaryDirectory(prefix="honk-bench-") as folder:
        Path(folder).chmod(0o755)
        two = await _measured(Path(folder) / "two", SOURCE_ONLY)
        four = await _measured(Path(folder) / "four", SOURCE_AND_TEST)
    for name, measured in (("one source file", two), ("one source and one test file", four)):
        print(f"{name}: {measured.seconds:.1f} s, {measured.outcome.why}")
        for run in measured.runs:
            print(f"  {run.name:24} {run.seconds:6.2f} s")
    print(f"no test-side change: {len(two.runs)} runs of tests (2 are the base and the head)")
    print(f"four cells take {four.seconds / two.seconds:.2f} times the two runs")
    proof = four.of("proof")
    if proof:
        ran = sum(run.seconds for run in four.of("canary"))
        print(f"the canary runs {ran / proof[0].seconds:.2f} times as long as the affected tests")
        print(
            f"the verdict waits for it {four.alone('canary') / proof[0].seconds:.2f} times as long"
        )


def main() -> None:
    """Print the runs of tests, their seconds and the ratios."""
    use_fetched()
    asyncio.run(_measure())


if __name__ == "__main__":
    main()
