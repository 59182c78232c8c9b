"""Text to and from Slack's markup. Pure.

On its way to Slack, untrusted text may mention no one, link nowhere and imitate no markup:

| where | function |
|---|---|
| a `plain_text` object, which Slack shows literally | `plain` |
| a `mrkdwn` object, and the text of notifications | `escaped` |

https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

import re

from app.domain import sanitize

_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Slack notifies by `<!channel>`, which escaping defuses. Clients turn a typed `@channel` into that.
_LOUD = re.compile(r"@(?=(?:channel|here|everyone)\b)", re.IGNORECASE)
_MARKUP = re.compile(r"(?<![\w`*~])([*_~`])(?=\S)|(?<=\S)([*_~`])(?![\w`*~])")
_SCHEME = re.compile(r"\b(https?|mailto|slack|ftp):(?=\S)", re.IGNORECASE)
_TOKEN = re.compile(r"<([^<>\n]{1,3000})>")


def plain(text: str, *, limit: int) -> str:
    """Untrusted text for a `plain_text` object: literal, without invisible characters."""
    return _cut(_LOUD.sub("@" + _ZERO_WIDTH_SPACE, sanitize.printable(text).strip()), limit)


def line(text: str, *, limit: int) -> str:
    """The same on one line."""
    return plain(" ".join(sanitize.printable(text).split()), limit=limit)


def escaped(text: str, *, limit: int) -> str:
    """Untrusted text on one line of a `mrkdwn` object: no mention, no link, no emphasis.

    At most `limit` characters after escaping.
    """
    found = line(text, limit=limit)
    while True:
        written = _escape(found)
        if len(written) <= limit or not found:
            return written
        found = _cut(found, max(0, len(found) - max(1, len(written) - limit)))


def _escape(text: str) -> str:
    text = re.sub("[&<>]", lambda char: _ENTITIES[char[0]], text)
    text = _SCHEME.sub(rf"\1:{_ZERO_WIDTH_SPACE}", text)
    return _MARKUP.sub(lambda found: _ZERO_WIDTH_SPACE + found[0] + _ZERO_WIDTH_SPACE, text)


def link(url: str, text: str) -> str:
    """A link that Honk makes. `text` is untrusted; a URL that is not one becomes no link."""
    shown = escaped(text.replace("|", "¦"), limit=300)
    if not re.fullmatch(r"https?://[^\s<>|]{1,2000}", url):
        return shown
    return f"<{url.replace('&', '&amp;')}|{shown}>"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"[:limit]


def read(text: str) -> str:
    """What a person typed: Slack's tokens as plain text, entities decoded.

    `<https://x|label>` becomes `label (https://x)`, `<@U1>` stays a name (`@U1`), `<!here>` becomes
    `@here`.
    """
    text = _TOKEN.sub(lambda found: _token(found[1]), text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _token(inner: str) -> str:
    target, _, label = inner.partition("|")
    if target.startswith("@"):
        return f"@{label or target[1:]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or f"@{target[1:].partition('^')[0]}"
    target = target.removeprefix("mailto:")
    return (
        target
        if not label or label in (target, target.partition("://")[2])
        else (f"{label} ({target})")
    )
