"""Markdown as GitHub renders it, reduced to the HTML that a page shows. Pure.

Two real parsers make sure that Honk reads what people see: a CommonMark parser with
GitHub's extensions (https://github.github.com/gfm/, footnotes and task lists), then an HTML5 parser
that keeps an allow-list of elements, as GitHub's own sanitizer does
(https://github.com/gjtorikian/html-pipeline). The output is well-formed and has only the
elements and attributes listed here.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import unescapeAll
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.tasklists import tasklists_plugin

from app.domain import formulas

MARK, MARK_END = "\ue000", "\ue001"
"""Delimit line numbers in marked HTML. Both are removed from the input first."""

_SHOWN_NAMES = """
a b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr
i img input kbd li ol p pre q rt s samp section small strike strong sub summary sup table tbody td
tfoot th thead tr tt ul var
"""
# Browsers don't show the text in these, or turn it around (bdo). Of every other element that isn't
# listed above, GitHub's sanitizer drops the tags and keeps the text.
_WITHOUT_TEXT_NAMES = """
applet audio bdo canvas datalist iframe math meter noembed noframes noscript object option
progress rp script select style svg template textarea title video xmp
"""
_SHOWN = frozenset(_SHOWN_NAMES.split())
_SHOWS_NO_TEXT = frozenset(_WITHOUT_TEXT_NAMES.split())
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src"},
    "input": {"checked", "type"},
    "ol": {"start"},
    "pre": {"lang"},
}

# GitHub shows these tags as text: https://github.github.com/gfm/#disallowed-raw-html-extension-
_FILTERED_TAG = re.compile(
    r"<(?=/?(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)(?=[\s/>]|$))",
    re.IGNORECASE,
)
# GitHub draws these.
# https://docs.github.com/get-started/writing-on-github/working-with-advanced-formatting/creating-diagrams
_DRAWN = {
    "mermaid": "a Mermaid diagram",
    "geojson": "a GeoJSON map",
    "topojson": "a TopoJSON map",
    "stl": "an STL model",
}
_LANGUAGE = re.compile(r"[A-Za-z0-9+#._-]{1,20}")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)")
_ADDRESS = re.compile(r"\b(?:href|src)\s*=\s*[\"']?([^\s\"'>]+)", re.IGNORECASE)
# Attribute names, and the values of layout attributes.
_LAYOUT = re.compile(
    r"\s(?:alt|class|dir|href|id|lang|name|rel|src|srcset|style|target|title)(?=\s*=)"
    r"|\s(?:align|border|checked|colspan|disabled|height|open|rowspan|start|type|width)\b"
    r"(?:\s*=\s*[\"']?[\w%]{1,8}[\"']?(?=[\s/]|$))?",
    re.IGNORECASE,
)
# Elements that may span paragraphs, and elements without an end tag.
_LEFT_OPEN_NAMES = """
blockquote br dd details div dl dt figcaption figure h1 h2 h3 h4 h5 h6 hr img input li ol p pre
section source summary table tbody td tfoot th thead tr ul wbr
"""
_LEFT_OPEN = frozenset(_LEFT_OPEN_NAMES.split())
_KNOWN = _SHOWN | _SHOWS_NO_TEXT | {"center", "font", "picture", "source", "span", "u", "wbr"}
_PART = re.compile(r"[/?&#=]+")
_WORD = re.compile(r"(?<![^\W_])[^\W\d_]{2,}(?![^\W_])")
_DEEPEST = 100


@dataclass(frozen=True)
class Rendered:
    """`left_out` names what GitHub draws and text cannot represent.

    `syntax` is invisible source that hides nothing: image addresses, names of elements and
    languages, and the source of what was left out.
    """

    html: str
    left_out: tuple[str, ...]
    syntax: tuple[str, ...]


@dataclass
class _Environment:
    """State shared by the rules of one rendering."""

    lower: str
    marks: bool
    left_out: list[str] = field(default_factory=list)
    syntax: list[str] = field(default_factory=list)


def render(text: str, *, marks: bool = False) -> Rendered:
    """Render as GitHub would. With `marks`, each line's number precedes its text.

    A line that begins inside a tag or a comment has no mark; the elements around the other marks
    show how their lines appear.
    """
    text = text.replace(MARK, "\ufffd").replace(MARK_END, "\ufffd")
    ours = _Environment(text.lower(), marks)
    parsed = nh3.clean(
        _parser().render(text, {"ours": ours}),
        tags=set(_SHOWN),
        clean_content_tags=set(_SHOWS_NO_TEXT),
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    return Rendered(parsed, tuple(dict.fromkeys(ours.left_out)), tuple(ours.syntax))


def drawn_as(language: str, content: str) -> str:
    """What GitHub draws in place of a block of code in this language; empty where it shows it."""
    if language.lower().startswith("math") and not formulas.is_seen(content):
        return "a formula"
    return next((d for name, d in _DRAWN.items() if language.lower().startswith(name)), "")


def left_out_note(drawn: str) -> str:
    return f"[{drawn} is left out here]"


def plain_address(address: str) -> str:
    """Cut an address where it starts to read like a sentence."""
    readable = unquote(address)
    for part in _PART.split(readable):
        if len(part.split()) > 1 or len(_WORD.findall(part)) > _MOST_WORDS:
            return readable.partition(part)[0] + "…"
    return address


_MOST_WORDS = 3


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("gfm-like", {"linkify": False, "maxNesting": _DEEPEST})
    parser.use(tasklists_plugin).use(footnote_plugin, inline=False, move_to_end=False)
    parser.core.ruler.before("inline", "mark_lines", _mark_lines)
    parser.core.ruler.after("inline", "close_elements", _close_elements)
    parser.core.ruler.push("footnotes", _footnotes)
    for name, rule in {
        "fence": _fence,
        "code_block": _code_block,
        "html_block": _html,
        "html_inline": _html,
        "image": _image,
        "footnote_ref": _footnote_ref,
        "footnote_reference_open": _footnote_open,
        "footnote_reference_close": _footnote_close,
    }.items():
        parser.add_render_rule(name, rule)
    return parser


# -- on the parsed text


def _mark_lines(state: StateCore) -> None:
    if not state.env["ours"].marks:
        return
    lines = state.src.split("\n")
    for token in state.tokens:
        if token.map is None or token.type not in ("inline", "html_block"):
            continue
        first = token.map[0]
        if token.type == "inline":
            # A paragraph may begin with lines of characters that are blank, but not to Markdown.
            first = next((n for n in range(*token.map) if lines[n].strip()), first)
        numbered = enumerate(token.content.split("\n"), first)
        token.content = "\n".join(f"{MARK}{n}{MARK_END}{line}" for n, line in numbered)


def _close_elements(state: StateCore) -> None:
    """Close at the paragraph's end what it opens, so that `List<code>` does not swallow the
    rest."""
    for token in state.tokens:
        if token.children:
            missing = _unclosed(token.children, state.env["ours"])
            token.children += [Token("html_inline", "", 0, content=f"</{m}>") for m in missing]


def _unclosed(tokens: Sequence[Token], ours: _Environment) -> list[str]:
    opened: list[str] = []
    for token in tokens:
        found = _TAG.match(token.content) if token.type == "html_inline" else None
        name = found[2].lower() if found else ""
        if (
            found is None
            or name in _LEFT_OPEN
            or _shown_as_text(token.content, ours) != token.content
        ):
            continue
        if not found[1]:
            opened.append(name)
        elif name in opened[-_DEEPEST:]:
            while opened.pop() != name:
                pass
    return opened[::-1]


def _footnotes(state: StateCore) -> None:
    """Put footnotes at the end; only those referenced from outside footnotes are shown."""
    text: list[Token] = []
    notes: dict[str, list[Token]] = {}
    label = ""
    for token in state.tokens:
        if token.type == "footnote_reference_open":
            label = token.meta["label"]
            notes.setdefault(label, [])
        if label:
            notes[label].append(token)
        else:
            text.append(token)
        if token.type == "footnote_reference_close":
            label = ""
    shown = list(dict.fromkeys(_referred(text)))
    for label in shown:
        shown += [each for each in _referred(notes.get(label, [])) if each not in shown]
    state.env["footnotes_shown"] = {label: number for number, label in enumerate(shown, 1)}
    for number, label in enumerate(shown, 1):
        first = next((token for token in notes.get(label, []) if token.children), None)
        if first is not None and first.children is not None:
            first.children.insert(0, Token("text", "", 0, content=f"[^{number}]: "))
    state.tokens = [*text, *(token for label in shown for token in notes.get(label, []))]


def _referred(tokens: Iterable[Token]) -> list[str]:
    children = (child for token in tokens for child in token.children or [])
    return [str(child.meta["label"]) for child in children if child.type == "footnote_ref"]


# -- on its way to HTML


def _fence(renderer: RendererHTML, tokens: Sequence[Token], at: int, _: Any, env: Any) -> str:
    token, ours = tokens[at], env["ours"]
    language = (unescapeAll(token.info).split() or [""])[0]
    drawn = drawn_as(language, token.content)
    if drawn:
        ours.left_out.append(drawn)
        ours.syntax += [language, token.content]
        return f"<p>{left_out_note(drawn)}</p>\n"
    if _LANGUAGE.fullmatch(language):
        ours.syntax.append(language)
    return f"<pre>\n{html.escape(token.content)}</pre>\n"


def _code_block(renderer: RendererHTML, tokens: Sequence[Token], at: int, *_: Any) -> str:
    return f"<pre>\n{html.escape(tokens[at].content)}</pre>\n"


def _html(renderer: RendererHTML, tokens: Sequence[Token], at: int, _: Any, env: Any) -> str:
    content, ours = tokens[at].content, env["ours"]
    for found in _TAG.finditer(content):
        ours.syntax += [found[2]] * (found[2].lower() in _KNOWN) + _LAYOUT.findall(found[3])
        ours.syntax += [plain_address(address) for address in _ADDRESS.findall(found[3])]
    return _shown_as_text(content, ours)


def _shown_as_text(content: str, ours: _Environment) -> str:
    """Escape the tags that GitHub shows as text; tags that hide content keep hiding it."""
    return _FILTERED_TAG.sub(
        lambda found: "<" if f"</{found[1].lower()}" in ours.lower else "&lt;", content
    )


def _image(renderer: RendererHTML, tokens: Sequence[Token], at: int, _: Any, env: Any) -> str:
    source = str(tokens[at].attrGet("src") or "")
    env["ours"].syntax.append(plain_address(source))
    return f'<img src="{html.escape(source)}">'


def _footnote_ref(renderer: RendererHTML, tokens: Sequence[Token], at: int, *rest: Any) -> str:
    shown = rest[1].get("footnotes_shown", {})
    return f"[^{shown.get(tokens[at].meta['label'], 0)}]"


def _footnote_open(*_: Any) -> str:
    return "<section>"


def _footnote_close(*_: Any) -> str:
    return "</section>\n"
