"""Untrusted Markdown as plain text, reduced to what a reader sees on GitHub. Pure.

Instructions for a model hide where no reader looks: in comments, attributes, descriptions of
images, titles of links, cells that a table has no column for, formulas that print nothing,
invisible characters, letters too small to read. So the text is rendered
(`app/domain/github_markdown.py`) and read from the result: an allow-list of what is visible, not
a list of tricks. Source text that is not on the page is counted and reported.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser

from app.domain import formulas, sanitize
from app.domain.github_markdown import (
    MARK,
    MARK_END,
    drawn_as,
    left_out_note,
    plain_address,
    render,
)

_AROUND = {
    **dict.fromkeys(("em", "i", "var"), "*"),
    **dict.fromkeys(("strong", "b"), "**"),
    **dict.fromkeys(("del", "s", "strike"), "~~"),
    "q": '"',
    "sub": "~",
    "sup": "^",
}
_CODE = frozenset({"code", "kbd", "samp", "tt"})
_LOOSE = frozenset({"p", "div", "blockquote", "ul", "ol", "table", "details", "section", "dl"})
_TIGHT = frozenset({"summary", "dt", "dd", "caption", "figure", "figcaption", "tr", "li"})
_HEADINGS = {f"h{level}": "#" * level + " " for level in range(1, 7)}
# Font sizes relative to the surrounding text, in GitHub's and the browsers' style sheets.
_SIZES = {
    **dict.fromkeys(("sub", "sup"), 0.75),
    **dict.fromkeys(("small", "h6", *_CODE), 0.85),
    "rt": 0.5,
}
_READABLE = 0.4
_BLANKS = re.compile(r"[^\S\n]+")
_AROUND_BREAKS = re.compile(r" ?\n ?")
_KEPT = re.compile(rf"{MARK}(\d+){MARK_END}")
_TICKS = re.compile(r"`+")
_WORDS = re.compile(r"[^\W_]+")
_LETTER = re.compile(r"[^\W\d_]")
_MOST_TOLD = 12


@dataclass(frozen=True)
class VisibleText:
    """The visible text, and notes about hidden text for the context manifest."""

    text: str
    notes: tuple[str, ...]


def visible_text(text: str) -> str:
    """Return the visible text."""
    return see(text).text


def see(text: str) -> VisibleText:
    """Remove the characters that GitHub does not show."""
    source = text.replace("\r\n", "\n").replace("\r", "\n")
    rendered = render(source)
    reader = _VisibleTextReader()
    reader.feed(rendered.html)
    reader.close()
    # Addresses, too, can hold invisible characters, so the whole is read, not only its words.
    shown = sanitize.without_invisible(reader.text())
    left_out = [f"{what} was left out" for what in (*rendered.left_out, *reader.left_out)]
    if formulas.LEFT_OUT in shown and formulas.LEFT_OUT not in text:
        left_out.append("a formula was left out")
    hidden = _hidden(source, shown, rendered.syntax)
    return VisibleText(shown, tuple(dict.fromkeys([*left_out, *hidden])))


def _hidden(source: str, shown: str, syntax: tuple[str, ...]) -> list[str]:
    """The words and characters of the source that the page does not show."""
    notes = []
    readable = sanitize.without_invisible(html.unescape(source))
    allowed = Counter(_words(shown))
    allowed.update(word for part in syntax for word in _words(html.unescape(part)))
    missing = []
    for word in _words(readable):
        if allowed[word]:
            allowed[word] -= 1
        elif _LETTER.search(word):
            missing.append(word)
    if missing:
        more = f" and {len(missing) - _MOST_TOLD:,} more" if len(missing) > _MOST_TOLD else ""
        words = sanitize.fit(" ".join(missing[:_MOST_TOLD]), 100)
        notes.append(f"hidden text removed: {words}{more}")
    invisible = len(html.unescape(source)) - len(readable)
    if invisible:
        notes.append(
            f"hidden text removed: {invisible:,} invisible character{'s' * (invisible > 1)}"
        )
    return notes


def _words(text: str) -> list[str]:
    return _WORDS.findall(text)


@dataclass
class _Prefix:
    """The prefixes for a quote's or item's first line and the other lines."""

    first: str
    rest: str
    is_item: bool = False
    used: bool = False

    def take(self) -> str:
        taken, self.used = self.rest if self.used else self.first, True
        return taken


class _VisibleTextReader(HTMLParser):
    """Converts rendered HTML to lines with just enough Markdown to distinguish headings, lists,
    quotes, code, tables and links.

    Code waits in `_kept` until its paragraph ends, so that it is not searched for formulas.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._pieces: list[str] = []
        self._kept: list[str] = []
        self._prefixes: list[_Prefix] = []
        self._open: list[tuple[str, int]] = []
        self._lists: list[int | None] = []
        self._links: list[str] = []
        self._language = ""
        self.left_out: list[str] = []
        self._sizes = [1.0]
        self._tables = 0
        self._row: list[str] = []
        self._rows = 0

    def text(self) -> str:
        """Return the whole text; call it once, at the end."""
        self._end_block()
        return "\n".join(self._lines).strip("\n")

    # -- the parser's calls

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "br":
            self._pieces.append("\n")
        elif tag == "hr":
            self._end_block()
            self._write("---", apart=True)
        elif tag == "img":
            self._pieces.append("[image]")
        elif tag == "input":
            if given.get("type") == "checkbox":
                self._pieces.append("[x] " if "checked" in given else "[ ] ")
        else:
            self._begin(tag, given)
            self._open.append((tag, len(self._pieces)))
            self._sizes.append(self._sizes[-1] * _SIZES.get(tag, 1.0))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1][0] == tag:
            _, begin = self._open.pop()
            self._sizes.pop()
            self._end(tag, begin)

    def handle_data(self, data: str) -> None:
        if self._sizes[-1] >= _READABLE:
            self._pieces.append(sanitize.without_invisible(data))

    # -- elements

    def _begin(self, tag: str, attributes: dict[str, str | None]) -> None:
        if tag in _LOOSE or tag in _TIGHT or tag in _HEADINGS or tag == "pre":
            self._end_block(apart=tag in _LOOSE and not self._lists)
        if tag == "blockquote":
            self._prefixes.append(_Prefix("> ", "> "))
        elif tag == "ul":
            self._lists.append(None)
        elif tag == "ol":
            start = attributes.get("start") or "1"
            self._lists.append(int(start) if start.isascii() and start.isdecimal() else 1)
        elif tag == "li":
            marker = self._marker()
            self._prefixes.append(_Prefix(marker, " " * len(marker), is_item=True))
        elif tag == "table":
            self._tables += 1
            self._rows = 0
        elif tag in _AROUND:
            self._pieces.append(_AROUND[tag])
        elif tag == "pre":
            self._language = attributes.get("lang") or ""
        elif tag == "a":
            self._links.append(attributes.get("href") or "")

    def _end(self, tag: str, begin: int) -> None:
        if tag in _CODE:
            self._end_code(begin)
        elif tag == "a":
            self._end_link(begin)
        elif tag in _AROUND:
            self._pieces.append(_AROUND[tag])
        elif tag == "pre":
            self._end_pre()
        elif tag in ("td", "th") and self._tables == 1:
            self._row.append(self._taken().replace("\n", " ").replace("|", "\\|"))
        elif tag == "tr" and self._tables == 1:
            self._end_row()
        elif tag in _HEADINGS:
            self._end_heading(tag)
        elif tag in _LOOSE or tag in _TIGHT:
            self._end_block()
        if tag in ("blockquote", "li"):
            self._prefixes.pop()
        elif tag in ("ul", "ol"):
            self._lists.pop()
        elif tag == "table":
            self._tables -= 1

    def _marker(self) -> str:
        number = self._lists[-1] if self._lists else None
        if number is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number}. "

    def _end_code(self, begin: int) -> None:
        if any(tag in _CODE or tag == "pre" for tag, _ in self._open):
            return
        code = self._restored("".join(self._pieces[begin:]))
        del self._pieces[begin:]
        if code.strip():
            is_formula = "".join(self._pieces[-1:]).endswith("$")
            quoted = _quoted(code)
            self._pieces.append(quoted if is_formula else self._keep(quoted))

    def _keep(self, text: str) -> str:
        self._kept.append(text)
        return f"{MARK}{len(self._kept) - 1}{MARK_END}"

    def _end_link(self, begin: int) -> None:
        words, href = "".join(self._pieces[begin:]), self._links.pop()
        if href and not href.startswith("#") and _WORDS.search(words) and words != href:
            self._pieces[begin:] = [f"[{words}]({plain_address(href)})"]

    def _end_pre(self) -> None:
        code = self._restored("".join(self._pieces)).strip("\n")
        self._pieces.clear()
        drawn = drawn_as(self._language, code)
        if drawn:
            self.left_out.append(drawn)
            self._write(left_out_note(drawn), apart=True)
            return
        if self._is_in_cell():
            self._pieces.append(self._keep(_quoted(code)))
            return
        marks = "`" * max(3, 1 + max(map(len, _TICKS.findall(code)), default=0))
        self._write(f"{marks}\n{code}\n{marks}", apart=True)

    def _end_heading(self, tag: str) -> None:
        words = "" if self._is_in_cell() else self._taken().replace("\n", " ")
        if words:
            self._write(_HEADINGS[tag] + words, apart=True)

    def _end_row(self) -> None:
        if self._row:
            self._write(f"| {' | '.join(self._row)} |", apart=not self._rows)
            if not self._rows:
                self._write("|" + "---|" * len(self._row))
            self._rows += 1
        self._row = []

    # -- blocks

    def _end_block(self, *, apart: bool = False) -> None:
        """End the current block, if any; within a table it becomes part of a line."""
        if self._is_in_cell():
            self._pieces.append(" ")
            return
        is_item = bool(self._lists) and not apart
        text = self._taken()
        if text:
            self._write(text, apart=not is_item)

    def _is_in_cell(self) -> bool:
        return self._tables > 0 and any(tag in ("td", "th") for tag, _ in self._open)

    def _taken(self) -> str:
        """The text of the block that ends here."""
        text = _AROUND_BREAKS.sub("\n", _BLANKS.sub(" ", "".join(self._pieces))).strip()
        self._pieces.clear()
        return self._restored(formulas.without_hidden(text))

    def _restored(self, text: str) -> str:
        return _KEPT.sub(lambda found: self._kept[int(found[1])], text)

    def _write(self, text: str, *, apart: bool = False) -> None:
        begins_item = any(prefix.is_item and not prefix.used for prefix in self._prefixes)
        if apart and self._lines and not begins_item:
            around = (prefix.rest for prefix in self._prefixes if prefix.used)
            self._lines.append("".join(around).rstrip())
        for line in text.split("\n"):
            before = "".join(prefix.take() for prefix in self._prefixes)
            self._lines.append((before + line).rstrip())


def _quoted(code: str) -> str:
    """Format inline code."""
    marks = "`" * (1 + max(map(len, _TICKS.findall(code)), default=0))
    room = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{marks}{room}{code}{room}{marks}"
