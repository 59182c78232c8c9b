"""A patch as files with colored lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from app.web.transcript import DiffRow

_HEAD = re.compile(r"diff --git (?P<old>\"?a/.*) (?P<new>\"?b/.*)")
_LONGEST_LINE = 400


@dataclass(frozen=True)
class PatchedFile:
    """One changed file. `left_out`: lines that are not in `rows`."""

    path: str
    rows: tuple[DiffRow, ...] = ()
    added: int = 0
    removed: int = 0
    left_out: int = 0


def files_of(patch: str) -> list[PatchedFile]:
    """The files of a patch by git; a line that was cut is taken as it is."""
    found: list[PatchedFile] = []
    lines: list[str] = []
    path = ""
    for line in [*patch.split("\n"), "diff --git a/ b/"]:
        head = _HEAD.fullmatch(line)
        if head is None:
            lines.append(line)
            continue
        if path:
            found.append(_file(path, lines))
        path, lines = head["new"].strip('"').removeprefix("b/"), []
    return found


def shortened(files: Sequence[PatchedFile], most: int) -> list[PatchedFile]:
    """The files with at most this many lines in all; the first files keep theirs."""
    shown = []
    for each in files:
        kept = each.rows[:most]
        most -= len(kept)
        shown.append(replace(each, rows=kept, left_out=len(each.rows) - len(kept)))
    return shown


def _file(path: str, lines: Iterable[str]) -> PatchedFile:
    rows: list[DiffRow] = []
    in_hunk = False
    for line in lines:
        in_hunk = in_hunk or line.startswith("@@")
        text = line[:_LONGEST_LINE]
        if line.startswith("@@"):
            rows.append(DiffRow("hunk", text))
        elif in_hunk and line[:1] in "+- " and line:
            kind = {"+": "add", "-": "del", " ": "same"}[line[0]]
            rows.append(DiffRow(kind, text[1:]))  # type: ignore[arg-type]
        elif line.startswith(("rename ", "Binary files", "new file", "deleted file", "[...")):
            rows.append(DiffRow("hunk", text))
    added = sum(row.kind == "add" for row in rows)
    return PatchedFile(path, tuple(rows), added, sum(row.kind == "del" for row in rows))
