"""Somebody's Markdown as a person sees it on GitHub, without what only a machine would read. Pure.

Instructions for a model hide where no reader looks: in comments, attributes, descriptions of
images, titles of links, definitions that nothing refers to, invisible characters. They go; what
people see stays, and code stays as it is. Which lines are code is told by a CommonMark parser
(https://spec.commonmark.org/0.31.2/), since a fence inside of an HTML block is none.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.domain.sanitize import visible

_LEAVES = frozenset({"paragraph_open", "heading_open", "hr", "fence", "code_block", "html_block"})
_CODE = frozenset({"fence", "code_block"})

_SPAN = re.compile(r"(?<!`)(`+)(?!`)(?:.*?[^`])??\1(?!`)", re.DOTALL)
_NOT_SHOWN = re.compile(
    r"<(script|style|template|title|textarea|noscript|xmp|iframe|noembed|noframes|object|svg|math)"
    r"\b.*?(?:</\1\s*>|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_DECLARED = re.compile(
    r"<\?.*?(?:\?>|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<![a-z].*?(?:>|\Z)", re.I | re.S
)
_TAG = re.compile(r"<(/?[a-zA-Z][a-zA-Z0-9-]*)((?:\s|/)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>")
_ADDRESS = re.compile(r"\s(href|src)\s*=\s*([\"']?)(https?://[^\s\"'<>]+)\2", re.IGNORECASE)
_DESTINATION = r"(<[^<>\n]*>|(?:\\.|[^\s()\\]|\([^\s()]*\))*)"
_TITLE = r"(?:\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|\((?:\\.|[^()\\])*\))"
_IMAGE = re.compile(
    rf"!\[(?:\\.|[^\[\]\\]|\[[^\[\]]*\])*\]\(\s*{_DESTINATION}(?:\s+{_TITLE})?\s*\)"
)
_LINK = re.compile(rf"(?<=\])\(\s*{_DESTINATION}\s+{_TITLE}\s*\)")
_NAMELESS = re.compile(rf"(?<!!)\[\s*\]\(\s*{_DESTINATION}\s*\)")
_IMAGE_OF = re.compile(r"!\[[^\[\]]*\](?=\[[^\[\]]+\])")
_FOOTNOTE = re.compile(
    r"^ {0,3}\[\^([^\]\s]+)\]:.*(?:\n(?! {0,3}\[\^)(?=.*\S).*|\n+(?: {4}|\t).*)*", re.MULTILINE
)
_FOOTNOTE_NAME = re.compile(r"\[\^([^\]\s]+)\]")
_PHANTOM = re.compile(
    r"\\[hv]?phantom\s*\{[^{}]*\}|\\(?:text)?color\s*\{\s*white\s*\}\s*\{[^{}]*\}"
)
_DIAGRAM_COMMENT = re.compile(r"^[ \t>*+-]*%%.*$\n?", re.MULTILINE)


def as_seen(text: str) -> str:
    """The text without what GitHub shows nobody; a comment inside of code goes too."""
    source = _without_unused_footnotes(visible(text))
    references: dict[str, Any] = {}
    parts = list(_parts(source.split("\n"), _parser().parse(source, references)))
    shown = "\n".join(part if is_code else _shown(part) for is_code, part in parts)
    prose = "\n".join(part for is_code, part in parts if not is_code).lower()
    kept = [
        f"[{name.lower()}]: {found['href']}"
        for name, found in references.get("references", {}).items()
        if f"[{name.lower()}]" in prose
    ]
    return "\n".join([shown, "", *kept] if kept else [shown])


def _without_unused_footnotes(text: str) -> str:
    """GitHub shows a footnote where something refers to it."""
    named = Counter(_FOOTNOTE_NAME.findall(text))
    return _FOOTNOTE.sub(lambda found: found.group() if named[found[1]] > 1 else "", text)


@cache
def _parser() -> MarkdownIt:
    """Blocks only: which lines belong to what."""
    parser = MarkdownIt("commonmark")
    parser.core.ruler.disable(["inline", "text_join"])
    return parser


def _parts(lines: list[str], tokens: list[Token]) -> Iterator[tuple[bool, str]]:
    """Whether it is code, and the lines of it. Definitions are in no block, and are left out."""
    at = 0
    for token in tokens:
        if token.type not in _LEAVES or token.map is None or token.map[1] <= at:
            continue
        first, last = max(token.map[0], at), token.map[1]
        if first > at:
            yield False, "\n" * (first - at - 1)
        block = "\n".join(lines[first:last])
        is_code = token.type in _CODE
        if is_code and token.info.strip().lower().startswith("mermaid"):
            block = _DIAGRAM_COMMENT.sub("", block)
        if is_code or token.type == "html_block":
            yield is_code, block if is_code else _without_tags(block)
        else:
            yield False, block
        at = last


def _shown(text: str) -> str:
    """One block of prose: what stands between its code spans."""
    text = _NOT_SHOWN.sub("", text)
    parts: list[str] = []
    at = 0
    for span in _SPAN.finditer(text):
        parts += [_prose(text[at : span.start()]), span.group()]
        at = span.end()
    return "".join([*parts, _prose(text[at:])])


def _prose(text: str) -> str:
    text = _without_tags(text)
    text = _IMAGE.sub(r"![](\1)", text)
    text = _IMAGE_OF.sub("![]", text)
    text = _LINK.sub(r"(\1)", text)
    text = _NAMELESS.sub("", text)
    text = _PHANTOM.sub("", text)
    return visible(html.unescape(text))


def _without_tags(text: str) -> str:
    """Elements that show nothing, and all attributes but addresses."""
    text = _DECLARED.sub("", _NOT_SHOWN.sub("", text))
    return _TAG.sub(lambda found: f"<{found[1]}{_addresses(found[2])}>", text)


def _addresses(attributes: str) -> str:
    return "".join(f' {name}="{to}"' for name, _, to in _ADDRESS.findall(attributes))
