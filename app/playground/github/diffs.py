"""Lines of a diff: where review comments may be placed, and where later pushes move them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .git import ChangedPath

Side = Literal["LEFT", "RIGHT"]
_HEADER = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True)
class DiffLine:
    """One line of a patch; `position` counts from 1 below the first header, headers too."""

    text: str
    position: int
    hunk: int
    left: int | None
    right: int | None

    def number(self, side: Side) -> int | None:
        """Its line number in the base (LEFT) or the head (RIGHT)."""
        return self.left if side == "LEFT" else self.right


def read_patch(patch: str) -> list[DiffLine]:
    """The lines of a patch as GitHub shows it; headers have no number on either side."""
    lines: list[DiffLine] = []
    hunk, left, right = -1, 0, 0
    for position, text in enumerate(patch.split("\n")):
        header = _HEADER.match(text)
        if header:
            hunk, left, right = hunk + 1, int(header[1]), int(header[2])
            lines.append(DiffLine(text, position, hunk, None, None))
        elif text.startswith("+"):
            lines.append(DiffLine(text, position, hunk, None, right))
            right += 1
        elif text.startswith("-"):
            lines.append(DiffLine(text, position, hunk, left, None))
            left += 1
        elif text.startswith("\\"):
            lines.append(DiffLine(text, position, hunk, None, None))
        else:
            lines.append(DiffLine(text, position, hunk, left, right))
            left, right = left + 1, right + 1
    return lines


def find_line(lines: list[DiffLine], side: Side, number: int) -> DiffLine | None:
    """The line of the diff with this number on this side."""
    return next((line for line in lines if line.number(side) == number), None)


def at_position(lines: list[DiffLine], position: int) -> DiffLine | None:
    """The line of the diff at this position, unless a header is there."""
    found = next((line for line in lines if line.position == position), None)
    return found if found and (found.left or found.right) else None


def hunk_until(lines: list[DiffLine], last: DiffLine) -> str:
    """The hunk of a line from its header down to that line."""
    texts = [
        line.text for line in lines if line.hunk == last.hunk and line.position <= last.position
    ]
    return "\n".join(texts)


def follow_line(changes: list[ChangedPath], path: str, number: int) -> tuple[str, int] | None:
    """Where a line of a file is after these changes; None when they changed it."""
    change = next((one for one in changes if path in (one.previous, one.path)), None)
    if change is None:
        return path, number
    if change.patch is None:
        return (change.path, number) if change.status == "R" else None
    offset = 0
    for line in read_patch(change.patch):
        if line.left is not None and line.left > number:
            break
        if line.left == number:
            return None if line.right is None else (change.path, line.right)
        if line.left is None and line.right is not None:
            offset += 1
        elif line.right is None and line.left is not None:
            offset -= 1
    return change.path, number + offset
