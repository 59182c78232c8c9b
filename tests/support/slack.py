"""A simulated Slack for a story: a workspace with the App, a person, and a channel.

async with open_slack() as scene:
    message = await scene.olivia.write(scene.dev, "@honk fix the sum in olivia/calc")
    ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.playground.slack import (
    Slack,
    SlackApp,
    SlackChannel,
    SlackPerson,
    SlackUser,
    SlackWorkspace,
    serve,
)
from tests.support.slack_contract import slack_contract

QUICK_RETRIES = (0.0, 0.2, 0.5)
"""Seconds instead of Slack's none, one minute and five."""


@dataclass
class SlackScene:
    """A Slack that is served, with the App in the workspace `acme` and in the channel `dev`."""

    slack: Slack
    team: SlackWorkspace
    olivia: SlackPerson
    dev: SlackChannel

    @property
    def token(self) -> str:
        """The bot token of the workspace."""
        return self.slack.world.installations[self.team.id].token

    @property
    def bot(self) -> SlackUser:
        """The App's account in the workspace."""
        return self.slack.world.installations[self.team.id].bot


@asynccontextmanager
async def open_slack(
    app: SlackApp | None = None, *, requests: bool = True
) -> AsyncIterator[SlackScene]:
    """Serve a new Slack. It delivers over Socket Mode; see `Slack.use_http` for the other way.

    All traffic is checked against Slack's own types, and ContractError is raised at the end;
    `requests` off leaves out what the App sends, for tests that send nonsense.
    """
    slack = Slack.create(app)
    team = slack.add_workspace("acme")
    slack.install(team)
    slack.pause_retries(*QUICK_RETRIES)
    olivia = slack.add_person("olivia", team, is_admin=True)
    dev = slack.add_channel("dev", olivia, app=True)
    async with serve(slack):
        with slack_contract(slack, requests=requests):
            yield SlackScene(slack, team, olivia, dev)
