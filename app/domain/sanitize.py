"""Makes untrusted text safe to send to GitHub. Pure.

The model's text and the repository's names are data: on GitHub they must not mention anyone,
close an issue, contain a command or one of Honk's markers, hide text, or load an image. The
function depends on the destination:

| where | function |
|---|---|
| a block of a comment or description | `markdown`: parsed, then rewritten |
| within a line of Markdown | `plain`: one line, every character shown literally |
| code | `code`, `fence`: unchanged, and closed |
| titles and commit messages, which GitHub shows as plain text | `title`, `message` |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from app.domain.markdown import code_block, code_span, render, render_line

_ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
# Invisible characters: format characters, fillers, and variation selectors, which could encode any
# text. Emoji selectors stay after characters that can be emoji.
_HIDDEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u2800\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?<![\u00a9-\U0001fbff0-9#*])[\ufe0e\ufe0f]|(?<=[\ufe0e\ufe0f])[\ufe0e\ufe0f]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_HALF = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile("\r\n|[\r\u2028\u2029]")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)

# Plain text has no escapes, so the characters themselves must change.
_MENTION = re.compile(r"(?<![A-Za-z0-9])@(?=\w)")
_REFERENCE = re.compile(r"(#|\bgh-)(?=\d)", re.IGNORECASE)
_CLOSED_BY_ADDRESS = re.compile(
    r"\b((?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\W{1,20})(?=https?://)", re.IGNORECASE
)
# https://docs.github.com/en/actions/how-tos/manage-workflow-runs/skip-workflow-runs, and the
# equivalents of other services.
_SKIPS_CI = re.compile(
    r"\[(\s*(?:(?:skip|no)[\s_-]*[a-z][\w.-]*|[a-z][\w.-]*[\s_-]*skip)\s*)\]", re.IGNORECASE
)
_SKIPS_AZURE = re.compile(r"\*\*\*(\s*no_ci\s*)\*\*\*", re.IGNORECASE)
_SKIPS_CHECKS = re.compile(r"(skip|request)-(checks)(?=\s*:)", re.IGNORECASE)
_TRAILER = re.compile(r"^[A-Za-z0-9-]+[^\S\n]*:(?!//)", re.MULTILINE)
_COMMAND = re.compile(
    r"^((?:[^\S\n]|[>*+-])*)(?:(/)(?=[a-z][\w-]*(?:[^\w/-]|\Z))|(bors|atlantis)(?=[^\S\n]+\S))",
    re.IGNORECASE | re.MULTILINE,
)
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
_ROUNDS = 16


def printable(text: str) -> str:
    """Remove invisible and control characters; end lines with a line feed.

    Lone surrogates, as in a name that is not UTF-8, cannot be sent: they become `�`.
    """
    return without_invisible(_whole(_LINE_END.sub("\n", text)))


def visible(text: str) -> str:
    """Remove hidden comments, invisible and control characters."""
    return without_invisible(_COMMENT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))


def without_invisible(text: str) -> str:
    """Remove characters without a glyph, and control characters."""
    return _CONTROL.sub("", _HIDDEN.sub("", text))


def markdown(text: str, *, limit: int) -> str:
    """Rewrite untrusted Markdown as a closed, inert block of at most `limit` characters."""
    return _fitting(render, printable(text).strip("\n").rstrip(), limit, "\n\n")


def plain(text: str, *, limit: int) -> str:
    """Escape untrusted text for use within a line of Markdown: no line break, no markup."""
    return _fitting(render_line, " ".join(printable(text).split()), limit, " ")


def title(text: str, *, limit: int) -> str:
    """One line of plain text: for titles, and the first line of a commit's message."""
    line = _harmless(" ".join(printable(text).split()))
    return line if len(line) <= limit else f"{line[: max(0, limit - 1)].rstrip()}…"[:limit]


def message(text: str, *, limit: int) -> str:
    """Plain text of several lines: for the message of a commit, whose trailers are Honk's own."""
    return fit(_without_trailers(_harmless(printable(text).strip())), limit)


def let_ci_run(text: str) -> str:
    """Remove the markers that skip workflows: required checks would stay pending."""
    text = _SKIPS_CI.sub(r"(\1)", text)
    text = _SKIPS_AZURE.sub(r"\1", text)
    return _SKIPS_CHECKS.sub(r"\1 \2", text)


def code(text: str, *, limit: int) -> str:
    """Inline code that its content cannot end."""
    return code_span(fit(" ".join(printable(text).split("\n")).strip(), limit))


def fence(text: str, *, limit: int, language: str = "") -> str:
    """A fenced block that its content cannot end; the middle is cut when it is too long."""
    text = _CONTROL.sub("", _whole(text.replace("\r\n", "\n").replace("\r", "\n")))
    return code_block(fit_middle(text, limit), language)


def _whole(text: str) -> str:
    return _HALF.sub("\N{REPLACEMENT CHARACTER}", text)


def _without_trailers(text: str) -> str:
    """Indent lines that git would read as trailers."""
    return _TRAILER.sub(r"  \g<0>", text)


def _harmless(text: str) -> str:
    """Defuse mentions, closing keywords and skip markers in plain text."""
    text = let_ci_run(text)
    text = _MENTION.sub("@" + _ZERO_WIDTH_SPACE, text)
    text = _REFERENCE.sub(rf"\1{_ZERO_WIDTH_SPACE}", text)
    text = _CLOSED_BY_ADDRESS.sub(rf"\1{_ZERO_WIDTH_SPACE}", text)
    return _COMMAND.sub(lambda found: f"{found[0]}{_ZERO_WIDTH_SPACE}", text)


def _fitting(write: Callable[[str], str], text: str, limit: int, joint: str) -> str:
    """As much of the text as fits once it is rewritten; a cut is marked.

    Cut the input, since a cut in the output could leave a fence open.
    """
    if len(text) <= limit and len(written := write(text)) <= limit:
        return written
    keep = min(len(text), limit)
    for _ in range(_ROUNDS):
        note = f"{joint}… ({len(text) - keep:,} more characters)"
        note = note if limit > 2 * len(note) else ""
        written = write(text[:keep])
        if len(written) + len(note) <= limit:
            return written + note if written else written
        keep = min(keep - 1, int(keep * 0.9 * (limit - len(note)) / len(written)))
        if keep <= 0:
            break
    return ""


def fit(text: str, limit: int) -> str:
    """At most `limit` characters; a cut is marked."""
    if len(text) <= limit:
        return text
    tail = f"… ({len(text) - limit:,} more characters)"
    return text[: max(0, limit - len(tail))] + tail if limit > len(tail) else text[:limit]


def fit_middle(text: str, limit: int) -> str:
    """At most about `limit` characters, keeping head and tail; a cut is marked."""
    if len(text) <= limit:
        return text
    note = f"\n… {len(text) - limit:,} characters left out …\n"
    head = max(0, (limit - len(note)) // 3)
    tail = max(0, limit - len(note) - head)
    return text[:head] + note + text[len(text) - tail :]


def redact(text: str, secrets: Iterable[str]) -> str:
    """Redact the given values and anything that looks like a token."""
    for secret in secrets:
        if len(secret) >= 8:
            text = text.replace(secret, _REDACTED)
    for shape in _SHAPES:
        text = shape.sub(_REDACTED, text)
    return text
