"""What Slack makes of typed text: mentions, links, escapes, and the same as rich text.

Outside contract: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re

from .mrkdwn import unescaped
from .world import Json, SlackUser, SlackWorld

_TOKEN = re.compile(
    r"(?P<url>https?://[^\s<>|]+[^\s<>|.,;:!?)'\"])"
    r"|(?<![\w@])@(?P<at>[\w.-]*\w)"
    r"|(?<![\w#])#(?P<hash>[\w-]+)"
)
_SPECIAL = re.compile(r"<(?P<kind>[@#!]?)(?P<what>[^<>|]+)(?:\|(?P<label>[^<>]*))?>")
_EVERYBODY = ("channel", "here", "everyone")


def typed(world: SlackWorld, author: SlackUser, text: str) -> str:
    """A text as Slack stores what a person typed: `@honk` becomes `<@U...>`, and so on."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    people = {one.name: one.id for one in world.users.values() if one.team is author.team}
    channels = {one.name: one.id for one in world.channels.values() if one.kind != "im"}

    def special(match: re.Match[str]) -> str:
        if url := match["url"]:
            return f"<{url}>"
        if name := match["at"]:
            if name in _EVERYBODY:
                return f"<!{name}>"
            return f"<@{people[name]}>" if name in people else match[0]
        name = match["hash"]
        return f"<#{channels[name]}|{name}>" if name in channels else match[0]

    return _TOKEN.sub(special, escaped)


def as_typed(world: SlackWorld, text: str) -> str:
    """A stored text as a person would type it, for a field to edit it in."""

    def plain(match: re.Match[str]) -> str:
        what = match["what"]
        if match["kind"] == "@" and what in world.users:
            return f"@{world.users[what].name}"
        if match["kind"] == "#" and what in world.channels:
            return f"#{world.channels[what].name}"
        return f"@{what}" if match["kind"] == "!" else what

    return unescaped(_SPECIAL.sub(plain, text))


def rich_text(text: str) -> list[Json]:
    """The block that Slack adds to what a person wrote."""
    elements: list[Json] = []
    end = 0
    for match in _SPECIAL.finditer(text):
        _add_text(elements, text[end : match.start()])
        elements.append(_element(match["kind"], match["what"], match["label"]))
        end = match.end()
    _add_text(elements, text[end:])
    if not elements:
        return []
    section = {"type": "rich_text_section", "elements": elements}
    return [{"type": "rich_text", "elements": [section]}]


def _element(kind: str, what: str, label: str | None) -> Json:
    if kind == "@":
        return {"type": "user", "user_id": what}
    if kind == "#":
        return {"type": "channel", "channel_id": what}
    if kind == "!":
        return {"type": "broadcast", "range": what}
    url = unescaped(what)
    return {"type": "link", "url": url} | ({"text": unescaped(label)} if label else {})


def _add_text(elements: list[Json], text: str) -> None:
    if text:
        elements.append({"type": "text", "text": unescaped(text)})
