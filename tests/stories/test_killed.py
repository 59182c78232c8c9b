"""The process may die at any moment: there is one pull request, one status comment, one ending."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from app import log_events
from tests.support.harness import FINISH, FIX, in_one_process, open_harness, script
from tests.support.workspaces import unmounted


@pytest.mark.parametrize("turns", [1, 3])
async def test_killed_in_the_middle_it_goes_on(turns: int) -> None:
    async with open_harness() as harness:
        looks = {"use": [{"bash": {"command": "ls"}}], "seconds": 0.3}
        subject = await harness.subject(
            plays=script([FIX], looks, looks, looks, [{"verify": {}}], [FINISH])
        )
        await subject.label()
        await harness.until(lambda: len(harness.model.requests) > turns, "the model was not asked")
        await harness.kill()
        await harness.start()
        await subject.settled()

        assert subject.check.conclusion == "success"
        assert subject.check.title == "Proven: 1 test fails without this change"
        assert "**Done.**" in subject.status
        assert "is ready for your review" in subject.last_words
        assert len(subject.pulls) == 1


@pytest.mark.slow
@in_one_process("its workers have other homes")
async def test_killed_with_file_systems_of_its_workspaces_it_leaves_none(
    tmp_path: Path,
) -> None:
    settings = {"HONK_WORKSPACE_DISK": "image", "HONK_WORKSPACE_GB": "0.06"}
    with unmounted(tmp_path):
        async with open_harness(HONK_HOME=str(tmp_path), **settings) as harness:
            disks = tmp_path / "disks"
            looks = {"use": [{"bash": {"command": "ls"}}], "seconds": 0.3}
            subject = await harness.subject(plays=script([FIX], looks, looks, looks, [FINISH]))
            await subject.label()
            await harness.until(lambda: len(harness.model.requests) > 2, "the model was not asked")
            if log_events.WORKSPACE_DISKS_UNAVAILABLE in harness.log():
                pytest.skip("no root, no loop devices, or another file system than ext4 and xfs")
            await harness.kill()
            images = list(disks.glob("*.img"))
            assert images
            assert all((tmp_path / "workspaces" / image.stem).is_mount() for image in images)
            await harness.start()
            await subject.settled()

            assert subject.check.title == "Proven: 1 test fails without this change"
            assert log_events.WORKSPACE_WITHOUT_DISK not in harness.log()
            await harness.until(lambda: not list(disks.iterdir()), "an image is left")
            assert f"{tmp_path}/" not in Path("/proc/self/mountinfo").read_text()


@pytest.mark.slow
async def test_stopped_and_started_by_its_operator_it_goes_on() -> None:
    """More often than a run may kill its worker: SIGTERM is not a crash."""
    async with open_harness() as harness:
        looks = [{"use": [{"bash": {"command": f"echo {n}"}}], "seconds": 0.3} for n in range(6)]
        subject = await harness.subject(plays=script([FIX], *looks, [{"verify": {}}], [FINISH]))
        await subject.label()
        for _ in range(3):
            asked = len(harness.model.requests)
            await harness.until(
                lambda asked=asked: len(harness.model.requests) > asked,  # type: ignore[misc]
                "the model was not asked",
            )
            await harness.stop()
            await harness.start()
        await subject.settled()

        assert subject.check.conclusion == "success"
        assert "**Done.**" in subject.status
        assert len(subject.pulls) == 1
        assert harness.log().count("handed_over=1") == 3


@pytest.mark.slow
@in_one_process("on Postgres nobody can keep everybody from writing")
async def test_on_sigterm_it_ends_even_without_a_database() -> None:
    """Another connection left a transaction open, and the engine waits for it forever."""
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FINISH]))
        await subject.label()
        ended = "SELECT 1 FROM workflow_status WHERE name = 'attempt' AND status = 'SUCCESS'"
        await harness.until(lambda: bool(harness.sql(ended)), "the attempt did not end")
        harness.sql("UPDATE workflow_status SET status = 'PENDING' WHERE name = 'attempt'")
        with contextlib.closing(
            sqlite3.connect(harness.home / "honk" / "honk.db", isolation_level=None)
        ) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
            assert harness.honk is not None
            harness.honk.process.terminate()
            assert await asyncio.to_thread(harness.honk.process.wait, 45) == 0

        assert log_events.HANDOVER_FAILED in harness.log()
