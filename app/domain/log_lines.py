"""Picks the lines of a command's output that matter most. Pure."""

from __future__ import annotations

import re

_MATTERS = re.compile(
    r"\b(?:error|errors|err!|fatal|failed|failure|panic|exception|traceback|denied|refused|missing"
    r"|unresolved|unsupported|conflict|cannot|can't|could not|couldn't|no such|not found|no module"
    r"|no matching|unable to|undefined|timed out)\b|\bE:|[a-z]Error\b",
    re.IGNORECASE,
)
_FIRST = 8
_LAST = 6
_LONGEST = 300


def that_matter(output: str) -> str:
    """The first lines that mention an error and the last lines; `…` marks omissions.

    The first error is more often the cause than later ones.
    """
    lines = [line.rstrip() for line in output.split("\n")]
    full = [number for number, line in enumerate(lines) if line]
    telling = [number for number in full if _MATTERS.search(lines[number][:_LONGEST])][:_FIRST]
    kept = sorted({*telling, *full[-_LAST:]})
    shown: list[str] = []
    before = full[0] - 1 if full else -1
    for number in kept:
        if any(lines[between] for between in range(before + 1, number)):
            shown.append("…")
        line = lines[number]
        shown.append(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
        before = number
    return "\n".join(shown)
