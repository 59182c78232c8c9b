"""Slack's text format and blocks as HTML.

Outside contract: https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from html import escape
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markupsafe import Markup

from app.playground.slack.mrkdwn import unescaped

SLACK_EMOJI = {
    "white_check_mark": "✅",
    "x": "❌",
    "eyes": "👀",
    "rocket": "🚀",
    "tada": "🎉",
    "warning": "⚠️",
    "hourglass_flowing_sand": "⏳",
    "thumbsup": "👍",
    "+1": "👍",
    "-1": "👎",
    "heart": "❤️",
}
_SPECIAL = re.compile(r"<(?P<kind>[@#!]?)(?P<what>[^<>|]+)(?:\|(?P<label>[^<>]*))?>")
_CODE = re.compile(r"```\n?(?P<block>.+?)\n?```|`(?P<code>[^`\n]+)`", re.DOTALL)
_MARKS = (
    (re.compile(r"(?<![\w*])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![\w*])"), "strong"),
    (re.compile(r"(?<![\w_])_(?=\S)([^_\n]+?)(?<=\S)_(?![\w_])"), "em"),
    (re.compile(r"(?<![\w~])~(?=\S)([^~\n]+?)(?<=\S)~(?![\w~])"), "s"),
)
_EMOJI_NAME = re.compile(r":([a-z0-9_+-]+):")
_KEPT = re.compile("\x00(\\d+)\x00")


def mrkdwn(text: str, name_of: Callable[[str], str]) -> Markup:
    """A text in Slack's format. `name_of` gives the name of a user or channel by its id."""
    kept: list[str] = []

    def keep(html: str) -> str:
        kept.append(html)
        return f"\x00{len(kept) - 1}\x00"

    def special(match: re.Match[str]) -> str:
        return keep(_special(match, name_of))

    def code(match: re.Match[str]) -> str:
        inside, tag = match["block"] or match["code"], "pre" if match["block"] else "code"
        return keep(f"<{tag}>{_safe(inside)}</{tag}>")

    text = _SPECIAL.sub(special, text.replace("\x00", ""))
    html = _safe(_CODE.sub(code, text))
    for pattern, tag in _MARKS:
        html = pattern.sub(rf"<{tag}>\1</{tag}>", html)
    html = _EMOJI_NAME.sub(lambda match: SLACK_EMOJI.get(match[1], match[0]), html)
    html = "<br>".join(map(_quoted, html.split("\n")))
    while _KEPT.search(html):
        html = _KEPT.sub(lambda match: kept[int(match[1])], html)
    return Markup(html)  # noqa: S704 - every part was escaped above


def _safe(text: str) -> str:
    return escape(unescaped(text))


def _quoted(line: str) -> str:
    quote = re.fullmatch(r"&gt; ?(.*)", line)
    return f"<q>{quote[1]}</q>" if quote else line


def _special(match: re.Match[str], name_of: Callable[[str], str]) -> str:
    what, label = unescaped(match["what"]), match["label"]
    if match["kind"] == "@":
        return f'<b class="mention">@{escape(name_of(what))}</b>'
    if match["kind"] == "#":
        return f'<b class="mention">#{escape(name_of(what))}</b>'
    if match["kind"] == "!":
        return f'<b class="mention">@{escape(what.partition("^")[0])}</b>'
    shown = _safe(label) if label else escape(what)
    if urlsplit(what).scheme not in ("http", "https", "mailto"):
        return shown
    return f'<a href="{escape(what)}" rel="noopener noreferrer">{shown}</a>'


@cache
def _markdown_it() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def markdown(text: str) -> Markup:
    """The text of a `markdown` block. HTML in it is shown as text."""
    return Markup(_markdown_it().render(text))  # noqa: S704 - markdown-it escapes HTML
