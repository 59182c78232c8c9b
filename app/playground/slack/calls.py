"""One call of the Web API: who calls, with which arguments, and what they may see."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from .refusals import SlackRefusal, invalid_arguments
from .world import (
    Json,
    SlackChannel,
    SlackMessage,
    SlackToken,
    SlackUser,
    SlackWorkspace,
    SlackWorld,
)


@dataclass
class SlackCall:
    """A call after authentication. `token` is None only for methods that need none."""

    world: SlackWorld
    method: str
    arguments: Json
    token: SlackToken | None = None
    later: list[Callable[[], object]] = field(default_factory=list)
    """What Slack does after its answer."""

    @property
    def user(self) -> SlackUser:
        """The account that the token belongs to."""
        assert self.token is not None
        return self.token.user

    @property
    def team(self) -> SlackWorkspace:
        """The workspace that the token belongs to."""
        return self.user.team

    def text(self, name: str, default: str = "") -> str:
        """An argument as text; forms and JSON differ in how they write numbers."""
        value = self.arguments.get(name)
        if value is None:
            return default
        if isinstance(value, bool | int | float):
            return json.dumps(value)
        if not isinstance(value, str):
            raise invalid_arguments(f"must be a string [json-pointer:/{name}]")
        return value

    def required(self, name: str) -> str:
        """An argument that must be there. Raises SlackRefusal."""
        if not (value := self.text(name)):
            raise invalid_arguments(f"missing required field: {name}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean: `true`, `1`, or the same as text."""
        value = self.text(name, json.dumps(default)).lower()
        return value in ("1", "true")

    def number(self, name: str, default: int) -> int:
        """An integer. Raises SlackRefusal."""
        value = self.text(name, str(default))
        if not value.isascii() or not value.isdecimal():
            raise invalid_arguments(f"must be an integer [json-pointer:/{name}]")
        return int(value)

    def structure(self, name: str) -> Any:
        """An array or object, which a form has as JSON text. Raises SlackRefusal."""
        value = self.arguments.get(name)
        if isinstance(value, str):
            try:
                return json.loads(value) if value else None
            except (ValueError, RecursionError):
                raise SlackRefusal(f"invalid_{name}_format") from None
        return value

    def channel(
        self, channel_id: str | None = None, *, joined: bool = False, active: bool = False
    ) -> SlackChannel:
        """The conversation that `channel` names, or that has this id. Raises SlackRefusal.

        `joined`: the caller must be a member. `active`: it must not be archived.
        """
        channel = self.visible_channel(self.text("channel") if channel_id is None else channel_id)
        if joined and self.user not in channel.members:
            raise SlackRefusal("not_in_channel")
        if active and channel.is_archived:
            raise SlackRefusal("is_archived")
        return channel

    def visible_channel(self, channel_id: str) -> SlackChannel:
        """A conversation that the caller may see. Raises SlackRefusal."""
        channel = self.world.channels.get(channel_id)
        if channel is None or not self._sees(channel):
            raise SlackRefusal("channel_not_found")
        return channel

    def _sees(self, channel: SlackChannel) -> bool:
        if self.user in channel.members:
            return True
        return channel.kind == "channel" and self.team in (channel.team, *channel.shared_with)

    def message(self, channel: SlackChannel, ts: str) -> SlackMessage:
        """A message of a conversation. Raises SlackRefusal."""
        message = channel.message(ts)
        if message is None:
            raise SlackRefusal("message_not_found")
        return message


Method = Callable[[SlackCall], Awaitable[Json]]


@dataclass(frozen=True)
class SlackMethod:
    """A method of the Web API; `scopes` are those of which a token needs one."""

    name: str
    run: Method
    scopes: tuple[str, ...] = ()
    token: str = "xoxb"
    """The kinds of token it takes, separated by spaces; empty for none."""
