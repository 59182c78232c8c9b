"""The story `commute-slack`: one line in Slack, the result in its thread, merged with a button.

It happens without opening GitHub: olivia links her accounts once, then asks, reads and merges on
her phone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import httpx

from app.errors import UserError
from app.playground.github import GitHub, serve
from app.playground.pages import github_with_pages
from app.playground.pages.slack import slack_with_pages
from app.playground.recount import recount
from app.playground.run import (
    OWNER,
    PEOPLE,
    Scene,
    add_repositories,
    interrupted,
    let_sign_in,
    playground_home,
    product,
    product_settings,
    registration,
    scripted_model,
)
from app.playground.slack import Slack, SlackChannel, SlackMessage, SlackPerson
from app.playground.slack import serve as serve_slack
from app.playground.story import POLL_SECONDS, Story

STORY = "commute-slack"
TEAM = "acme"
MERGE_BUTTON = "Merge"
_PATIENCE_SECONDS = 3600.0
_CONNECT_SECONDS = 60.0
_SHOWN = 100
_FORM = re.compile(r'name="form" value="([^"]+)"')
_CODE = re.compile(r"/honk (link [A-Z0-9-]+)")


Look = Callable[[str, str], Awaitable[None]]
"""Looks at the pages of the channel and of the thread, by their addresses."""


async def play_in_slack(
    scene: Scene, *, port: int, once: bool, before_merge: Look | None = None
) -> bool:
    """Tell the story; True when what was asked for in Slack is merged and its tests pass."""
    with playground_home() as home:
        slack = slack_with_pages()
        github = github_with_pages(home / "github", registration(home), slack)
        for login in (OWNER, *PEOPLE):
            github.add_user(login)
        async with (
            serve_slack(slack),
            serve(github, port=port) as github_url,
            scripted_model(scene) as (model, model_url),
        ):
            settings = product_settings(home, github_url, model_url)
            dev = _settle_in(slack, github_url)
            settings |= slack_settings(slack)
            await add_repositories(github, scene)
            async with product(home, settings) as honk:
                github.webhook_url = f"{honk.url}/webhooks/github"
                let_sign_in(github, honk.url)
                await _connected(slack)
                repository = f"{OWNER}/{scene.name}"
                told = Commute(
                    slack,
                    github,
                    dev,
                    honk.url,
                    lambda: honk.process.poll() is None,
                    before_merge,
                )
                merged = await told.tell(repository, scene.title)
                story = Story(github, repository, 1, model, github_url)
                good = merged and await recount(story, home, is_sample=bool(scene.samples))
                if not once and merged:
                    click.echo(f"\nSlack is at {slack.url}, GitHub at {github_url}.")
                    click.echo("Press Ctrl-C to stop them.")
                    await interrupted()
        return good


def _settle_in(slack: Slack, github_url: str) -> SlackChannel:
    """A workspace with a channel in which the app is, people, and a link to GitHub."""
    slack.links["GitHub"] = github_url
    team = slack.add_workspace(TEAM)
    slack.install(team)
    olivia, *others = (slack.add_person(name, team) for name in (OWNER, *PEOPLE))
    return slack.add_channel("dev", olivia, *others, topic="What we build", app=True)


def slack_settings(slack: Slack) -> dict[str, str]:
    """The product's settings for Socket Mode with this Slack, in its only workspace."""
    (installation,) = slack.world.installations.values()
    return {
        "HONK_SLACK": "socket",
        "HONK_SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": installation.token,
        "SLACK_APP_TOKEN": slack.app.app_token,
    }


async def _connected(slack: Slack) -> None:
    try:
        await asyncio.wait_for(slack.sockets.connected(), _CONNECT_SECONDS)
    except TimeoutError:
        raise UserError("Honk did not connect to the simulated Slack.") from None


@dataclass
class Commute:
    """Acts as olivia and prints what she sees. `is_alive` says whether the product runs."""

    slack: Slack
    github: GitHub
    dev: SlackChannel
    honk_url: str
    is_alive: Callable[[], bool]
    before_merge: Look | None = None
    _started: float = field(default_factory=time.monotonic)
    _told: dict[str, str] = field(default_factory=dict)

    @property
    def olivia(self) -> SlackPerson:
        return self.slack.person(OWNER)

    async def tell(self, repository: str, task: str) -> bool:
        """From the first line to the merge; False when the product exits before, or gives up."""
        await self._link()
        words = f"@{self.slack.app.bot_name} {task} in {repository}"
        asked = await self.olivia.write(self.dev, words)
        self._say(OWNER, words)
        offer = await self._wait(asked, lambda: self._offer(asked))
        if offer is None:
            click.echo("No message with a merge button in the thread.", err=True)
            return False
        if self.before_merge is not None:
            place = f"{self.slack.url}/archives/{self.dev.id}"
            await self.before_merge(place, f"{place}/p{asked.ts.replace('.', '')}")
        message, button = offer
        self._say(OWNER, f"presses {MERGE_BUTTON}: {button['confirm']['text']['text']}")
        await self.olivia.click(message, button["action_id"])
        merged = await self._wait(asked, lambda: self._is_merged(repository))
        if merged is None:
            click.echo("The pull request was not merged.", err=True)
            return False
        await self._wait(asked, lambda: self._says(asked, "merged"), seconds=10)
        return True

    async def _link(self) -> None:
        """Link the two accounts: sign in on Honk's page, and send the code that it shows."""
        async with httpx.AsyncClient(base_url=self.honk_url, trust_env=False) as browser:
            start = await browser.get("/login/start", params={"then": "/slack"})
            await browser.get(self.github.sign_in(OWNER, start.headers["location"]))
            form = _FORM.search((await browser.get("/slack")).text)
            assert form is not None
            page = await browser.post("/slack/code", data={"form": form[1]})
            code = _CODE.search(page.text)
            assert code is not None
        direct = self.olivia.direct_message()
        sent = await self.olivia.tell_app(code[1])
        self._say(OWNER, "links her GitHub account with a code from Honk's page")
        await self._wait(sent, lambda: len(self.olivia.sees(direct)) > 1, seconds=60)

    async def _wait(
        self, asked: SlackMessage, found: Callable[[], Any], seconds: float = _PATIENCE_SECONDS
    ) -> Any:
        """Print what is new until there is something; None when there is nothing in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.is_alive():
            self._look(asked)
            if result := found():
                self._look(asked)
                return result
            await asyncio.sleep(POLL_SECONDS)
        return None

    def _look(self, asked: SlackMessage) -> None:
        seen = self.olivia.sees_in_thread(asked)
        if asked.channel.kind == "im":
            seen = self.olivia.sees(asked.channel)
        for message in seen:
            line = text_of(message).split("\n")[0]
            if message.author.is_bot and self._told.get(message.ts) != line:
                verb = "edits" if message.ts in self._told else "says"
                self._told[message.ts] = line
                self._say(message.author.name, f"{verb}: {line}")

    def _offer(self, asked: SlackMessage) -> tuple[SlackMessage, Mapping[str, Any]] | None:
        """The newest message with a merge button, and the button."""
        for message in reversed(self.olivia.sees_in_thread(asked)):
            for button in self.olivia.buttons(message):
                if button["text"]["text"] == MERGE_BUTTON:
                    return message, button
        return None

    def _is_merged(self, repository: str) -> bool:
        pulls = self.github.pulls(repository)
        return any(one.pull is not None and one.pull.merged_at for one in pulls)

    def _says(self, asked: SlackMessage, word: str) -> bool:
        seen = self.olivia.sees_in_thread(asked)
        return any(word in text_of(one).lower() for one in seen if one.author.is_bot)

    def _say(self, who: str, words: str) -> None:
        seconds = time.monotonic() - self._started
        click.echo(f"{seconds:7.2f} s  {who:<12} {' '.join(words.split())[:_SHOWN]}")


def text_of(message: SlackMessage) -> str:
    """What a person reads in a message: its blocks, or its text where it has none."""
    texts = [_texts(block) for block in message.blocks]
    return "\n".join(filter(None, texts)) or message.text


def _texts(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(filter(None, map(_texts, value)))
    if not isinstance(value, dict):
        return ""
    text = value.get("text")
    if isinstance(text, str):
        return re.sub(r"<[^<>|]+\|([^<>]+)>", r"\1", text)
    return "\n".join(filter(None, (_texts(value.get(name)) for name in ("text", "elements"))))
