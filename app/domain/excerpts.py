"""The code around the lines that a stack trace names. Pure.

A trace comes from people or from logs, and may be of another machine, another version or invented:
it only chooses which lines of the repository the agent sees first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.domain.overview import named_files
from app.domain.values import Value

MAX_CHARACTERS = 6_000
"""Of all excerpts together: about 1,500 tokens."""
MOST_FRAMES = 6

_AROUND = 6
_MOST_NAMES = 50
"""Different names that are looked up: each is compared with every path of the repository."""
_MAX_TEXT = 200_000
_MAX_LINE = 300
_FRAME = re.compile(
    r"""File[ ]"(?P<python>[^"\n]{1,500})",[ ]line[ ](?P<python_line>\d{1,7})"""
    # Not the host and port of a URL. It begins only where a word does, for linear time.
    r"""|(?<![\w@.+/\\-])(?!//)(?P<path>[\w@.+/\\-]{1,300}\.[A-Za-z]\w{0,7}):(?P<line>\d{1,7})\b"""
)
"""Python's frames, and `path:line` as in those of most others."""


class Frame(Value):
    """A line of a file, from 1."""

    path: str
    line: int


def frames(text: str, paths: Iterable[str]) -> tuple[Frame, ...]:
    """The lines of the repository's files that a text names, in its order."""
    known = tuple(paths)
    found: dict[Frame, None] = {}
    named: dict[str, tuple[str, ...]] = {}
    for match in _FRAME.finditer(text[:_MAX_TEXT]):
        name = match["python"] or match["path"]
        if name not in named:
            if len(named) == _MOST_NAMES:
                break
            named[name] = tuple(named_files(name, known))
        if len(named[name]) == 1:
            line = int(match["python_line"] or match["line"])
            found[Frame(path=named[name][0], line=line)] = None
        if len(found) == MOST_FRAMES:
            break
    return tuple(found)


def has_frames(text: str) -> bool:
    """Whether the text has a line that looks like one of a stack trace."""
    return _FRAME.search(text[:_MAX_TEXT]) is not None


def excerpt(frame: Frame, content: str) -> str:
    """The lines around a frame with their numbers, its own marked; empty if it is not in the file.

    Lines are cut where they are very long.
    """
    lines = content.split("\n")
    if not 1 <= frame.line <= len(lines):
        return ""
    first, last = max(1, frame.line - _AROUND), min(len(lines), frame.line + _AROUND)
    shown = [
        f"{'>' if number == frame.line else ' '} {number:>5}  {lines[number - 1][:_MAX_LINE]}"
        for number in range(first, last + 1)
    ]
    return "\n".join([f"{frame.path}, line {frame.line}:", *shown])


def fitted(excerpts: Iterable[str], limit: int = MAX_CHARACTERS) -> str:
    """The excerpts that fit into the limit, in their order."""
    kept: list[str] = []
    for text in excerpts:
        if not text:
            continue
        if sum(map(len, kept)) + len(text) > limit:
            break
        kept.append(text)
    return "\n\n".join(kept)
