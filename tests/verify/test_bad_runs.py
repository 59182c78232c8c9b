"""Runs that never end, fork, fill the disk, print without end or run nothing end clearly."""

from __future__ import annotations

import pytest

from app.domain.verdict import Results, compare
from app.sandbox.spec import MIB, ResourceLimits
from app.verify.reports import for_agent
from app.verify.runner import verify
from tests.verify.conftest import SHA, MakeProject, found

TIGHT = ResourceLimits(
    seconds=3,
    processes=60,
    memory_bytes=256 * MIB,
    file_bytes=16 * MIB,
    tmp_bytes=16 * MIB,
    output_bytes=MIB,
)
FORKS = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n"
DISK = (
    "for n in range(10_000):\n"
    "    with open(f'/tmp/{n}', 'wb') as file:\n        file.write(bytes(1 << 20))\n"
)
FILE = "with open('big', 'wb') as file:\n    while True:\n        file.write(bytes(1 << 20))\n"
MEMORY = "kept = []\nwhile True:\n    kept.append(bytearray(1 << 24))\n"


def indented(script: str) -> str:
    return "def test_it():\n" + "".join(f"    {line}\n" for line in script.splitlines())


NEVER = "while True:\n    pass\n"
PRINTS = "while True:\n    print('x' * 1000, flush=True)\n"
EXITS = "import os\nos._exit(0)\n"
KILLS = "import os, signal\nos.kill(0, signal.SIGKILL)\n"


@pytest.mark.parametrize(
    ("kind", "script"),
    [
        ("pytest", NEVER),
        ("pytest", FORKS),
        ("pytest", DISK),
        ("pytest", FILE),
        ("pytest", MEMORY),
        ("pytest", PRINTS),
        ("pytest", EXITS),
        ("pytest", KILLS),
        ("make", FORKS),
        ("make", PRINTS),
    ],
)
async def test_it_ends_in_a_clear_result(project: MakeProject, kind: str, script: str) -> None:
    if kind == "pytest":
        files = {"test_a.py": indented(script), "pytest.ini": "[pytest]\naddopts = -s\n"}
    else:
        files = {"Makefile": "test:\n\tpython3 a.py && echo done\n", "a.py": script}
    site = project(files, limits=TIGHT)
    results = await verify(site, found(site), SHA)
    (result,) = results.verifiers
    assert result.seconds < 15
    assert len(result.output_tail) < 20_000
    assert any(test.outcome.bad for test in result.tests), result
    verdict = compare(Results(commit=SHA), results)
    assert verdict.conclusion == "failure"
    assert len(for_agent(results, None)) < 12_000
