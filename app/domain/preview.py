"""Where a commit can be tried: the environments that someone's CI or host reports for it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from app.domain.values import Value

MAX_LINKS = 5
"""Environments shown for one commit; a monorepo has one for each of its sites."""

_MAX_URL = 500
_URL = re.compile(r"https://[A-Za-z0-9._~:/?#@!$&'*+,;=%()-]+")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+")
_PARENTHESES = str.maketrans({"(": "%28", ")": "%29", "'": "%27"})


class Preview(Value):
    """A page to try a commit on. `url` is safe in Markdown and HTML; the names are not."""

    environment: str
    url: str
    host: str
    reporter: str


class Reported(Value):
    """The newest status of one deployment, as GitHub has it. `status` is the status's id."""

    deployment: int
    status: int
    environment: str
    state: str
    url: str
    reporter: str


def current(reports: Sequence[Reported]) -> tuple[Preview, ...]:
    """The pages that can be tried now, by environment.

    In each environment only the newest deployment counts: one that failed, has ended or still runs
    has no page, and hides the older ones.
    """
    newest = {each.environment: each for each in sorted(reports, key=lambda one: one.deployment)}
    found = [_preview(newest[name]) for name in sorted(newest)]
    return tuple([each for each in found if each is not None][:MAX_LINKS])


def _preview(report: Reported) -> Preview | None:
    url = safe_url(report.url)
    if report.state != "success" or url is None:
        return None
    return Preview(
        environment=report.environment[:100],
        url=url,
        host=urlsplit(url).hostname or "",
        reporter=report.reporter[:100],
    )


def safe_url(text: str) -> str | None:
    """The URL if people may be sent there: HTTPS, a host name in ASCII, no credentials, at most 500
    characters.

    Characters that end a Markdown link are encoded.
    """
    if len(text) > _MAX_URL or not _URL.fullmatch(text):
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    if parts.username is not None or port == 0 or not _HOST.fullmatch(parts.hostname or ""):
        return None
    return text.translate(_PARENTHESES)
