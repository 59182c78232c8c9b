"""The line with a commit's previews, in the pull request and the status comment."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.domain import sanitize
from app.domain.build import Build
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


def previews_block(
    previews: Sequence[Preview],
    sha: CommitSha,
    build: Build | None = None,
    public_url: str = "",
    qr: str = "",
) -> str:
    """The line between its markers, so that it can be updated; empty without anything to try.

    `public_url` is the base URL of Honk's pages, `qr` that of an image with the first address as a
    QR code, or empty.
    """
    links = [_link(each) for each in previews]
    if build is not None and build.files:
        links.append(_build_link(build, public_url))
    lines = [f"**Preview** of {short(sha)}: {' · '.join(links)}"] if links else []
    if build is not None and build.problem:
        lines.append(build.problem)
    if not lines:
        return ""
    if links and qr:
        lines.append(f"<details><summary>QR code</summary>\n\n![QR code]({qr})\n\n</details>")
    return "\n\n".join([_BEGIN, *lines, _END])


def _build_link(build: Build, public_url: str) -> str:
    names = ", ".join(each.name for each in build.files[:2])
    more = len(build.files) - 2
    text = sanitize.code(f"{names} and {more} more" if more > 0 else names, limit=250)
    size = megabytes(build.size)
    if build.command:
        made = f"built by Honk with {sanitize.code(build.command, limit=120)}"
        return f"[{text}]({public_url}/builds/{build.id}) ({size}, {made})"
    merged = ", merged with the base branch" if build.merged else ""
    by = f"built by [this workflow run]({build.workflow_url}){merged}"
    return f"[{text}]({public_url}/builds/{build.id}) ({size}, {by})"


def megabytes(size: int) -> str:
    """Bytes in the unit that stores show."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def not_offered(artifact: str, why: str) -> str:
    """Why an artifact is not offered; `why` completes the sentence."""
    named = sanitize.code(artifact, limit=120)
    return f"The artifact {named} is not offered: {sanitize.plain(why, limit=300)}."


def not_built(command: str, why: str) -> str:
    """Why there is nothing to try; `why` completes the sentence."""
    named = sanitize.code(command, limit=120)
    return f"{named} built nothing to try: {sanitize.plain(why, limit=300)}."


def deployment(number: int) -> str:
    """The description of a deployment on GitHub; at most 140 characters."""
    return f"What the workflow built from pull request #{number}"


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
