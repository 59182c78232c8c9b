"""The model's words as HTML that loads nothing and runs nothing."""

from __future__ import annotations

import re
from collections.abc import Collection

import nh3
from markupsafe import Markup

from app.domain.github_markdown import render
from app.domain.sanitize import fit_middle, redact, visible

_TAG_NAMES = """
a b blockquote br code dd del details dl dt em h1 h2 h3 h4 h5 h6 hr i kbd li ol p pre s strong
sub summary sup table tbody td th thead tr ul
"""
_TAGS = frozenset(_TAG_NAMES.split())
_BOX = re.compile(r"<input(?P<attributes>[^>]*)>")
_IMAGE = re.compile(r'<img src="([^"]*)">')


def as_html(text: str, secrets: Collection[str], *, limit: int) -> Markup:
    """Untrusted Markdown, cut in the middle to `limit` characters.

    Images become links: a page must not load from other hosts.
    """
    shown = redact(visible(fit_middle(text, limit)), secrets)
    html = _BOX.sub(_check_mark, render(shown).html)
    html = _IMAGE.sub(r'<a href="\1">[image]</a>', html)
    safe = nh3.clean(
        html,
        tags=set(_TAGS),
        attributes={"a": {"href"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return Markup(safe)  # noqa: S704 - nh3 has just sanitized it


def _check_mark(found: re.Match[str]) -> str:
    return "☑ " if "checked" in found["attributes"] else "☐ "
