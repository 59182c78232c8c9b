"""Messages: posted, edited and deleted, by people and the App alike."""

from __future__ import annotations

import secrets
from typing import Any

from . import events
from .refusals import SlackRefusal
from .shapes import message_shape
from .world import Json, SlackChannel, SlackMessage, SlackUser, SlackWorld

MESSAGE_CHARACTERS = 40_000
"""Slack cuts what is longer."""


def post(
    world: SlackWorld, channel: SlackChannel, author: SlackUser, text: str, **more: Any
) -> SlackMessage:
    """Add a message to a conversation and tell the App. Raises SlackRefusal.

    `more` are the other fields of SlackMessage.
    """
    thread_ts = check_thread(channel, more.pop("thread_ts", None))
    message = SlackMessage(
        world.new_ts(),
        channel,
        author,
        text[:MESSAGE_CHARACTERS],
        thread_ts=thread_ts,
        **more,
    )
    message.blocks = with_ids(message.blocks)
    channel.messages.append(message)
    world.previews.look(message.text, values=[message.blocks, message.attachments])
    for file in message.files:
        file.shares.append((channel, message.ts))
    events.message_posted(world, message)
    return message


def check_thread(channel: SlackChannel, ts: str | None) -> str | None:
    """The parent of a reply. Raises SlackRefusal where there is no such message, or it is a reply.

    A parent that was deleted keeps its thread.
    """
    if not ts:
        return None
    parent = next((one for one in channel.messages if one.ts == ts), None)
    if parent is None:
        raise SlackRefusal("thread_not_found")
    if parent.thread_ts:
        raise SlackRefusal("cannot_reply_to_message")
    return ts


def edit(world: SlackWorld, message: SlackMessage, editor: SlackUser, changes: Json) -> bool:
    """Change fields of a message and tell the App; whether anything changed."""
    changes = {name: value for name, value in changes.items() if value is not None}
    if "blocks" in changes:
        changes["blocks"] = with_ids(changes["blocks"], message.blocks)
    if all(getattr(message, name) == value for name, value in changes.items()):
        return False
    before = message_shape(world, message)
    for name, value in changes.items():
        setattr(message, name, value)
    message.edited_ts, message.edited_by = world.new_ts(), editor
    world.previews.look(message.text, values=[message.blocks, message.attachments])
    events.message_changed(world, message, before)
    return True


def delete(world: SlackWorld, message: SlackMessage) -> None:
    """Delete a message and tell the App."""
    before = message_shape(world, message)
    message.is_deleted = True
    events.message_deleted(world, message, before)


def with_ids(blocks: list[Json], before: list[Json] | None = None) -> list[Json]:
    """Blocks and their elements with the ids that Slack adds where there are none."""
    return [_with_ids(each, (before or [])[number:][:1]) for number, each in enumerate(blocks)]


def _with_ids(block: Json, before: list[Json]) -> Json:
    same_kind = [one for one in before if one.get("type") == block.get("type")]
    block_id = same_kind[0]["block_id"] if same_kind else secrets.token_urlsafe(4)[:5]
    block = {"block_id": block_id} | block
    if isinstance(block.get("elements"), list) and block["type"] == "actions":
        elements = block["elements"]
        block["elements"] = [{"action_id": secrets.token_urlsafe(4)[:5]} | one for one in elements]
    return block
