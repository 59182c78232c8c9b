"""Makes text readable that a runner wrote without asking what its format forbids.

Colors in the reason of a skip, a null byte in a message, an entity of HTML: pytest before 8, older
Surefire and many a hand-written reporter put them down as they are, and a strict parser would then
read no test at all. Nothing here may join, move or take away markup: what is replaced is a
character, or a color code that cannot hold markup.
"""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"
MAX_REPAIRED = 2_000_000
"""Ampersands beyond which none is looked at: to repair them all could take memory without bound."""

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
    """The report without what no XML may hold, as a character or by its number."""
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
    """The report in UTF-8, without raw control characters: JSON demands both."""
    try:
        report.decode("utf-8")
    except UnicodeDecodeError:
        report = report.decode("utf-8", errors="replace").encode()
    return _NO_JSON.sub(REPLACEMENT.encode(), report.replace(b"\t", b" "))
