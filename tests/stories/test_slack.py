"""Asking from Slack, over Socket Mode and over HTTP: what people see there and on GitHub."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.harness import FINISH, FIX, in_one_process, script
from tests.support.slack_harness import SlackHarness, Transport, open_slack_harness, shown

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    in_one_process("the stories of a fleet receive at several addresses"),
]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", name="world", params=["socket", "http"]
)
async def _world(request: pytest.FixtureRequest) -> AsyncIterator[SlackHarness]:
    transport: Transport = request.param
    async with open_slack_harness(transport) as world:
        yield world


async def test_a_mention_becomes_a_pull_request(world: SlackHarness) -> None:
    olivia, dev = world.scene.olivia, world.scene.dev
    repository = await world.repository(script([FIX], [FINISH]))
    asked = await olivia.write(dev, f"@honk add() subtracts, fix it in {repository}")
    await world.whispers(olivia, dev, "I don't know your GitHub account yet")
    assert not world.harness.github.world.repository(repository).issues
    await world.link(olivia, "olivia")

    status = await world.says(asked, f"{repository}#1")
    done = await world.says(asked, "Open pull request")
    issue = world.issue(repository)
    assert "add() subtracts, fix it" in issue.title
    assert f"/archives/{dev.id}/p" in (issue.body or "")
    assert "add() now adds" in shown(done)
    assert "Proven" in shown(done)
    await world.until(lambda: "*Done*" in shown(status), shown(status))
    assert len([each for each in world.replies(asked) if f"{repository}#1" in each]) == 1
    (pull,) = world.harness.github.pulls(repository)
    assert pull.pull is not None
    assert pull.state == "open"
