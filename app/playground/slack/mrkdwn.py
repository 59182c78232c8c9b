"""Slack's text format: three characters are escaped."""

from __future__ import annotations


def unescaped(text: str) -> str:
    """Text without Slack's escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
