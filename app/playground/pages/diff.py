"""A patch as rows for display: each line with its side and kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from app.playground.github.git import ChangedPath

MOST_LINES = 800
"""Rows of one file that are shown; the rest is cut."""

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)")
_STATUS = {"A": "added", "D": "deleted", "R": "renamed", "C": "copied", "T": "changed kind"}


@dataclass(frozen=True)
class Row:
    """One row; `old` and `new` are the line's numbers on the sides that have it."""

    kind: Literal["hunk", "add", "del", "same", "note"]
    text: str
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True)
class ShownFile:
    """One file of a diff."""

    path: str
    previous: str | None
    status: str
    additions: int
    deletions: int
    rows: list[Row]
    is_cut: bool
    is_binary: bool

    @property
    def anchor(self) -> str:
        """A name for this file within the page."""
        return "file-" + re.sub(r"[^\w-]", "-", self.path)


def shown(change: ChangedPath) -> ShownFile:
    """A file as it is shown."""
    rows = list(_rows(change.patch or ""))
    return ShownFile(
        path=change.path,
        previous=change.previous,
        status=_STATUS.get(change.status[:1], ""),
        additions=change.additions,
        deletions=change.deletions,
        rows=rows[:MOST_LINES],
        is_cut=len(rows) > MOST_LINES,
        is_binary=change.patch is None and not change.additions and not change.deletions,
    )


def _rows(patch: str) -> Iterator[Row]:
    old = new = 0
    for line in patch.split("\n") if patch else []:
        sign, text = line[:1], line[1:]
        if match := _HUNK.match(line):
            old, new = int(match[1]), int(match[2])
            yield Row("hunk", line)
        elif sign == "+":
            yield Row("add", text, new=new)
            new += 1
        elif sign == "-":
            yield Row("del", text, old=old)
            old += 1
        elif sign == "\\":
            yield Row("note", text.strip())
        else:
            yield Row("same", text, old, new)
            old, new = old + 1, new + 1
