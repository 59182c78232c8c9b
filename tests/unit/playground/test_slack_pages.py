"""The pages of the simulated Slack, as a phone asks for them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest_asyncio
from slack_sdk.web.async_client import AsyncWebClient

from app.playground.pages.mrkdwn import mrkdwn
from app.playground.pages.slack import slack_with_pages
from app.playground.slack import Slack, SlackChannel, SlackPerson, serve


@dataclass
class Phone:
    """A browser on the pages of a Slack with the App in the channel `dev`."""

    slack: Slack
    olivia: SlackPerson
    dev: SlackChannel
    bot: AsyncWebClient
    client: httpx.AsyncClient

    async def page(self, path: str) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def send(self, path: str, **form: str) -> httpx.Response:
        origin = {"Origin": self.slack.url}
        return await self.client.post(path, data=form, headers=origin)

    @property
    def place(self) -> str:
        return f"/archives/{self.dev.id}"


@pytest_asyncio.fixture
async def phone() -> AsyncIterator[Phone]:
    slack = slack_with_pages()
    team = slack.add_workspace("acme")
    token = slack.install(team).token
    olivia = slack.add_person("olivia", team)
    dev = slack.add_channel("dev", olivia, app=True)
    slack.pause_retries()
    async with serve(slack) as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield Phone(slack, olivia, dev, AsyncWebClient(token, base_url=slack.api_url), client)


async def test_a_message_is_written_and_answered_in_a_thread(phone: Phone) -> None:
    assert "# dev" in await phone.page("/")
    sent = await phone.send(phone.place, do="write", text="@honk fix <b>this</b>")
    assert sent.status_code == 303
    (message,) = phone.olivia.sees(phone.dev)
    page = await phone.page(phone.place)
    assert '<b class="mention">@honk</b> fix &lt;b&gt;this&lt;/b&gt;' in page
    assert ">@honk fix &lt;b&gt;this&lt;/b&gt;</textarea>" in page
    link = re.search(r'class="thread-link" href="([^"]+)"', page)
    assert link
    await phone.bot.chat_postMessage(channel=phone.dev.id, text="*At work*", thread_ts=message.ts)
    thread = await phone.page(link[1])
    assert "<strong>At work</strong>" in thread
    await phone.send(link[1], do="write", text="thanks")
    refused = await phone.send(link[1], do="write", text="/honk help")
    assert "Slash commands don&#39;t work in threads." in refused.text
    assert [one.text for one in phone.olivia.sees_in_thread(message)] == ["*At work*", "thanks"]


async def test_a_button_without_an_app_says_so(phone: Phone) -> None:
    confirm = {
        "title": {"type": "plain_text", "text": "Sure?"},
        "text": {"type": "plain_text", "text": "It merges <now>."},
        "confirm": {"type": "plain_text", "text": "Yes"},
        "deny": {"type": "plain_text", "text": "No"},
    }
    button = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Merge"},
        "action_id": "merge",
        "confirm": confirm,
    }
    blocks = [{"type": "actions", "elements": [button]}]
    posted = await phone.bot.chat_postMessage(channel=phone.dev.id, text="Done", blocks=blocks)
    assert "It merges &lt;now&gt;." in await phone.page(phone.place)
    pressed = await phone.send(phone.place, do="click", ts=posted["ts"], action="merge")
    assert pressed.status_code == 400
    assert "Honk did not answer" in pressed.text
    gone = await phone.send(phone.place, do="click", ts=posted["ts"], action="other")
    assert "This button is gone." in gone.text


async def test_people_see_what_is_theirs(phone: Phone) -> None:
    bob = phone.slack.add_person("bob", phone.olivia.user.team)
    secret = phone.slack.add_channel("secret", phone.olivia, private=True)
    await phone.olivia.write(phone.dev, "hello")
    await phone.send("/act-as", user=bob.user.id, back="/")
    assert "secret" not in await phone.page("/")
    assert (await phone.client.get(f"/archives/{secret.id}")).status_code == 404
    refused = await phone.send(phone.place, do="write", text="hi")
    assert "You are not in this channel." in refused.text
    (hers,) = phone.olivia.sees(phone.dev)
    assert "not yours" not in await phone.page(phone.place)
    phone.slack.invite(phone.dev, bob.user, phone.olivia)
    edited = await phone.send(phone.place, do="edit", ts=hers.ts, text="x")
    assert "This message is not yours." in edited.text
    other = await phone.client.post(phone.place, data={"do": "write", "text": "x"})
    assert other.status_code == 403


def test_text_in_slacks_format() -> None:
    def html(text: str) -> str:
        return str(mrkdwn(text, {"U1": "olivia", "C1": "dev"}.__getitem__))

    assert html("*a* _b_ ~c~ `d *e*`") == (
        "<strong>a</strong> <em>b</em> <s>c</s> <code>d *e*</code>"
    )
    assert html("<https://x.test/?a=1&amp;b=2|A &lt; B>") == (
        '<a href="https://x.test/?a=1&amp;b=2" rel="noopener noreferrer">A &lt; B</a>'
    )
    assert html("<javascript:alert(1)|x>") == "x"
    assert "<script" not in html("<script>alert(1)</script>")
    assert html("<@U1> in <#C1>") == (
        '<b class="mention">@olivia</b> in <b class="mention">#dev</b>'
    )
    assert html("&gt; said\nso") == "<q>said</q><br>so"
    assert html("\x000\x00") == "0"
