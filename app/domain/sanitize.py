"""What leaves Honk says only what it should. Pure.

The model's words and the repository's names are data: on their way to GitHub they cannot mention
anybody, close an issue, hold a command or a marker of ours, hide text, or load a picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
# What has no shape: format characters, fillers, and the selectors of variants, which could spell
# anything. Those of emoji stay after what can be one.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u00a9-\U0001fbff0-9#*])[\ufe0e\ufe0f]|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"<(?=[/a-zA-Z!?])")
_IMAGE = re.compile(r"!+(?=\[)")
_MENTION = re.compile(r"@(?=[A-Za-z0-9])")
_CLOSING = re.compile(
    r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(:?\s+)"
    r"(?=(?:[\w.-]+/[\w.-]+)?#\d|GH-\d|https?://)",
    re.IGNORECASE,
)
_ISSUE_NUMBER = re.compile(r"#(?=\d)")
_COMMAND = re.compile(r"^((?:[^\S\n]|[>*+-])*)/(?=honk)", re.IGNORECASE | re.MULTILINE)
_SHAPES = (
    re.compile(r"gh[opsur]_[A-Za-z0-9._-]{36,}"),
    re.compile(r"github_pat_[A-Za-z0-9_]{22,}"),
    re.compile(r"sk-ant-[A-Za-z0-9_-]{16,}"),
    re.compile(r"xox[abpors]-[A-Za-z0-9-]{10,}"),
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S
    ),
    re.compile(r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
)
_REDACTED = "[redacted]"
_LONGEST_FENCE = 12


def visible(text: str) -> str:
    """Only what a person can see: hidden comments, invisible and control characters are gone."""
    return without_invisible(_COMMENT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def without_invisible(text: str) -> str:
    """Without characters that have no shape, and without control characters."""
    return _CONTROL.sub("", _HIDDEN.sub("", text))


def markdown(text: str, *, limit: int) -> str:
    """Somebody else's words as Markdown that only reads: at most `limit` characters."""
    text = visible(text)
    text = _TAG.sub("&lt;", text)
    text = _IMAGE.sub("", text)
    text = _MENTION.sub("@" + _ZERO_WIDTH_SPACE, text)
    text = _CLOSING.sub(lambda found: f"{found[1]}{found[2]}{_ZERO_WIDTH_SPACE}", text)
    text = _ISSUE_NUMBER.sub("#" + _ZERO_WIDTH_SPACE, text)
    text = _COMMAND.sub(r"\1\\/", text)
    return fit(_close_fences(fit(text.strip(), max(0, limit - _LONGEST_FENCE))), limit)


def plain(text: str, *, limit: int) -> str:
    """One line of somebody else's words, for a title or a table: no line break, no markup."""
    return fit(" ".join(markdown(text, limit=limit * 4).split()), limit)


def code(text: str, *, limit: int) -> str:
    """Inline code that cannot be broken out of."""
    line = " ".join(visible(text).split())
    return f"`{fit(line.replace('`', chr(0x2019)), limit).replace('|', chr(0x2223))}`"


def fence(text: str, *, limit: int, language: str = "") -> str:
    """A fenced block that cannot be broken out of, its middle left out when it is too long."""
    text = _CONTROL.sub("", text)
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    marks = "`" * (longest + 1)
    return f"{marks}{language}\n{fit_middle(text, limit)}\n{marks}"


def fit(text: str, limit: int) -> str:
    """At most `limit` characters; what was cut is said."""
    if len(text) <= limit:
        return text
    tail = f"… ({len(text) - limit:,} more characters)"
    return text[: max(0, limit - len(tail))] + tail if limit > len(tail) else text[:limit]


def fit_middle(text: str, limit: int) -> str:
    """At most about `limit` characters, keeping head and tail; what was cut is said."""
    if len(text) <= limit:
        return text
    note = f"\n… {len(text) - limit:,} characters left out …\n"
    head = max(0, (limit - len(note)) // 3)
    tail = max(0, limit - len(note) - head)
    return text[:head] + note + text[len(text) - tail :]


def redact(text: str, secrets: Iterable[str]) -> str:
    """Without the given values and without anything that has a token's shape."""
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, _REDACTED)
    for shape in _SHAPES:
        text = shape.sub(_REDACTED, text)
    return text


def _close_fences(text: str) -> str:
    """An open code fence would swallow what Honk itself writes below it."""
    open_mark = ""
    for line in text.split("\n"):
        found = re.match(r" {0,3}(`{3,10}|~{3,10})", line)
        if not found:
            continue
        if not open_mark:
            open_mark = found[1]
        elif line.strip().startswith(open_mark) and not line.strip().strip(open_mark[0]):
            open_mark = ""
    return f"{text}\n{open_mark}" if open_mark else text
