"""The commands in README and docs/ run as they are written there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from app.playground.run import KEY_OF_NOBODY
from tests.support.harness import FINISH, FIX, in_one_process, open_harness, script
from tests.unit.test_docs import PAGES, honk_lines

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]

_ELSEWHERE = {
    "serve": "tests/stories/test_command_line.py",
    "web": "tests/stories/test_command_line.py",
    "probe": "tests/stories/test_probe.py",
    "doctor": "tests/stories/test_command_line.py",
    "worker": "tests/stories/test_command_line.py",
    "playground": "tests/stories/test_sample.py",
    "init": "tests/browser/test_init.py",
    "try": "tests/stories/test_local_use.py",
    "eval": "tests/stories/test_local_use.py",
    "report": "tests/stories/test_report.py",
    "verify": "tests/stories/test_attestations.py",
}
"""Commands that serve until they are stopped, or need more than a finished run, and their tests."""

_FAILS = {"runs continue ID", "runs stop ID"}
"""What exits with 1, because the run is done."""


def _written() -> list[str]:
    """The different command lines with all their arguments."""
    lines = {line for page in PAGES if page.name != "CHANGELOG.md" for line in honk_lines(page)}
    incomplete = {"", "backup", "runs show", "runs stop"}
    return sorted(line for line in lines - incomplete if line.split()[0] not in _ELSEWHERE)


def test_the_other_commands_have_tests() -> None:
    assert all((_ROOT / path).exists() for path in _ELSEWHERE.values())


@in_one_process("the commands read its database")
async def test_commands_of_the_terminal_run_as_written(tmp_path: Path) -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        await subject.label()
        await subject.settled()
        await subject.ended()
        ((run,),) = harness.sql("SELECT id FROM runs")
        harness.model.api_key = KEY_OF_NOBODY
        values = {
            " RUN": f" {run}",
            " ID": f" {run}",
            "/backups/": f"{tmp_path}/",
            "$(date +%F)": "today",
        }
        settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT), **harness.settings}
        lines = _written()
        assert {"migrate", "replay RUN"} <= set(lines)
        for line in lines:
            filled = re.sub("|".join(map(re.escape, values)), lambda it: values[it[0]], line)
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "app", *shlex.split(filled)],
                cwd=tmp_path,
                env=settings,
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == (line in _FAILS), f"{line}: {done.stdout}{done.stderr}"
