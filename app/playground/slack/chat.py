"""`chat.*` and `reactions.*`: messages of the App.

Outside contract: https://docs.slack.dev/reference/methods#chat
"""

from __future__ import annotations

import re

from . import events, posting
from .blocks import check_message_blocks
from .calls import SlackCall, SlackMethod
from .refusals import SlackRefusal, invalid_arguments
from .shapes import message_shape
from .world import Json, SlackChannel, SlackMessage

UPDATE_CHARACTERS = 4_000
MARKDOWN_TEXT_CHARACTERS = 12_000
_PLACE = {
    *("ts", "thread_ts", "parent_user_id", "reply_count", "reply_users_count", "reply_users"),
    *("latest_reply", "is_locked", "subscribed", "reactions"),
}
_EMOJI = re.compile(r"[a-z0-9_+'-]+(::skin-tone-[2-6])?")


async def post_message(call: SlackCall) -> Json:
    channel = _destination(call)
    content = _content(call)
    call.world.limits.check_message(call.method, channel.id, call.world.now())
    message = posting.post(
        call.world,
        channel,
        call.user,
        **content,
        thread_ts=call.text("thread_ts") or None,
        is_broadcast=call.flag("reply_broadcast"),
        subtype="bot_message" if _is_customized(call) else None,
        unfurls=call.flag("unfurl_links", True),
    )
    answer: Json = {"channel": channel.id, "ts": message.ts}
    answer["message"] = message_shape(call.world, message)
    if len(content["text"]) > posting.MESSAGE_CHARACTERS:
        answer |= {"warning": "message_truncated"}
        answer["response_metadata"] = {"warnings": ["message_truncated"]}
    return answer


def _destination(call: SlackCall) -> SlackChannel:
    """The conversation to post in; a person's id stands for the direct message with them."""
    channel_id = call.text("channel")
    user = call.world.users.get(channel_id)
    if user is not None:
        if user.deleted or user.team is not call.team:
            raise SlackRefusal("channel_not_found")
        return call.world.direct_message(user, call.user)
    if channel_id.startswith("#"):
        names = {one.name: one.id for one in call.world.channels.values() if one.team is call.team}
        channel_id = names.get(channel_id[1:], "")
    return call.channel(channel_id, joined=True, active=True)


def _content(call: SlackCall) -> Json:
    """Text, blocks, attachments and metadata. Raises SlackRefusal where there is nothing."""
    content = {
        "text": call.text("text"),
        "blocks": call.structure("blocks") or [],
        "attachments": call.structure("attachments") or [],
        "metadata": call.structure("metadata"),
    }
    if markdown := call.text("markdown_text"):
        if content["text"] or content["blocks"]:
            raise SlackRefusal("markdown_text_conflict")
        if len(markdown) > MARKDOWN_TEXT_CHARACTERS:
            raise SlackRefusal("msg_too_long")
        content["text"] = markdown
    check_message_blocks(content["blocks"])
    if not (content["text"] or content["blocks"] or content["attachments"]):
        raise SlackRefusal("no_text")
    return content


def _is_customized(call: SlackCall) -> bool:
    given = any(call.text(name) for name in ("username", "icon_url", "icon_emoji"))
    assert call.token is not None
    if given and "chat:write.customize" not in call.token.scopes:
        provided = ",".join(call.token.scopes)
        raise SlackRefusal("missing_scope", needed="chat:write.customize", provided=provided)
    return given


async def update(call: SlackCall) -> Json:
    channel = call.channel()
    if channel.is_archived:
        raise SlackRefusal("is_inactive")
    message = call.message(channel, call.required("ts"))
    if message.author is not call.user:
        raise SlackRefusal("cant_update_message")
    text, blocks = call.arguments.get("text"), call.structure("blocks")
    if text is not None and len(call.text("text")) > UPDATE_CHARACTERS:
        raise SlackRefusal("msg_too_long")
    if blocks is not None:
        check_message_blocks(blocks)
    attachments = call.structure("attachments")
    if text is None and blocks is None and attachments is None:
        raise SlackRefusal("no_text")
    changes = {
        "text": None if text is None else call.text("text"),
        "blocks": blocks,
        "attachments": attachments,
        "metadata": call.structure("metadata"),
    }
    posting.edit(call.world, message, call.user, changes)
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": _shown(message_shape(call.world, message)),
    }


def _shown(shape: Json) -> Json:
    """A message as `chat.update` gives it, without its place."""
    return {key: value for key, value in shape.items() if key not in _PLACE}


async def delete(call: SlackCall) -> Json:
    channel = call.channel()
    message = call.message(channel, call.required("ts"))
    if message.author is not call.user:
        raise SlackRefusal("cant_delete_message")
    posting.delete(call.world, message)
    return {"channel": channel.id, "ts": message.ts}


async def post_ephemeral(call: SlackCall) -> Json:
    channel = call.channel(joined=True, active=True)
    content = _content(call)
    user = call.world.users.get(call.required("user"))
    if user is None or user not in channel.members:
        raise SlackRefusal("user_not_in_channel")
    thread_ts = posting.check_thread(channel, call.text("thread_ts") or None)
    content["blocks"] = posting.with_ids(content["blocks"])
    message = SlackMessage(
        call.world.new_ts(),
        channel,
        call.user,
        **content,
        thread_ts=thread_ts,
        ephemeral_to=user,
    )
    channel.ephemerals.append(message)
    return {"message_ts": message.ts}


async def permalink(call: SlackCall) -> Json:
    channel = call.channel()
    message = call.message(channel, call.required("message_ts"))
    return {"channel": channel.id, "permalink": permalink_of(call.world.url, message)}


def permalink_of(url: str, message: SlackMessage) -> str:
    """The page of a message; a reply's opens its thread."""
    place = f"{url}/archives/{message.channel.id}/p{message.ts.replace('.', '')}"
    if message.thread_ts:
        return f"{place}?thread_ts={message.thread_ts}&cid={message.channel.id}"
    return place


async def add_reaction(call: SlackCall) -> Json:
    message, name = _reacted(call)
    users = message.reactions.setdefault(name, [])
    if call.user in users:
        raise SlackRefusal("already_reacted")
    users.append(call.user)
    events.reaction(call.world, message, call.user, name)
    return {}


async def remove_reaction(call: SlackCall) -> Json:
    message, name = _reacted(call)
    users = message.reactions.get(name, [])
    if call.user not in users:
        raise SlackRefusal("no_reaction")
    users.remove(call.user)
    if not users:
        del message.reactions[name]
    return {}


def _reacted(call: SlackCall) -> tuple[SlackMessage, str]:
    """The message of a reaction, and its name."""
    name = call.required("name").strip(":")
    if not _EMOJI.fullmatch(name):
        raise SlackRefusal("invalid_name")
    if not call.text("timestamp"):
        raise SlackRefusal("no_item_specified")
    channel = call.channel(joined=True, active=True)
    return call.message(channel, call.text("timestamp")), name


async def set_status(call: SlackCall) -> Json:
    """What an assistant is doing, below a thread; Slack shows it for two minutes."""
    channel = call.visible_channel(call.required("channel_id"))
    if call.user not in channel.members:
        raise SlackRefusal("not_in_channel")
    message = call.message(channel, call.required("thread_ts"))
    if "status" not in call.arguments:
        raise invalid_arguments("missing required field: status")
    call.world.statuses[channel.id, message.ts] = call.text("status")
    return {}


METHODS = [
    SlackMethod("chat.postMessage", post_message, ("chat:write",)),
    SlackMethod("chat.update", update, ("chat:write",)),
    SlackMethod("chat.delete", delete, ("chat:write",)),
    SlackMethod("chat.postEphemeral", post_ephemeral, ("chat:write",)),
    SlackMethod("chat.getPermalink", permalink),
    SlackMethod("reactions.add", add_reaction, ("reactions:write",)),
    SlackMethod("reactions.remove", remove_reaction, ("reactions:write",)),
    SlackMethod("assistant.threads.setStatus", set_status, ("chat:write", "assistant:write")),
]
