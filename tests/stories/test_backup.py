"""A machine is lost in the middle of a run; last night's backup is restored on a new one."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys

import pytest

from app.playground.run import environment
from tests.support.harness import FINISH, FIX, Harness, in_one_process, open_harness, script

LOOKS = [{"use": [{"bash": {"command": f"echo {n}"}}], "seconds": 0.4} for n in range(4)]


async def _honk(harness: Harness, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app", *arguments],
        env=environment(harness.settings),
        cwd=harness.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.slow
@in_one_process("`honk backup` is for SQLite; Postgres has pg_dump")
async def test_a_restored_backup_goes_on_with_the_runs_that_were_under_way() -> None:
    async with open_harness() as harness:
        before = await harness.subject(plays=script([FIX], [FINISH]))
        await before.label()
        await before.settled()
        subject = await harness.subject(plays=script([FIX], *LOOKS, [{"verify": {}}], [FINISH]))
        await subject.label()
        await harness.until(lambda: subject.labels == ["honk:running"], "it does not work")

        done = await _honk(harness, "backup", "night.db")
        assert done.returncode == 0, done.stderr
        assert "Saved a snapshot of the database" in done.stdout
        again = await _honk(harness, "backup", "night.db")
        assert again.returncode == 1
        assert "already exists" in again.stderr

        await harness.kill()
        # The whole machine is gone; what is left are the backup and GitHub.
        shutil.rmtree(harness.home / "honk")
        (harness.home / "honk").mkdir()
        (harness.home / "honk").chmod(0o711)
        shutil.copy(harness.home / "night.db", harness.home / "honk" / "honk.db")
        await harness.start()
        await subject.settled()

        listed = await _honk(harness, "runs", "list")
        assert listed.stdout.count("done") == 2, listed.stdout
        assert subject.labels == ["honk:done"]
        assert subject.check.conclusion == "success"
        assert len(subject.ours) == 1
        # Runs that had ended before stay untouched.
        assert len(before.ours) == 1
