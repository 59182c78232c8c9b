"""Which lines of a comment are a person's own words, shown as text. Pure.

What GitHub shows as code or as a quote, folds away, or does not show at all, is nobody's own word:
fenced and indented code, inline code, `<pre>` and `<code>`, lines that start with `>` and those
that continue such a line's paragraph, `<blockquote>`, `<details>`, HTML comments. Nor is the
message that is answered, which a mail program puts below the answer. Where it is unclear how
GitHub shows a line, it does not count.

The blocks follow https://spec.commonmark.org/0.31.2/ as far as that takes. The time is linear in
the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(
    r"(?P<lead> *(?:(?:[-*+]|\d{1,9}[.)]) +)*)(?P<fence>`{3,}(?!.*`)|~{3,})",
)
_HIDING = re.compile(r" {0,3}<(?P<what>!--|(?:pre|script|style|textarea)(?=[ >]|$))", re.I)
_SET_APART = re.compile(r" {0,3}<(?:details|blockquote)(?=[ >]|$)", re.I)
_OPENING = re.compile(r"<(?:details|blockquote)(?=[ >]|$)", re.I)
_CLOSING = re.compile(r"</(?:details|blockquote)(?=[ >]|$)", re.I)
_QUOTE = re.compile(r" *(?:(?:[-*+]|\d{1,9}[.)]) +)*>[> ]*")
_RULE = r"(?P<rule>[-*_])(?: *(?P=rule)){2,} *$"
_ENDS_A_PARAGRAPH = re.compile(rf" {{0,3}}(?:#{{1,6}}(?: |$)|(?:[-*+]|1[.)]) +\S|{_RULE})")
_NO_PARAGRAPH = re.compile(rf"#{{1,6}}(?: |$)|```|~~~|{_RULE}|$")
_INDENTED = re.compile(r" {4}")
_INLINE = re.compile(
    r"\\[\\`<]|(?P<ticks>`+)|(?P<comment><!--)|(?P<code><code(?=[\s>]))", re.I | re.A
)
_TICKS = re.compile(r"`+")
_COMMENT_END = re.compile("-->")
_CODE_END = re.compile("</code>", re.I | re.A)

# What mail programs write above the message that is answered. GitHub keeps it in the comment, with
# the address as `***@***.***`.
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
class Spoken:
    """The numbers (from 0) of the lines that begin with a person's own words, in order.

    `end` is the number of the line where the message that is answered begins, or of all lines.
    """

    lines: list[int]
    end: int


def own_words(lines: Sequence[str]) -> Spoken:
    """Find the person's own words among a comment's lines."""
    shown = list(_shown(lines))
    end = _answered_message(lines, shown)
    spoken = [n for paragraph in _paragraphs(shown[:end]) for n in paragraph.spoken_lines()]
    return Spoken(spoken, end)


@dataclass(frozen=True)
class _Paragraph:
    """Lines that stand together and are neither quoted nor in a block of code."""

    first: int
    lines: list[str]

    def spoken_lines(self) -> Iterator[int]:
        """The numbers of the lines whose beginning is neither inline code nor hidden."""
        spans = _hidden_spans("\n".join(self.lines))
        span = next(spans, None)
        start = 0
        for offset, line in enumerate(self.lines):
            while span is not None and span[1] <= start:
                span = next(spans, None)
            if span is None or start <= span[0]:
                yield self.first + offset
            start += len(line) + 1


def _paragraphs(lines: list[str]) -> Iterator[_Paragraph]:
    together: list[str] = []
    for number, shown in enumerate([*lines, None]):
        if shown:
            together.append(shown)
        elif together:
            yield _Paragraph(number - len(together), together)
            together = []


def _shown(lines: Sequence[str]) -> Iterator[str]:
    """Each line as it takes part in a paragraph: empty when it is blank, quoted, code or hidden."""
    closer: re.Pattern[str] | None = None
    depth = 0
    before = ""
    continued = False
    for raw in lines:
        if closer is None and not raw.strip():
            before, continued = "", False
            yield before
            continue
        line = raw.expandtabs(4)
        start = 0
        apart = closer is not None
        if closer is None:
            closer, start = _opened_block(line)
            quoted, continued = _quoted(line, continued) if closer is None else (False, False)
            apart = closer is not None or quoted or _is_code(line, before)
            if closer is None:
                depth, folded = _set_apart(line, depth)
                apart = apart or folded
        if closer is not None and closer.search(line, start):
            closer = None
        before = "" if apart or depth or not raw.strip() else raw
        yield before


def _quoted(line: str, continued: bool) -> tuple[bool, bool]:
    """Whether the line is quoted, and whether the next one may continue its paragraph.

    `continued` says the latter of the line before.
    """
    quote = _QUOTE.match(line)
    if quote:
        return True, not _NO_PARAGRAPH.match(line, quote.end())
    goes_on = continued and bool(line.strip()) and not _ENDS_A_PARAGRAPH.match(line)
    return goes_on, goes_on


def _is_code(line: str, before: str) -> bool:
    """Indented code; an indented line below a paragraph still belongs to that."""
    return bool(not before and _INDENTED.match(line))


def _set_apart(line: str, depth: int) -> tuple[int, bool]:
    """How many folds and quotes in HTML are open below the line, and whether it is in one."""
    if not depth and not _SET_APART.match(line):
        return 0, False
    opened = len(_OPENING.findall(line))
    closed = len(_CLOSING.findall(line))
    return max(0, depth + opened - closed), True


def _opened_block(line: str) -> tuple[re.Pattern[str] | None, int]:
    """What ends the block that this line opens, and from where on the line it may do so."""
    fence = _FENCE.match(line)
    if fence:
        deep = len(fence["lead"]) + 3
        tick, length = fence["fence"][0], len(fence["fence"])
        return re.compile(rf"^ {{0,{deep}}}{tick}{{{length},}} *$"), len(line)
    hiding = _HIDING.match(line)
    if hiding:
        what = hiding["what"]
        return _COMMENT_END if what == "!--" else re.compile(f"</{what}>", re.I), hiding.end()
    return None, 0


def _hidden_spans(text: str) -> Iterator[tuple[int, int]]:
    """From where to where a paragraph is inline code or an HTML comment, in order."""
    runs: dict[int, list[int]] = defaultdict(list)
    for run in _TICKS.finditer(text):
        start, end = run.span()
        runs[end - start].append(start)
    unclosed: set[re.Pattern[str]] = set()
    at = 0
    while found := _INLINE.search(text, at):
        begin, at = found.span()
        what = found.lastgroup
        if what == "ticks":
            same = runs[at - begin]
            index = bisect_left(same, at)
            end = same[index] + at - begin if index < len(same) else -1
        elif what:
            closer = _COMMENT_END if what == "comment" else _CODE_END
            closing = None if closer in unclosed else closer.search(text, at)
            end = closing.end() if closing else -1
            if not closing:
                unclosed.add(closer)
        else:
            continue
        if end >= 0:
            yield begin, end
            at = end


def _answered_message(lines: Sequence[str], shown: list[str]) -> int:
    """The number of the line where the message that is answered begins, or of all lines.

    A message whose lines all start with `>` ends nothing while own words follow on it.
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
    """Where "On <date> <somebody> wrote:", which ends on this line, begins; it may be wrapped."""
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
    """Whether the next line that is not blank starts with `>`; there may be one or two blank."""
    following = next((line for line in lines[number : number + 3] if line.strip()), "")
    return bool(_QUOTE.match(following.expandtabs(4)))
