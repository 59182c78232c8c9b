"""Finds the lines of a comment that are its author's own text. Pure.

Code, quotes, tables, folded text and hidden text do not count: fenced and indented code, inline
code, `<pre>` and `<code>`, lines that start with `>` and those that continue such a line's
paragraph, `<blockquote>`, `<details>`, HTML comments. Neither does the quoted message that a mail
program puts below a reply.

A line counts if the rendered page (`app/domain/github_markdown.py`) shows its start in a
paragraph, a list or an underlined heading, and in no other element.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

from app.domain.github_markdown import MARK, MARK_END, render

_OWN = frozenset({"p", "ul", "ol", "li", "h1", "h2", "em", "strong", "del", "s", "a"})
_VOID = frozenset({"br", "hr", "img", "input"})
_NUMBER = re.compile(rf"{MARK}(\d+){MARK_END}")
_QUOTE = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*>[> ]*")

# Headers that mail programs put above a quoted message. GitHub keeps them in the comment, with the
# address as `***@***.***`.
_WHEN = re.compile(r"\b(?:19|20)\d\d\b|\d{4}[年년]|\b\d{1,2}[:.h]\d\d\b")
_WHO = re.compile(
    r"@[^\s@<>]{1,250}[>)]"
    r"|\b(?:wrote|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|skrev|napisał(?:\(a\))?"
    r"|kirjoitti|napsal(?:\(a\))?|írta|a scris|yazdı|пишет|писал(?:\(а\))?|написал(?:\(а\))?|пише"
    r"|έγραψε)\b|写道|寫道|작성",
    re.I,
)
_ANSWERED_ENDS = re.compile(r"[:：]\*{0,2}\s*$")
_ANSWERED_MOST_LINES = 3
_ANSWERED_MOST_CHARACTERS = 400
_SEPARATOR = re.compile(
    r"\s*-{2,}\s*(?:original message|original appointment|forwarded message"
    r"|ursprüngliche nachricht|weitergeleitete nachricht|message d'origine|message transféré"
    r"|mensaje original|mensaje reenviado|mensagem original|messaggio originale"
    r"|oorspronkelijk bericht|ursprungligt meddelande|oprindelig meddelelse|opprinnelig melding"
    r"|alkuperäinen viesti|wiadomość oryginalna|původní zpráva|исходное сообщение|原始邮件"
    r"|원본 메시지)\s*-{2,}\s*$|\s*begin forwarded message:\s*$",
    re.I,
)
_FROM = re.compile(
    r"\s*\*{0,2}(?:from|von|de|da|van|från|fra|lähettäjä|od|от|kimden"
    r"|差出人|发件人|寄件者|보낸 사람)\s?[:：]",
    re.I,
)
_SENT = re.compile(
    r"\s*\*{0,2}(?:sent|date|gesendet|datum|envoyé|enviado(?: el| em)?|fecha|inviato|data|verzonden"
    r"|skickat|sendt|dato|lähetetty|wysłano|odesláno|отправлено|дата|gönderildi|送信日時|日付|发送时间"
    r"|日期|寄件日期|보낸 날짜)\s?[:：]",
    re.I,
)
_SENT_WITHIN = 3


@dataclass(frozen=True)
class AuthoredLines:
    """Return the sorted numbers (from 0) of the lines that begin with the author's own text.

    `end` is the line where the quoted message begins, or the number of lines.
    """

    lines: list[int]
    end: int


def authored_lines(lines: Sequence[str]) -> AuthoredLines:
    """Find the author's own text in a comment."""
    reader = _AuthoredLinesReader()
    reader.feed(render("\n".join(lines), marks=True).html)
    reader.close()
    shown = [line if n in reader.own and line.strip() else "" for n, line in enumerate(lines)]
    end = _answered_message(lines, shown)
    return AuthoredLines([number for number, line in enumerate(shown[:end]) if line], end)


class _AuthoredLinesReader(HTMLParser):
    """Collects the marks whose enclosing elements are all in `_OWN`."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.own: set[int] = set()
        self._others = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._others += tag not in _OWN and tag not in _VOID

    def handle_endtag(self, tag: str) -> None:
        self._others -= tag not in _OWN and tag not in _VOID

    def handle_data(self, data: str) -> None:
        if not self._others:
            self.own |= {int(number) for number in _NUMBER.findall(data)}


def _answered_message(lines: Sequence[str], shown: list[str]) -> int:
    """The number of the line where the quoted message begins, or the number of lines.

    A message quoted with `>` does not end the comment if the author's own text follows it.
    """
    last_own = max((n for n, line in enumerate(shown) if line), default=-1)
    for number, line in enumerate(shown):
        if not line:
            continue
        if _SEPARATOR.match(line) or (_FROM.match(line) and _is_sent(shown, number)):
            return number
        first = _answered_header(shown, number)
        if first is not None and (number == last_own or not _is_quoted(lines, number + 1)):
            return first
    return len(lines)


def _is_sent(shown: list[str], number: int) -> bool:
    return any(map(_SENT.match, shown[number + 1 : number + 1 + _SENT_WITHIN]))


def _answered_header(shown: list[str], number: int) -> int | None:
    """The first line of "On <date> <somebody> wrote:", which may be wrapped and ends on this
    line."""
    last = shown[number][-_ANSWERED_MOST_CHARACTERS:]
    if not _ANSWERED_ENDS.search(last[-8:]) or not _WHO.search(last):
        return None
    header = ""
    for first in range(number, max(-1, number - _ANSWERED_MOST_LINES), -1):
        header = f"{shown[first][:_ANSWERED_MOST_CHARACTERS]} {header}"
        if not shown[first] or len(header) > _ANSWERED_MOST_CHARACTERS:
            return None
        if _WHEN.search(header):
            return first
    return None


def _is_quoted(lines: Sequence[str], number: int) -> bool:
    """Whether the next nonblank line starts with `>`, after at most two blank lines."""
    following = next((line for line in lines[number : number + 3] if line.strip()), "")
    return bool(_QUOTE.match(following.expandtabs(4)))
