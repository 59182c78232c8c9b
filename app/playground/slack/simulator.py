"""The interface for tests: make workspaces, people and channels, act, and look at the result.

slack = Slack.create(SlackApp.from_manifest(manifest))
team = slack.add_workspace("acme")
slack.install(team)
olivia = slack.add_person("olivia", team)
dev = slack.add_channel("dev", olivia, topic="repo:olivia/calc", app=True)
async with serve(slack):
    message = await olivia.write(dev, "@honk fix the sum")
    await slack.drained()
    ...
    await olivia.click(olivia.sees_in_thread(message)[-1], "merge")
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal

from starlette.routing import BaseRoute

from app.playground.clock import Clock

from . import auth, events
from .app import SlackFront, SlackObserver
from .deliveries import SlackDelivery
from .faults import SlackFaults
from .limits import SlackLimits
from .people import SlackPerson
from .refusals import SlackRefusal
from .sockets import Sockets
from .world import (
    SlackApp,
    SlackChannel,
    SlackInstallation,
    SlackMessage,
    SlackRecord,
    SlackToken,
    SlackUser,
    SlackWorkspace,
    SlackWorld,
)


class Slack:
    """A simulated Slack with one App registered."""

    def __init__(self, world: SlackWorld, pages: Sequence[BaseRoute] = ()) -> None:
        self.world = world
        self.links: dict[str, str] = {}
        """Places outside Slack that its pages lead to, by name."""
        self._front = SlackFront(world, pages)

    @classmethod
    def create(cls, app: SlackApp | None = None, pages: Sequence[BaseRoute] = ()) -> Slack:
        """An empty Slack. `pages` are routes for people."""
        return cls(SlackWorld(app or SlackApp()), pages)

    # -- what tests and the command line inspect

    @property
    def asgi(self) -> Any:
        """The application, for a server."""
        return self._front

    @property
    def url(self) -> str:
        """Where it is served; set by `serve`. The Web API is at `api_url`."""
        return self.world.url

    @url.setter
    def url(self, url: str) -> None:
        self.world.url = url.rstrip("/")

    @property
    def api_url(self) -> str:
        """The base URL of the Web API, with a slash at its end."""
        return f"{self.world.url}/api/"

    @property
    def app(self) -> SlackApp:
        """The App as registered."""
        return self.world.app

    @property
    def clock(self) -> Clock:
        """The time here; `advance` lets triggers and response URLs expire."""
        return self.world.clock

    @property
    def faults(self) -> SlackFaults:
        """The faults to inject."""
        return self.world.faults

    @property
    def limits(self) -> SlackLimits:
        """The rate limits, and how often they refused."""
        return self.world.limits

    @property
    def sockets(self) -> Sockets:
        """The connections of Socket Mode."""
        return self.world.deliveries.sockets

    @property
    def calls(self) -> list[SlackRecord]:
        """Every call of the Web API and every use of a response URL, in order."""
        return self.world.records

    @property
    def observers(self) -> list[SlackObserver]:
        """Called with each SlackRecord."""
        return self._front.observers

    @property
    def deliveries(self) -> list[SlackDelivery]:
        """Everything that the App was sent, in order."""
        return self.world.deliveries.log

    @property
    def delivery_observers(self) -> list[Callable[[SlackDelivery], None]]:
        """Called with each SlackDelivery before it is sent."""
        return self.world.deliveries.observers

    @property
    def previews(self) -> list[tuple[str, int]]:
        """The links that Slack read for previews, with the status of each answer."""
        return self.world.previews.read

    def called(self, method: str) -> list[SlackRecord]:
        """The calls of one method."""
        return [one for one in self.calls if one.method == method]

    async def drained(self) -> None:
        """Wait until everything that is due was delivered or failed."""
        await self.world.deliveries.drained()

    async def close(self) -> None:
        """Stop delivering."""
        await self.world.previews.close()
        await self.world.deliveries.close()

    # -- how the App gets its events

    async def use_http(self, url: str) -> None:
        """Send events, commands and interactions to this URL.

        Raises SlackRefusal when nothing there answers Slack's challenge.
        """
        if not await self.world.deliveries.verify(url, self.app.verification_token):
            raise SlackRefusal("url_verification_failed")
        self.lead_to(url)

    def lead_to(self, url: str) -> None:
        """The same without the challenge, for an App that is not running yet."""
        self.world.deliveries.request_url = url
        self.world.deliveries.by_socket = False

    def use_sockets(self) -> None:
        """Send events, commands and interactions over Socket Mode, as at first."""
        self.world.deliveries.by_socket = True

    def pause_retries(self, *seconds: float) -> None:
        """The pauses before an event is sent a second, third and fourth time."""
        self.world.deliveries.retry_seconds = (*seconds,)

    def deliver_again(self, delivery: SlackDelivery) -> None:
        """Send an event once more under the same id."""
        self.world.deliveries.send_again(delivery)

    def hold(self) -> list[SlackDelivery]:
        """Keep events back; the list can be reordered before `release`."""
        held = self.world.deliveries.held = list[SlackDelivery]()
        return held

    def release(self) -> None:
        """Send what was held."""
        self.world.deliveries.release()

    # -- workspaces, people, channels

    def add_workspace(self, domain: str, name: str = "") -> SlackWorkspace:
        """A new workspace."""
        team = SlackWorkspace(self.world.new_id("T"), domain, name or domain.title())
        self.world.teams[team.id] = team
        return team

    def install(self, team: SlackWorkspace) -> SlackInstallation:
        """Install the App in a workspace; again, it gets a new token and its present scopes."""
        world, before = self.world, self.world.installations.get(team.id)
        bot = before.bot if before else self._add_bot(team)
        made = SlackInstallation(team, bot, world.new_token("xoxb"), world.app.scopes)
        world.installations[team.id] = made
        world.tokens[made.token] = SlackToken(made.token, bot, made.scopes, made)
        return made

    def _add_bot(self, team: SlackWorkspace) -> SlackUser:
        world, app = self.world, self.world.app
        bot = SlackUser(
            world.new_id("U"),
            app.bot_name,
            team,
            app.name,
            is_bot=True,
            bot_id=world.new_id("B"),
            app_id=app.id,
        )
        world.users[bot.id] = bot
        return bot

    def uninstall(self, team: SlackWorkspace) -> None:
        """Remove the App from a workspace."""
        installation = self.world.installations[team.id]
        events.uninstalled(self.world, installation)
        events.tokens_revoked(self.world, installation, [])
        self.world.tokens[installation.token].is_revoked = True
        del self.world.installations[team.id]
        for channel in self.world.channels.values():
            if channel.kind != "im" and installation.bot in channel.members:
                channel.members.remove(installation.bot)

    def revoke(self, token: str) -> None:
        """Revoke a token, as an admin does."""
        found = self.world.tokens[token]
        found.is_revoked = True
        if found.installation is not None:
            events.tokens_revoked(self.world, found.installation, [])

    def grant(self, team: SlackWorkspace, *scopes: str) -> None:
        """Reduce or change the scopes that the App's token has in a workspace."""
        installation = self.world.installations[team.id]
        installation.scopes = scopes
        self.world.tokens[installation.token].scopes = scopes

    def change_app(self, **fields: Any) -> None:
        """Change the App's registration, such as its `redirect_urls`."""
        self.world.app = dataclasses.replace(self.world.app, **fields)

    def add_person(
        self,
        name: str,
        team: SlackWorkspace,
        *,
        guest: Literal["", "multi", "single"] = "",
        is_bot: bool = False,
        is_admin: bool = False,
        email: str = "",
    ) -> SlackPerson:
        """A new account in a workspace; a `guest` of several channels or of a single one."""
        user = SlackUser(
            self.world.new_id("U"),
            name,
            team,
            name.title(),
            email or f"{name}@{team.domain}.example",
            is_bot=is_bot,
            bot_id=self.world.new_id("B") if is_bot else "",
            app_id=self.world.new_id("A") if is_bot else "",
            is_admin=is_admin,
            is_restricted=bool(guest),
            is_ultra_restricted=guest == "single",
            updated=int(self.world.now()),
        )
        self.world.users[user.id] = user
        return SlackPerson(self.world, user)

    def person(self, name: str, team: SlackWorkspace | None = None) -> SlackPerson:
        """A person by name. Raises KeyError."""
        for user in self.world.users.values():
            if user.name == name and team in (None, user.team):
                return SlackPerson(self.world, user)
        raise KeyError(name)

    def deactivate(self, person: SlackPerson) -> None:
        """Delete an account, as an admin does when someone leaves."""
        person.user.deleted = True
        events.user_changed(self.world, person.user)

    def add_channel(
        self,
        name: str,
        creator: SlackPerson,
        *members: SlackPerson,
        private: bool = False,
        topic: str = "",
        purpose: str = "",
        app: bool = False,
    ) -> SlackChannel:
        """A new channel; with `app`, the App is a member."""
        team = creator.user.team
        users = [creator.user, *(one.user for one in members)]
        channel = SlackChannel(
            self.world.new_id("C"),
            name,
            team,
            int(self.world.now()),
            creator.user,
            kind="group" if private else "channel",
            topic=topic,
            purpose=purpose,
            members=users,
        )
        self.world.channels[channel.id] = channel
        if app:
            channel.members.append(self.world.installations[team.id].bot)
        return channel

    def channel(self, name: str) -> SlackChannel:
        """A channel by name. Raises KeyError."""
        for channel in self.world.channels.values():
            if channel.name == name and channel.kind != "im":
                return channel
        raise KeyError(name)

    def invite(self, channel: SlackChannel, user: SlackUser, by: SlackPerson) -> None:
        """Bring an account, or the App's bot, into a channel."""
        if user not in channel.members:
            channel.members.append(user)
            events.member_joined(self.world, channel, user, by.user)

    def remove(self, channel: SlackChannel, user: SlackUser) -> None:
        """Take an account, or the App's bot, out of a channel."""
        channel.members.remove(user)
        events.member_left(self.world, channel, user)

    def rename(self, channel: SlackChannel, name: str) -> None:
        """Give a channel another name."""
        channel.previous_names.append(channel.name)
        channel.name = name
        self._changed(f"{channel.kind}_rename", channel)

    def archive(self, channel: SlackChannel, *, back: bool = False) -> None:
        """Archive a channel, or bring it `back`."""
        channel.is_archived = not back
        self._changed(f"{channel.kind}_{'unarchive' if back else 'archive'}", channel)

    def share(self, channel: SlackChannel, team: SlackWorkspace, *people: SlackPerson) -> None:
        """Let another organization's workspace into a channel, with some of its people."""
        channel.is_pending_ext_shared = False
        channel.shared_with.append(team)
        channel.members.extend(one.user for one in people)
        self._changed("channel_shared", channel)

    def _changed(self, kind: str, channel: SlackChannel) -> None:
        events.channel_changed(self.world, kind, channel, channel.creator)

    # -- people

    def agree(self, person: SlackPerson, asked: dict[str, str]) -> str:
        """A person allows the App to know who they are; the address that they are sent back to.

        `asked` is the App's query at `/openid/connect/authorize`. Raises SlackSignInError.
        """
        return auth.agree(self.world, person.user, asked)

    def broadcasts(self, message: SlackMessage) -> list[str]:
        """The words in a message with which everybody would be notified."""
        return events.broadcasts(message)
