"""The events that tell the App what happened, for each workspace where it is installed.

Outside contract: https://docs.slack.dev/reference/events
"""

from __future__ import annotations

import re
from typing import Any

from .shapes import channel_shape, message_shape, user_shape
from .world import Json, SlackChannel, SlackInstallation, SlackMessage, SlackUser, SlackWorld

_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")
_SUBSCRIPTIONS = {"channel": "message.channels", "group": "message.groups", "im": "message.im"}


def send(
    world: SlackWorld,
    installation: SlackInstallation,
    event: Json,
    *,
    subscription: str = "",
    channel: SlackChannel | None = None,
) -> None:
    """Send an event if the App is subscribed to it."""
    if (subscription or event["type"]) not in world.app.events:
        return
    team = installation.team
    world.deliveries.send(
        {
            "token": world.app.verification_token,
            "team_id": team.id,
            "context_team_id": team.id,
            "context_enterprise_id": None,
            "api_app_id": world.app.id,
            "event": event | {"event_ts": event.get("event_ts") or world.new_ts()},
            "type": "event_callback",
            "event_id": world.new_id("Ev"),
            "event_time": int(world.now()),
            "authorizations": [
                {
                    "enterprise_id": None,
                    "team_id": team.id,
                    "user_id": installation.bot.id,
                    "is_bot": True,
                    "is_enterprise_install": False,
                }
            ],
            "is_ext_shared_channel": channel is not None and channel.is_ext_shared,
            "event_context": f"4-{world.new_id('E')}",
        }
    )


def message_posted(world: SlackWorld, message: SlackMessage) -> None:
    """A new message: once as a message, and once more if it mentions the App."""
    event = message_shape(world, message)
    if message.is_broadcast:
        event["subtype"] = "thread_broadcast"
    _send_message(world, message, event)
    mentioned = set(_MENTION.findall(message.text))
    for installation in _there(world, message.channel):
        if installation.bot.id in mentioned and message.channel.kind != "im":
            mention = event | {"type": "app_mention", "channel": message.channel.id}
            mention = {key: value for key, value in mention.items() if key != "subtype"}
            mention["event_ts"] = message.ts
            send(world, installation, mention, channel=message.channel)


def message_changed(world: SlackWorld, message: SlackMessage, before: Json) -> None:
    """A message was edited; `before` is its shape until then."""
    event = {
        "type": "message",
        "subtype": "message_changed",
        "message": message_shape(world, message),
        "previous_message": before,
        "hidden": True,
        "ts": world.new_ts(),
    }
    _send_message(world, message, event)


def message_deleted(world: SlackWorld, message: SlackMessage, before: Json) -> None:
    """A message was deleted; `before` is its shape until then."""
    event = {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": before,
        "deleted_ts": message.ts,
        "hidden": True,
        "ts": world.new_ts(),
    }
    _send_message(world, message, event)


def reaction(world: SlackWorld, message: SlackMessage, user: SlackUser, name: str) -> None:
    """A reaction was added."""
    event = {
        "type": "reaction_added",
        "user": user.id,
        "reaction": name,
        "item_user": message.author.id,
        "item": {"type": "message", "channel": message.channel.id, "ts": message.ts},
    }
    for installation in _there(world, message.channel):
        send(world, installation, event, channel=message.channel)


def member_joined(world: SlackWorld, channel: SlackChannel, user: SlackUser, by: SlackUser) -> None:
    """Someone joined a channel."""
    event = {
        "type": "member_joined_channel",
        "user": user.id,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": user.team.id,
        "inviter": by.id,
    }
    for installation in _there(world, channel):
        send(world, installation, event, channel=channel)


def member_left(world: SlackWorld, channel: SlackChannel, user: SlackUser) -> None:
    """Someone left a channel; the App also gets the event when it is the one that left."""
    event = {
        "type": "member_left_channel",
        "user": user.id,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": user.team.id,
    }
    for installation in _there(world, channel, and_user=user):
        send(world, installation, event, channel=channel)


def channel_changed(world: SlackWorld, kind: str, channel: SlackChannel, user: SlackUser) -> None:
    """A channel was renamed, archived, or shared; `kind` is the event's type."""
    event: Json = {"type": kind, "channel": channel.id, "user": user.id}
    if kind.endswith("_rename"):
        named = {"id": channel.id, "name": channel.name, "created": channel.created}
        event = {"type": kind, "channel": named}
    if kind == "channel_shared":
        event = {
            "type": kind,
            "channel": channel.id,
            "connected_team_id": channel.shared_with[-1].id,
        }
    for installation in _there(world, channel):
        send(world, installation, event, channel=channel)


def home_opened(world: SlackWorld, user: SlackUser, tab: str) -> None:
    """A person opened the App's Home or its messages."""
    installation = world.bot_in(user.team)
    if installation is None:
        return
    channel = world.direct_message(user, installation.bot)
    event: Json = {"type": "app_home_opened", "user": user.id, "channel": channel.id, "tab": tab}
    send(world, installation, event, channel=channel)


def user_changed(world: SlackWorld, user: SlackUser) -> None:
    """An account was deactivated, made a guest, or renamed."""
    installation = world.bot_in(user.team)
    if installation is not None:
        event = {
            "type": "user_change",
            "user": user_shape(user, user.team),
            "cache_ts": int(world.now()),
        }
        send(world, installation, event)


def tokens_revoked(world: SlackWorld, installation: SlackInstallation, people: list[str]) -> None:
    """Tokens no longer work: the bot's, or those of people."""
    bots = [] if people else [installation.bot.id]
    event = {"type": "tokens_revoked", "tokens": {"oauth": people, "bot": bots}}
    send(world, installation, event)


def uninstalled(world: SlackWorld, installation: SlackInstallation) -> None:
    """The App was removed from a workspace."""
    send(world, installation, {"type": "app_uninstalled"})


def _send_message(world: SlackWorld, message: SlackMessage, event: Json) -> None:
    channel = message.channel
    kind = {"channel": channel.id, "channel_type": channel.kind}
    event = event | kind | {"event_ts": event["ts"]}
    for installation in _there(world, channel):
        subscription = _SUBSCRIPTIONS[channel.kind]
        send(world, installation, event, subscription=subscription, channel=channel)


def _there(
    world: SlackWorld, channel: SlackChannel, and_user: SlackUser | None = None
) -> list[SlackInstallation]:
    """The installations whose bot is in a channel."""
    found = world.installations.values()
    return [one for one in found if one.bot in channel.members or one.bot is and_user]


def mentions(text: str) -> list[str]:
    """The ids of those that a text mentions."""
    return _MENTION.findall(text)


def broadcasts(message: SlackMessage) -> list[str]:
    """The words in a message with which everybody is notified: `channel`, `here`, `everyone`."""
    found: list[str] = re.findall(r"<!(channel|here|everyone)(?:\|[^>]*)?>", _mrkdwn(message))
    return found


def _mrkdwn(message: SlackMessage) -> str:
    """All text of a message in which Slack looks for mentions."""
    found = [message.text]

    def look(value: Any) -> None:
        if isinstance(value, list):
            for each in value:
                look(each)
        elif isinstance(value, dict):
            if value.get("type") in ("mrkdwn", "markdown"):
                found.append(str(value.get("text", "")))
            for each in value.values():
                if isinstance(each, dict | list):
                    look(each)

    look(message.blocks)
    return "\n".join(found)


def shape_in(channel: SlackChannel, viewer: SlackUser) -> Json:
    """The short form of a conversation in interactions."""
    name = "directmessage" if channel.kind == "im" else channel_shape(channel, viewer)["name"]
    if channel.kind == "group":
        name = "privategroup"
    return {"id": channel.id, "name": name}
