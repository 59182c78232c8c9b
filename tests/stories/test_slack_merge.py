"""The merge button in Slack merges the pull request of the thread's run."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.support.harness import FINISH, FIX, in_one_process, script
from tests.support.slack_harness import open_slack_harness

pytestmark = [
    pytest.mark.slow,
    in_one_process("the stories of a fleet receive at several addresses"),
]


async def test_a_click_merges_the_commit_that_was_shown() -> None:
    async with open_slack_harness("socket") as world:
        olivia = world.scene.olivia
        await world.link(olivia, "olivia")
        repository = await world.repository(script([FIX], [FINISH]))
        asked = await olivia.write(world.scene.dev, f"@honk add() subtracts, in {repository}")
        done = await world.says(asked, "Open pull request")
        (merge,) = [each for each in olivia.buttons(done) if each["text"]["text"] == "Merge"]
        assert "This is not an approval." in merge["confirm"]["text"]["text"]
        await olivia.click(done, merge["action_id"])
        await world.says(asked, "Merged #2 at")
        (issue,) = world.harness.github.pulls(repository)
        assert issue.pull is not None
        assert issue.pull.merged_at is not None
        # The same click again merges nothing, and says why.
        await olivia.click(done, merge["action_id"])
        await world.quiet()
        assert len([each for each in world.replies(asked) if "Merged #2 at" in each]) == 1


async def test_the_playground_tells_the_whole_story() -> None:
    command = ("-m", "app", "playground", "--story", "commute-slack", "--once")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "Merged #2 at" in output.decode()
