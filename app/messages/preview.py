"""The line with a commit's previews, in the pull request and the status comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.preview import Preview
from app.domain.values import CommitSha, short
from app.messages.formatting import COMMENT_LIMIT, shown_login

_BEGIN = "<!-- honk:preview -->"
_END = "<!-- honk:preview-end -->"
# Only a marker on a separate line counts; names from the repository are within lines.
_BLOCK = re.compile(
    r"\n*^<!-- honk:preview -->[ \t]*$.*?^<!-- honk:preview-end -->[ \t]*$\n*", re.S | re.M
)
_VERDICT_END = "<!-- honk:verdict-end -->"


def previews_block(previews: Sequence[Preview], sha: CommitSha) -> str:
    """The line between its markers, so that it can be updated; empty without previews."""
    if not previews:
        return ""
    links = " · ".join(_link(each) for each in previews)
    return f"{_BEGIN}\n\n**Preview** of {short(sha)}: {links}\n\n{_END}"


def with_previews(text: str, block: str) -> str:
    """The text with this block in place of the one it has; an empty block removes it.

    A new one goes below the verdict of a pull request, or the headline of a status comment. A text
    without room for it stays as it is.
    """
    if not block and _BEGIN not in text:
        return text
    # What people edited in a browser has other line ends.
    without = _BLOCK.sub("\n\n", text.replace("\r\n", "\n"), count=1).lstrip("\n")
    if not block:
        return without
    parts = without.split("\n\n")
    parts.insert(_place(parts), block)
    whole = "\n\n".join(parts)
    return whole if len(whole) <= COMMENT_LIMIT else without


def _place(parts: Sequence[str]) -> int:
    stripped = [part.strip() for part in parts]
    if _VERDICT_END in stripped:
        return stripped.index(_VERDICT_END) + 1
    return next((at for at, part in enumerate(stripped, 1) if part.startswith("**")), 0)


def _link(preview: Preview) -> str:
    environment = sanitize.plain(preview.environment, limit=100)
    by = f"reported by {shown_login(preview.reporter)}"
    return f"[`{preview.host}`]({preview.url}) ({f'{environment}, ' if environment else ''}{by})"
