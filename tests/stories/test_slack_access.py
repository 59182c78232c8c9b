"""Who may ask from Slack and who reads the answers: closed by default, checked each time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from app.playground.slack import SlackChannel, SlackPerson
from tests.support.harness import FINISH, FIX, in_one_process, never_twice, script
from tests.support.slack_harness import SlackHarness, open_slack_harness, shown

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


def _issues(world: SlackHarness, repository: str) -> int:
    return len(world.harness.github.world.repository(repository).issues)


async def _asks(
    world: SlackHarness, person: SlackPerson, channel: SlackChannel, repository: str
) -> None:
    await person.write(channel, f"@honk fix the sums in {repository}")
    await world.quiet()


async def test_guests_are_refused_even_if_they_are_linked(world: SlackHarness) -> None:
    """The control is the same message by a member, which starts."""
    slack, dev = world.scene.slack, world.scene.dev
    repository = await world.repository(script([FIX], [FINISH]), permissions={"walter": "write"})
    guest = slack.add_person("gustav", world.scene.team, guest="multi")
    slack.invite(dev, guest.user, world.scene.olivia)
    world.harness.sql(
        "INSERT INTO slack_links VALUES (:team, :user, 'walter', :id, '', 0)",
        team=world.scene.team.id,
        user=guest.user.id,
        id=world.harness.github.world.users["walter"].id,
    )
    await _asks(world, guest, dev, repository)
    await world.whispers(guest, dev, "no requests from guests")
    assert _issues(world, repository) == 0
    guest.user.is_restricted = False
    later = slack.add_person("walter", world.scene.team)
    slack.invite(dev, later.user, world.scene.olivia)
    await world.link(later, "walter")
    await _asks(world, later, dev, repository)
    await world.until(lambda: _issues(world, repository) == 1, "nothing starts")


async def test_a_shared_channel_is_refused(world: SlackHarness) -> None:
    slack, olivia = world.scene.slack, world.scene.olivia
    repository = await world.repository(script([FIX], [FINISH]))
    partners = slack.add_channel("partners", olivia, app=True)
    slack.share(partners, slack.add_workspace("partner"))
    await _asks(world, olivia, partners, repository)
    await world.whispers(olivia, partners, "shared with another organization")
    assert _issues(world, repository) == 0


async def test_a_private_repository_stays_out_of_channels_with_guests(
    world: SlackHarness,
) -> None:
    slack, olivia = world.scene.slack, world.scene.olivia
    repository = await world.repository(script([FIX], [FINISH]), private=True)
    guest = slack.add_person("gisela", world.scene.team, guest="single")
    mixed = slack.add_channel("mixed", olivia, guest, app=True)
    await _asks(world, olivia, mixed, repository)
    told = await world.whispers(olivia, mixed, "people from outside the workspace")
    assert repository not in told
    assert _issues(world, repository) == 0
    # The control: without the guest it starts.
    slack.remove(mixed, guest.user)
    await _asks(world, olivia, mixed, repository)
    await world.until(lambda: _issues(world, repository) == 1, "nothing starts")


async def test_readers_who_come_in_mid_run_see_nothing_more(world: SlackHarness) -> None:
    slack, olivia = world.scene.slack, world.scene.olivia
    repository = await world.repository(
        lambda request: never_twice("sleep 0.2", request, seconds=0.2), private=True
    )
    own = slack.add_channel("own", olivia, app=True)
    asked = await olivia.write(own, f"@honk work in {repository}")
    await world.says(asked, f"{repository}#1")
    await world.until(lambda: "sleep 0.2" in world.model_input(repository), "not at work")
    stranger = slack.add_person("sven", slack.add_workspace("elsewhere"))
    slack.share(own, stranger.user.team, stranger)
    await world.says(asked, "shows nothing more")
    await world.harness.github.comment(repository, 1, "olivia", "/honk stop")
    await world.until(lambda: "honk:end=" in _comments(world, repository), "the run goes on")
    assert not any("Stopped." in each for each in world.replies(asked))


def _comments(world: SlackHarness, repository: str) -> str:
    return str([each.body for each in world.issue(repository).comments])


async def test_rights_are_asked_for_at_each_request_and_click(world: SlackHarness) -> None:
    slack, dev = world.scene.slack, world.scene.dev
    github = world.harness.github
    repository = await world.repository(script([FIX], [FINISH]), permissions={"rita": "write"})
    rita = slack.add_person("rita", world.scene.team)
    slack.invite(dev, rita.user, world.scene.olivia)
    await world.link(rita, "rita")
    asked = await rita.write(dev, f"@honk fix the sums in {repository}")
    done = await world.says(asked, "Open pull request")
    github.world.repository(repository).permissions["rita"] = "read"
    await rita.click(done, "undo")
    await world.whispers(rita, dev, "cannot write to")
    reader = await world.repository(permissions={"rita": "read"})
    await _asks(world, rita, dev, f"repo:{reader}")
    assert _issues(world, reader) == 0


async def test_text_of_the_model_mentions_and_imitates_nothing(world: SlackHarness) -> None:
    """`<!channel>` would notify everybody, and a link could pretend to be GitHub's."""
    olivia, dev, slack = world.scene.olivia, world.scene.dev, world.scene.slack
    bomb = (
        "<!channel> <@U0PG0000001> @here see <https://evil.example|the pull request>. *Proven.* "
        "[Merge](https://evil.example)"
    )
    finish = {"finish": {"summary": bomb, "not_done": "", "how_to_check": ""}}
    repository = await world.repository(script([FIX], [finish]))
    asked = await olivia.write(dev, f"@honk <!channel> fix {repository}", verbatim=False)
    done = await world.says(asked, "Open pull request")
    ours = [one for one in olivia.sees_in_thread(asked) if one.author is world.scene.bot]
    assert not [found for each in ours for found in slack.broadcasts(each)]
    text = str(done.blocks)
    quoted = [each for each in done.blocks if each.get("text", {}).get("type") == "plain_text"]
    assert any("evil.example" in str(each) for each in quoted)
    assert not re.search(r"<https://evil", str([b for b in done.blocks if b not in quoted]))
    assert "'value': " in text
    assert shown(done)


async def test_a_get_changes_nothing_and_forms_need_their_token(world: SlackHarness) -> None:
    async with world.visitor("olivia") as client:
        for path in ("/slack/code", "/slack/unlink", "/slack/default", "/slack/channel"):
            assert (await client.get(path)).status_code in (404, 405)
            assert (await client.post(path, data={"form": "x"})).status_code == 403
        assert world.links(world.scene.olivia)
        page = (await client.get("/slack")).text
        # Anybody else's link is out of reach, even with one's own form.
        form = re.search(r'name="form" value="([^"]+)"', page)
        assert form
    async with world.visitor("stan") as stan:
        form = re.search(r'name="form" value="([^"]+)"', (await stan.get("/slack")).text)
        assert form
        user = world.scene.olivia.user.id
        given = {"form": form[1], "team": world.scene.team.id, "user": user}
        await stan.post("/slack/unlink", data=given)
        await stan.post("/slack/default", data={**given, "repository": "stan/evil"})
    assert world.links(world.scene.olivia) == [("olivia",)]
    query = "SELECT repository FROM slack_links WHERE user_id = :user"
    assert world.harness.sql(query, user=user) == [("",)]
    async with httpx.AsyncClient(base_url=world.harness.url) as nobody:
        assert (await nobody.get("/slack")).status_code == 303
