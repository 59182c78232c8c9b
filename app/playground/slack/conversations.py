"""`conversations.*`, `users.*` and `team.*`: where and with whom the App is.

Outside contract: https://docs.slack.dev/reference/methods#conversations
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from . import events
from .calls import SlackCall, SlackMethod
from .refusals import SlackRefusal
from .shapes import channel_shape, message_shape, user_shape
from .world import Json, SlackChannel, SlackMessage

_SCOPES = {"channel": "channels", "group": "groups", "im": "im"}
_MOST = 1000


def _need(call: SlackCall, channel: SlackChannel, what: str) -> None:
    """Raises SlackRefusal unless the token may do it with this kind of conversation."""
    assert call.token is not None
    needed = f"{_SCOPES[channel.kind]}:{what}"
    if needed not in call.token.scopes:
        provided = ",".join(call.token.scopes)
        raise SlackRefusal("missing_scope", needed=needed, provided=provided)


async def info(call: SlackCall) -> Json:
    channel = call.channel()
    _need(call, channel, "read")
    shape = channel_shape(channel, call.user)
    if call.flag("include_num_members"):
        shape["num_members"] = len(channel.members)
    return {"channel": shape}


async def members(call: SlackCall) -> Json:
    channel = call.channel()
    _need(call, channel, "read")
    page, cursor = _page(call, channel.members, 100, lambda one: one.id)
    return {"members": [one.id for one in page], "response_metadata": {"next_cursor": cursor}}


async def list_all(call: SlackCall) -> Json:
    kinds = call.text("types", "public_channel").split(",")
    wanted = {"public_channel": "channel", "private_channel": "group", "im": "im"}
    found = [
        one
        for one in call.world.channels.values()
        if one.kind in {wanted.get(kind.strip()) for kind in kinds}
        and (call.user in one.members or (one.kind == "channel" and one.team is call.team))
        and not (one.is_archived and call.flag("exclude_archived"))
    ]
    page, cursor = _page(call, found, 100, lambda one: one.id)
    shapes = [channel_shape(one, call.user) for one in page]
    return {"channels": shapes, "response_metadata": {"next_cursor": cursor}}


async def history(call: SlackCall) -> Json:
    channel = call.channel(joined=True)
    _need(call, channel, "history")
    own = [one for one in channel.messages if not one.thread_ts or one.is_broadcast]
    newest_first = [one for one in reversed(_between(call, own)) if not one.is_deleted]
    return _messages(call, newest_first)


async def replies(call: SlackCall) -> Json:
    channel = call.channel(joined=True)
    _need(call, channel, "history")
    ts = call.required("ts")
    parent = next((one for one in channel.messages if one.ts == ts), None)
    if parent is None or (parent.is_deleted and not channel.replies(ts)):
        raise SlackRefusal("thread_not_found")
    if parent.thread_ts:
        # Slack gives a reply alone when asked for it as if it had a thread.
        return _messages(call, [parent])
    return _messages(call, [parent, *_between(call, channel.replies(ts))])


def _between(call: SlackCall, messages: Sequence[SlackMessage]) -> list[SlackMessage]:
    """Those in the wanted time; the borders belong to it only with `inclusive`."""
    oldest, latest = call.text("oldest", "0"), call.text("latest") or "9999999999.999999"
    try:
        low, high = float(oldest), float(latest)
    except ValueError:
        raise SlackRefusal("invalid_ts_oldest") from None
    same = call.flag("inclusive")
    return [
        one
        for one in messages
        if low < float(one.ts) < high or (same and float(one.ts) in (low, high))
    ]


def _messages(call: SlackCall, found: Sequence[SlackMessage]) -> Json:
    page, cursor = _page(call, found, 100, lambda one: one.ts)
    answer: Json = {
        "messages": [_shape(call, one) for one in page],
        "has_more": bool(cursor),
    }
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def _shape(call: SlackCall, message: SlackMessage) -> Json:
    shape = message_shape(call.world, message)
    if message.is_deleted:
        gone = {"text": "This message was deleted.", "user": "USLACKBOT", "subtype": "tombstone"}
        shape = {key: each for key, each in shape.items() if key not in ("blocks", "files")} | gone
    return shape


def _page(
    call: SlackCall, found: Sequence[Any], size: int, key: Callable[[Any], str]
) -> tuple[Sequence[Any], str]:
    """A page and the cursor of the next one, empty on the last."""
    limit = call.number("limit", size)
    if not 1 <= limit <= _MOST:
        raise SlackRefusal("invalid_limit")
    first = 0
    if cursor := call.text("cursor"):
        keys = [key(one) for one in found]
        wanted = _decoded(cursor)
        if wanted not in keys:
            raise SlackRefusal("invalid_cursor")
        first = keys.index(wanted)
    rest = found[first + limit :]
    return found[first : first + limit], _encoded(key(rest[0])) if rest else ""


def _encoded(text: str) -> str:
    return base64.b64encode(f"next:{text}".encode()).decode()


def _decoded(cursor: str) -> str:
    try:
        return base64.b64decode(cursor, validate=True).decode().removeprefix("next:")
    except ValueError:
        raise SlackRefusal("invalid_cursor") from None


async def open_direct(call: SlackCall) -> Json:
    user = call.world.users.get(call.required("users"))
    if user is None or user.team is not call.team:
        raise SlackRefusal("user_not_found")
    if user.deleted:
        raise SlackRefusal("user_disabled")
    channel = call.world.direct_message(user, call.user)
    return {"channel": {"id": channel.id}}


async def join(call: SlackCall) -> Json:
    channel = call.channel(active=True)
    if channel.kind != "channel":
        raise SlackRefusal("method_not_supported_for_channel_type")
    if call.user not in channel.members:
        channel.members.append(call.user)
        events.member_joined(call.world, channel, call.user, call.user)
    return {"channel": channel_shape(channel, call.user)}


async def leave(call: SlackCall) -> Json:
    channel = call.channel(active=True)
    if call.user not in channel.members:
        return {"not_in_channel": True}
    channel.members.remove(call.user)
    events.member_left(call.world, channel, call.user)
    return {}


async def user_info(call: SlackCall) -> Json:
    user = call.world.users.get(call.text("user"))
    if user is None or not _knows(call, user.id):
        raise SlackRefusal("user_not_found")
    shape = user_shape(user, call.team)
    assert call.token is not None
    if "users:read.email" in call.token.scopes and user.email and user.team is call.team:
        shape["profile"]["email"] = user.email
    return {"user": shape}


def _knows(call: SlackCall, user_id: str) -> bool:
    """Whether an account is of this workspace, or in a channel that both share."""
    user = call.world.users[user_id]
    channels = call.world.channels.values()
    return user.team is call.team or any(
        user in one.members and call.team in (one.team, *one.shared_with) for one in channels
    )


async def team_info(call: SlackCall) -> Json:
    team = call.team
    return {"team": {"id": team.id, "name": team.name, "domain": team.domain, "email_domain": ""}}


_READ = ("channels:read", "groups:read", "im:read", "mpim:read")
_HISTORY = ("channels:history", "groups:history", "im:history", "mpim:history")
_MANAGE = ("channels:manage", "channels:join", "groups:write", "im:write", "mpim:write")

METHODS = [
    SlackMethod("conversations.info", info, _READ),
    SlackMethod("conversations.members", members, _READ),
    SlackMethod("conversations.list", list_all, _READ),
    SlackMethod("conversations.history", history, _HISTORY),
    SlackMethod("conversations.replies", replies, _HISTORY),
    SlackMethod("conversations.open", open_direct, ("im:write", "mpim:write")),
    SlackMethod("conversations.join", join, ("channels:join",)),
    SlackMethod("conversations.leave", leave, _MANAGE),
    SlackMethod("users.info", user_info, ("users:read",)),
    SlackMethod("team.info", team_info, ("team:read",)),
]
