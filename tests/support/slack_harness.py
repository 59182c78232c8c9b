"""The harness with a Slack: people write there, and the product works for them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml

from app.playground.github.world import SimulatedIssue
from app.playground.run import let_sign_in, sign_in_settings
from app.playground.slack import SlackApp, SlackChannel, SlackMessage, SlackPerson
from tests.support.harness import PROJECT, Harness, open_harness
from tests.support.slack import SlackScene, open_slack

MANIFEST = Path(__file__).parents[2] / "docs/slack-manifest.yml"

Transport = Literal["socket", "http"]


@dataclass
class SlackHarness:
    """The product between a simulated Slack and a simulated GitHub."""

    harness: Harness
    scene: SlackScene
    _numbers: list[int] = field(default_factory=list)

    async def link(self, person: SlackPerson, login: str) -> None:
        """Link a Slack account as a person does: sign in with GitHub, and send the code."""
        code = await self.code_of(login)
        await person.tell_app(f"link {code}")
        await self.until(lambda: bool(self.links(person)), f"{login} is not linked")

    async def ensure_linked(self, person: SlackPerson, login: str) -> None:
        """Link a Slack account unless it is."""
        if not self.links(person):
            await self.link(person, login)

    def links(self, person: SlackPerson) -> list[tuple[Any, ...]]:
        """The rows that link a Slack account."""
        query = "SELECT login FROM slack_links WHERE user_id = :user"
        return self.harness.sql(query, user=person.user.id)

    async def code_of(self, login: str) -> str:
        """The code that Honk's page shows to somebody signed in with GitHub."""
        async with self.visitor(login) as client:
            page = await client.get("/slack")
            token = re.search(r'name="form" value="([^"]+)"', page.text)
            assert token, page.text
            shown = await client.post("/slack/code", data={"form": token[1]})
            found = re.search(r"/honk link ([A-Z0-9-]+)", shown.text)
            assert found, shown.text
            return found[1]

    @asynccontextmanager
    async def visitor(self, login: str) -> AsyncIterator[httpx.AsyncClient]:
        """A browser that is signed in with GitHub."""
        async with httpx.AsyncClient(base_url=self.harness.url) as client:
            answer = await client.get("/login/start", params={"then": "/slack"})
            back = self.harness.github.sign_in(login, answer.headers["location"])
            assert (await client.get(back)).headers["location"] == "/slack"
            yield client

    async def repository(self, plays: Any = None, owner: str = "olivia", **more: Any) -> str:
        """A repository without issues, and the script for its first one."""
        self._numbers.append(1)
        full = f"{owner}/slack-{len(self._numbers)}"
        permissions = {"olivia": "admin", **more.pop("permissions", {})}
        await self.harness.github.add_repository(
            full, files=PROJECT, permissions=permissions, **more
        )
        if plays is not None:
            self.harness.model.scripts[f"{full}#1"] = plays
        return full

    def issue(self, repository: str, number: int = 1) -> SimulatedIssue:
        return self.harness.github.issue(repository, number)

    def replies(self, message: SlackMessage, person: SlackPerson | None = None) -> list[str]:
        """What Honk says in a thread, each message as all its text."""
        seen = (person or self.scene.olivia).sees_in_thread(message)
        return [shown(each) for each in seen if each.author is self.scene.bot]

    async def appears(self, channel: SlackChannel, words: str) -> SlackMessage:
        """Wait for a message of Honk's in a channel, outside threads."""
        bot = self.scene.bot

        def found() -> list[SlackMessage]:
            top = [each for each in channel.messages if each.thread_ts is None]
            return [each for each in top if each.author is bot and words in shown(each)]

        await self.until(lambda: bool(found()), f"{words!r} does not appear")
        return found()[-1]

    def model_input(self, repository: str) -> str:
        """All requests to the model that mention the repository, as one text."""
        return str([one for one in self.harness.model.requests if repository in str(one)])

    async def says(self, message: SlackMessage, words: str) -> SlackMessage:
        """Wait for a reply of Honk's with these words."""
        olivia, bot = self.scene.olivia, self.scene.bot

        def found() -> list[SlackMessage]:
            seen = olivia.sees_in_thread(message)
            return [each for each in seen if each.author is bot and words in shown(each)]

        await self.until(lambda: bool(found()), f"{words!r} is missing: {self.replies(message)}")
        return found()[-1]

    async def sees(self, person: SlackPerson, channel: SlackChannel, words: str) -> SlackMessage:
        """Wait for a message that this person sees in the channel, thread or not."""

        def found() -> list[SlackMessage]:
            return [each for each in person.sees(channel) if words in shown(each)]

        await self.until(
            lambda: bool(found()), f"{words!r}: {[shown(one) for one in person.sees(channel)]}"
        )
        return found()[-1]

    async def whispers(self, person: SlackPerson, channel: SlackChannel, words: str) -> str:
        """The same, as text."""
        return shown(await self.sees(person, channel, words))

    async def until(self, happened: Any, otherwise: str) -> None:
        await self.harness.until(happened, otherwise)

    async def quiet(self) -> None:
        """Wait until everything that Slack delivered was handled."""
        await self.scene.slack.drained()
        waiting = "SELECT 1 FROM slack_inbox WHERE payload IS NOT NULL AND next_at IS NOT NULL"
        await self.until(lambda: not self.harness.sql(waiting), "the inbox is not empty")
        await asyncio.sleep(0)


def shown(message: SlackMessage) -> str:
    """All the text of a message."""
    return "\n".join([message.text or "", *_texts(message.blocks)])


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["text"]] if isinstance(value.get("text"), str) else []
        return own + [text for each in value.values() for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return []


@asynccontextmanager
async def open_slack_harness(transport: Transport, **settings: str) -> AsyncIterator[SlackHarness]:
    """A harness with a Slack that delivers in this way."""
    app = SlackApp.from_manifest(yaml.safe_load(MANIFEST.read_text()))
    async with open_slack(app) as scene:
        slack = scene.slack
        given = {
            **sign_in_settings(),
            "HONK_SLACK": transport,
            "HONK_SLACK_API_URL": slack.api_url,
            "SLACK_BOT_TOKEN": scene.token,
            "SLACK_APP_TOKEN": slack.app.app_token,
            "SLACK_SIGNING_SECRET": slack.app.signing_secret,
            **settings,
        }
        async with open_harness(**given) as harness:
            let_sign_in(harness.github, harness.url)
            if transport == "http":
                await slack.use_http(f"{harness.url}/webhooks/slack")
            yield SlackHarness(harness, scene)
