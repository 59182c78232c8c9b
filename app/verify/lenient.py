"""Repairs reports that contain characters their format forbids.

pytest before 8, older Surefire and many hand-written reporters write color codes, null bytes and
HTML entities as they are, and a strict parser would reject the whole report. Repairs must not
join, move or remove markup: they replace single characters, or color codes, which cannot hold
markup.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
MAX_REPAIRED = 2_000_000
"""Above this many ampersands none is repaired: repairs need memory for each."""

_COLOR = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")
# https://www.w3.org/TR/xml/#charsets; half a surrogate cannot be in decoded text.
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NO_JSON = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SUSPECT = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|\]\]>"
    r"|&(?:#(?:x(?P<hex>[0-9a-fA-F]+)|(?P<decimal>[0-9]+));|(?P<named>(?:amp|lt|gt|quot|apos);)?)",
    re.DOTALL,
)


def xml_text(report: bytes) -> str:
    """Remove what XML forbids, as a character or as a numeric reference."""
    text = report.decode("utf-8", errors="replace").lstrip("\ufeff \t\r\n")
    if _NO_XML.search(text):
        text = _NO_XML.sub(REPLACEMENT, _COLOR.sub("", text))
    if "]]>" in text or 0 < text.count("&") <= MAX_REPAIRED:
        text = _SUSPECT.sub(_repaired, text)
    return text


def _repaired(found: re.Match[str]) -> str:
    whole = found[0]
    if whole == "]]>":
        return "]]&gt;"
    if whole[0] == "<" or found["named"]:
        return whole
    digits = found["hex"] or found["decimal"]
    if digits is None:
        return "&amp;"
    digits = digits.lstrip("0") or "0"
    number = int(digits, 16 if found["hex"] else 10) if len(digits) <= 7 else -1
    return whole if _may_stand(number) else REPLACEMENT


def _may_stand(number: int) -> bool:
    if number in (0x9, 0xA, 0xD):
        return True
    return 0x20 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0xFFFF < number < 0x110000


def json_bytes(report: bytes) -> bytes:
    """The report in UTF-8 without raw control characters, as JSON requires."""
    try:
        report.decode("utf-8")
    except UnicodeDecodeError:
        report = report.decode("utf-8", errors="replace").encode()
    return _NO_JSON.sub(REPLACEMENT.encode(), report.replace(b"\t", b" "))
