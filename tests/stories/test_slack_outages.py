"""Slack and Honk fail in the middle: the run goes on, and the thread shows everything once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.harness import FINISH, FIX, in_one_process, script
from tests.support.slack_harness import SlackHarness, open_slack_harness

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.slow,
    in_one_process("the stories of a fleet receive at several addresses"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="world")
async def _world() -> AsyncIterator[SlackHarness]:
    async with open_slack_harness("socket") as world:
        await world.link(world.scene.olivia, "olivia")
        yield world


def _ended(world: SlackHarness, repository: str) -> bool:
    comments = world.issue(repository).comments
    return any("<!-- honk:end=" in (each.body or "") for each in comments)


async def test_slack_is_away_in_the_middle_of_a_run(world: SlackHarness) -> None:
    olivia, dev, slack = world.scene.olivia, world.scene.dev, world.scene.slack
    repository = await world.repository(script([FIX], [FINISH]))
    asked = await olivia.write(dev, f"@honk fix the sums in {repository}")
    await world.says(asked, f"{repository}#1")
    slack.faults.is_away = True
    await world.until(lambda: _ended(world, repository), "the run waits for Slack")
    slack.faults.is_away = False
    await world.says(asked, "Open pull request")
    # The connection is back, too.
    asked = await olivia.write(dev, "@honk help")
    await world.whispers(olivia, dev, "link CODE")


async def test_a_lost_answer_posts_nothing_twice(world: SlackHarness) -> None:
    """The message was posted, and the answer that says so is lost."""
    olivia, dev, slack = world.scene.olivia, world.scene.dev, world.scene.slack
    repository = await world.repository(script([FIX], [FINISH]))
    slack.faults.answer("chat[.]postMessage", 500, "gone", after=True, times=2)
    slack.faults.ratelimited("chat[.]update", 2, times=2)
    asked = await olivia.write(dev, f"@honk fix the sums in {repository}")
    await world.says(asked, "Open pull request")
    status = await world.says(asked, f"{repository}#1")
    await world.until(lambda: "*Done*" in str(status.blocks), "the status is old")
    replies = world.replies(asked)
    assert len([each for each in replies if "Open pull request" in each]) == 1, replies
    assert len([each for each in replies if f"{repository}#1" in each]) == 1, replies


async def test_honk_is_killed_between_asking_and_the_end(world: SlackHarness) -> None:
    """What Slack delivered is not lost, and nothing is done twice."""
    olivia, dev = world.scene.olivia, world.scene.dev
    repository = await world.repository(script([FIX], [FINISH]))
    asked = await olivia.write(dev, f"@honk fix the sums in {repository}")
    await world.until(
        lambda: bool(world.harness.github.world.repository(repository).issues), "no issue"
    )
    await world.harness.kill()
    await world.harness.start()
    await world.says(asked, "Open pull request")
    assert len(world.harness.github.world.repository(repository).issues) == 2  # with the pull
    replies = world.replies(asked)
    assert len([each for each in replies if "Open pull request" in each]) == 1, replies
    assert len([each for each in replies if f"{repository}#1" in each]) == 1, replies
