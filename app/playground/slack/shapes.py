"""The JSON shapes of Slack's objects, as the Web API and events have them."""

from __future__ import annotations

from typing import Any

from .world import (
    Json,
    SlackChannel,
    SlackFile,
    SlackMessage,
    SlackUser,
    SlackView,
    SlackWorkspace,
    SlackWorld,
)


def user_shape(user: SlackUser, seen_from: SlackWorkspace) -> Json:
    """An account, as an App in a workspace sees it; strangers show little."""
    shape: Json = {
        "id": user.id,
        "team_id": user.team.id,
        "name": user.name,
        "deleted": user.deleted,
        "profile": _profile(user),
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": user.updated,
    }
    if user.team is not seen_from:
        shape["is_stranger"] = True
    if user.deleted:
        return shape
    return shape | {
        "color": "9f69e7",
        "real_name": user.real_name or user.name,
        "tz": "America/New_York",
        "tz_label": "Eastern Standard Time",
        "tz_offset": -18000,
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_email_confirmed": not user.is_bot,
        "who_can_share_contact_card": "EVERYONE",
    }


def _profile(user: SlackUser) -> Json:
    name = user.real_name or user.name
    shape: Json = {
        "real_name": name,
        "display_name": user.name,
        "real_name_normalized": name,
        "display_name_normalized": user.name,
        "avatar_hash": "g0123456789a",
        "status_text": "",
        "status_emoji": "",
        "team": user.team.id,
        "title": "",
    }
    if user.is_bot:
        shape |= {"api_app_id": user.app_id, "bot_id": user.bot_id, "always_active": True}
    return shape


def channel_shape(channel: SlackChannel, viewer: SlackUser) -> Json:
    """A conversation, as an account sees it."""
    shape: Json = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.kind == "im",
        "is_org_shared": False,
        "context_team_id": channel.team.id,
        "updated": channel.created * 1000,
    }
    if channel.kind == "im":
        other = next((one for one in channel.members if one is not viewer), viewer)
        return shape | {"user": other.id, "is_user_deleted": other.deleted, "priority": 0}
    return shape | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": False,
        "is_private": channel.kind == "group",
        "is_general": False,
        "unlinked": 0,
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "is_pending_ext_shared": channel.is_pending_ext_shared,
        "pending_shared": [],
        "creator": channel.creator.id,
        "shared_team_ids": [channel.team.id, *(one.id for one in channel.shared_with)],
        "pending_connected_team_ids": [],
        "is_member": viewer in channel.members,
        "topic": _described(channel, channel.topic),
        "purpose": _described(channel, channel.purpose),
        "previous_names": channel.previous_names,
    }


def _described(channel: SlackChannel, text: str) -> Json:
    creator = channel.creator.id if text else ""
    return {"value": text, "creator": creator, "last_set": channel.created if text else 0}


def file_shape(world: SlackWorld, file: SlackFile) -> Json:
    """A file; its bytes are at `url_private`, for a token with `files:read`."""
    kind = file.name.rpartition(".")[2].lower() if "." in file.name else "binary"
    place = f"{world.url}/files-pri/{file.owner.team.id}-{file.id}"
    shares: dict[str, Any] = {"public": {}, "private": {}}
    for channel, ts in file.shares:
        where = "public" if channel.kind == "channel" else "private"
        shares[where].setdefault(channel.id, []).append({"ts": ts, "channel_name": channel.name})
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": MIME_TYPES.get(kind, "application/octet-stream"),
        "filetype": kind,
        "pretty_type": kind.upper(),
        "user": file.owner.id,
        "user_team": file.owner.team.id,
        "editable": False,
        "size": file.size,
        "mode": "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": any(channel.kind == "channel" for channel, _ in file.shares),
        "public_url_shared": False,
        "display_as_bot": file.owner.is_bot,
        "username": "",
        "url_private": f"{place}/{file.name}",
        "url_private_download": f"{place}/download/{file.name}",
        "permalink": f"{world.url}/files/{file.owner.id}/{file.id}/{file.name}",
        "alt_txt": file.alt_text,
        "channels": [one.id for one, _ in file.shares if one.kind == "channel"],
        "groups": [one.id for one, _ in file.shares if one.kind == "group"],
        "ims": [one.id for one, _ in file.shares if one.kind == "im"],
        "shares": shares,
        "has_rich_preview": False,
        "file_access": "visible",
    }


MIME_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "txt": "text/plain",
    "log": "text/plain",
    "md": "text/markdown",
    "pdf": "application/pdf",
}


def message_shape(world: SlackWorld, message: SlackMessage) -> Json:
    """A message, as the history of a conversation has it."""
    author, channel = message.author, message.channel
    shape: Json = {
        "type": "message",
        "user": author.id,
        "ts": message.ts,
        "text": message.text,
        "team": author.team.id,
    }
    if message.subtype:
        shape["subtype"] = message.subtype
    if message.client_msg_id:
        shape["client_msg_id"] = message.client_msg_id
    if author.is_bot:
        shape |= {
            "bot_id": author.bot_id,
            "app_id": author.app_id,
            "bot_profile": bot_shape(author),
        }
    if channel.is_ext_shared and author.team is not channel.team:
        shape |= {"user_team": author.team.id, "source_team": author.team.id}
    if message.blocks:
        shape["blocks"] = message.blocks
    if message.attachments:
        shape["attachments"] = message.attachments
    if message.files:
        shape |= {"files": [file_shape(world, each) for each in message.files], "upload": False}
    if message.metadata:
        shape["metadata"] = message.metadata
    if message.edited_ts:
        editor = message.edited_by or author
        shape["edited"] = {"user": editor.id, "ts": message.edited_ts}
    if message.reactions:
        shape["reactions"] = [
            {"name": name, "users": [one.id for one in users], "count": len(users)}
            for name, users in message.reactions.items()
        ]
    return shape | _thread_shape(message)


def _thread_shape(message: SlackMessage) -> Json:
    channel = message.channel
    if message.thread_ts:
        parent = channel.message(message.thread_ts)
        shape = {"thread_ts": message.thread_ts}
        return shape | ({"parent_user_id": parent.author.id} if parent else {})
    replies = channel.replies(message.ts)
    if not replies:
        return {}
    people = list(dict.fromkeys(one.author.id for one in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(people),
        "latest_reply": replies[-1].ts,
        "reply_users": people[:5],
        "is_locked": False,
        "subscribed": False,
    }


def bot_shape(bot: SlackUser) -> Json:
    """The profile of a bot in its messages."""
    return {
        "id": bot.bot_id,
        "deleted": bot.deleted,
        "name": bot.real_name or bot.name,
        "updated": bot.updated,
        "app_id": bot.app_id,
        "user_id": bot.id,
        "icons": {"image_36": "https://a.slack-edge.com/80588/img/plugins/app/bot_36.png"},
        "team_id": bot.team.id,
    }


def view_shape(world: SlackWorld, view: SlackView) -> Json:
    """A view with what Slack adds to it."""
    team = view.user.team
    installation = world.bot_in(team)
    given = view.view
    return {
        "id": view.id,
        "team_id": team.id,
        "type": given["type"],
        "title": given.get("title") or {"type": "plain_text", "text": "View Title", "emoji": True},
        "submit": given.get("submit"),
        "close": given.get("close"),
        "blocks": given["blocks"],
        "private_metadata": given.get("private_metadata", ""),
        "callback_id": given.get("callback_id", ""),
        "external_id": given.get("external_id", ""),
        "state": {"values": {}},
        "hash": view.hash,
        "clear_on_close": given.get("clear_on_close", False),
        "notify_on_close": given.get("notify_on_close", False),
        "previous_view_id": None,
        "root_view_id": view.id,
        "app_id": world.app.id,
        "app_installed_team_id": team.id,
        "bot_id": installation.bot.bot_id if installation else "",
    }
