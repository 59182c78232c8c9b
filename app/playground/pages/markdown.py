"""Markdown as GitHub renders it: `#7`, `@login` and commits become links, scripts never run.

Outside contract: https://github.github.com/gfm/ and
https://docs.github.com/get-started/writing-on-github
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.tasklists import tasklists_plugin

_REFERENCE = re.compile(
    r"(?<![\w/#&@-])(?:(?P<repo>[\w.-]+/[\w.-]+))?#(?P<number>[1-9]\d{0,8})\b"
    r"|(?<![\w/@.`-])@(?P<login>[a-zA-Z\d](?:[a-zA-Z\d-]{0,38}))(?![\w/-])"
    r"|(?<![\w/@#.-])(?P<sha>[0-9a-f]{7,40})(?![\w-])"
)
_TAGS = {
    *("a", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "input", "ins", "kbd", "li", "ol"),
    *("p", "pre", "s", "samp", "strike", "strong", "sub", "summary", "sup", "table", "tbody"),
    *("td", "tfoot", "th", "thead", "tr", "tt", "ul", "var"),
}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "input": {"checked"},
    "ol": {"start"},
    "details": {"open"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_CLASSES = {
    "a": {"reference", "mention", "commit"},
    "div": {"scroll"},
    "ul": {"contains-task-list"},
    "li": {"task-list-item"},
    "td": {"left", "center", "right"},
    "th": {"left", "center", "right"},
}


@dataclass(frozen=True)
class Place:
    """The context of a text, and the targets of its references.

    `issues` are the numbers there are by `owner/name` in lower case, `commits` the full SHA by
    what a text may call it.
    """

    url: str = ""
    repository: str = ""
    logins: Collection[str] = ()
    issues: Mapping[str, Collection[int]] = field(default_factory=dict)
    commits: Mapping[str, str] = field(default_factory=dict)


def render(text: str, place: Place) -> str:
    """Sanitized HTML for untrusted text."""
    return _clean(_parser().render(text, {"place": place}), place)


def possible_commits(text: str) -> set[str]:
    """The parts of a text that may be a commit's SHA."""
    return {match["sha"] for match in _REFERENCE.finditer(text) if match["sha"]}


@lru_cache(4096)
def mentions(text: str) -> frozenset[str]:
    """The logins, in lower case, that a text mentions outside code."""
    found: set[str] = set()
    for block in _parser().parse(text, {"place": Place()}):
        for token in block.children or []:
            if token.type == "text":
                matches = _REFERENCE.finditer(token.content)
                found |= {match["login"].lower() for match in matches if match["login"]}
    return frozenset(found)


@lru_cache(4096)
def plain(text: str) -> str:
    """The plain text, on one line."""
    words = [
        token.content if token.type in ("text", "code_inline") else " "
        for block in _parser().parse(text, {"place": Place()})
        for token in [*(block.children or []), block]
        if token.type in ("text", "code_inline", "softbreak", "hardbreak", "inline")
    ]
    return " ".join("".join(words).split())


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("gfm-like", {"breaks": True}).use(tasklists_plugin)
    assert parser.linkify is not None
    # Or every `money.py` would lead to Paraguay.
    parser.linkify.set({"fuzzy_link": False, "fuzzy_email": False})
    parser.core.ruler.push("references", _link_references)
    parser.core.ruler.push("alignment", _name_alignment)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule("image", _image)
    return parser


def _table_open(*_: Any) -> str:
    return '<div class="scroll"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"


def _image(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
    """An image of another host is a link: the pages load nothing from outside."""
    token = tokens[at]
    source = str(token.attrGet("src") or "")
    words = renderer.renderInlineAsText(token.children, options, env)
    if _is_ours(source, env["place"]):
        token.attrSet("alt", words)
        return renderer.renderToken(tokens, at, options, env)
    shown = nh3.clean_text(words or source)
    return f'<a href="{nh3.clean_text(source)}">{shown}</a>'


def _is_ours(source: str, place: Place) -> bool:
    parts = urlsplit(source)
    if not parts.scheme and not parts.netloc:
        return True
    return bool(place.url) and source.startswith(place.url + "/")


def _name_alignment(state: StateCore) -> None:
    """A column's side as a class: the pages allow no style in an element."""
    for token in state.tokens:
        if token.type in ("td_open", "th_open") and "style" in token.attrs:
            side = str(token.attrs.pop("style")).removeprefix("text-align:")
            token.attrSet("class", side)


def _link_references(state: StateCore) -> None:
    place: Place = state.env["place"]
    for block in state.tokens:
        if block.children:
            block.children = _with_links(block.children, place)


def _with_links(tokens: Sequence[Token], place: Place) -> list[Token]:
    found: list[Token] = []
    depth = 0
    for token in tokens:
        depth += _opens_link(token)
        if token.type == "text" and not depth:
            found += _split(token, place)
        else:
            found.append(token)
    return found


def _opens_link(token: Token) -> int:
    if token.type == "html_inline":
        content = token.content.lower()
        return content.startswith(("<a ", "<a>")) - content.startswith("</a")
    return (token.type == "link_open") - (token.type == "link_close")


def _split(token: Token, place: Place) -> list[Token]:
    text, at = token.content, 0
    found: list[Token] = []
    for match in _REFERENCE.finditer(text):
        link = _target(match, place)
        if link is None:
            continue
        words, href, kind = link
        found.append(_text(text[at : match.start()], token.level))
        found.append(Token("link_open", "a", 1, {"href": href, "class": kind}))
        found.append(_text(words, token.level + 1))
        found.append(Token("link_close", "a", -1))
        at = match.end()
    if not found:
        return [token]
    return [*found, _text(text[at:], token.level)]


def _text(content: str, level: int) -> Token:
    return Token("text", "", 0, content=content, level=level)


def _target(match: re.Match[str], place: Place) -> tuple[str, str, str] | None:
    """The text, the URL and the kind of a reference; None for a broken one."""
    if match["login"]:
        login = match["login"]
        return (f"@{login}", f"/{login}", "mention") if login.lower() in place.logins else None
    if match["sha"]:
        sha = place.commits.get(match["sha"])
        return (sha[:7], f"/{place.repository}/commit/{sha}", "commit") if sha else None
    repository = match["repo"] or place.repository
    if int(match["number"]) not in place.issues.get(repository.lower(), ()):
        return None
    href = f"/{quote(repository)}/issues/{match['number']}"
    return match[0], href, "reference"


def _clean(html: str, place: Place) -> str:
    def keep(tag: str, name: str, value: str) -> str | None:
        return None if (tag, name) == ("img", "src") and not _is_ours(value, place) else value

    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        attribute_filter=keep,
        allowed_classes=_CLASSES,
        set_tag_attribute_values={"input": {"type": "checkbox", "disabled": ""}},
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
