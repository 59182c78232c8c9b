"""The files of a change, before and after. Pure."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

NO_FILE = "000000"
PLAIN = "100644"
EXECUTABLE = "100755"
LINK = "120000"
SUBMODULE = "160000"
"""Git's modes: https://git-scm.com/docs/git-fast-import#_filemodify."""


@dataclass(frozen=True)
class FileDiff:
    """One path that differs. Renames are two of these, paired in `Diff.renames`.

    `old` and `new` are the contents (a link's target, a submodule's commit), None where there is
    no file or its content was too large to load. Sizes are in bytes and always set.
    """

    path: str
    old: bytes | None
    new: bytes | None
    old_mode: str = PLAIN
    new_mode: str = PLAIN
    old_size: int = 0
    new_size: int = 0

    @classmethod
    def of(cls, path: str, old: str | bytes | None, new: str | bytes | None) -> FileDiff:
        """Create a regular file from its two contents."""
        before, after = (text.encode() if isinstance(text, str) else text for text in (old, new))
        return cls(
            path,
            before,
            after,
            NO_FILE if before is None else PLAIN,
            NO_FILE if after is None else PLAIN,
            len(before or b""),
            len(after or b""),
        )

    @property
    def is_added(self) -> bool:
        return self.old_mode == NO_FILE

    @property
    def is_deleted(self) -> bool:
        return self.new_mode == NO_FILE

    @property
    def is_text(self) -> bool:
        """Whether both sides are regular files without a NUL byte near the start, which is git's
        test for text."""
        modes = {self.old_mode, self.new_mode} - {NO_FILE, PLAIN, EXECUTABLE}
        return not modes and b"\0" not in (self.old or b"")[:8000] + (self.new or b"")[:8000]

    @property
    def withheld(self) -> bool:
        """Whether the content of an existing side was not loaded."""
        old = self.old is None and self.old_mode != NO_FILE
        return old or (self.new is None and self.new_mode != NO_FILE)

    @cached_property
    def added_lines(self) -> tuple[tuple[int, bytes], ...]:
        """The added lines, with line numbers from 1."""
        return _added(self.old or b"", self.new or b"")

    @cached_property
    def removed_lines(self) -> tuple[tuple[int, bytes], ...]:
        """The removed lines, with their line numbers (from 1) in the old side."""
        return _added(self.new or b"", self.old or b"")

    @cached_property
    def _added_numbers(self) -> tuple[int, ...]:
        return tuple(number for number, _ in self.added_lines)

    def touches(self, first: int, last: int) -> bool:
        """Whether a line of the new side between the two (both included) was added."""
        at = bisect.bisect_left(self._added_numbers, first)
        return at < len(self._added_numbers) and self._added_numbers[at] <= last


@dataclass(frozen=True)
class Diff:
    """All files that a change touches. `renames` maps new paths to old ones."""

    files: tuple[FileDiff, ...]
    renames: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def by_path(self) -> Mapping[str, FileDiff]:
        return {file.path: file for file in self.files}

    def before_rename(self, file: FileDiff) -> FileDiff:
        """The file with the content of its old name, if it was renamed."""
        source = self.by_path.get(self.renames.get(file.path, ""))
        if source is None or file.old is not None:
            return file
        return FileDiff(
            file.path,
            source.old,
            file.new,
            source.old_mode,
            file.new_mode,
            source.old_size,
            file.new_size,
        )


def _added(old: bytes, new: bytes) -> tuple[tuple[int, bytes], ...]:
    before, after = old.split(b"\n"), new.split(b"\n")
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    end = 0
    shorter = min(len(before), len(after)) - start
    while end < shorter and before[-1 - end] == after[-1 - end]:
        end += 1
    old_middle, new_middle = before[start : len(before) - end], after[start : len(after) - end]
    # Compare counts, not positions: this is linear for any input, and a moved line is not an added
    # line.
    spare = Counter(old_middle)
    added = []
    for number, line in enumerate(new_middle, start + 1):
        if spare[line] > 0:
            spare[line] -= 1
        else:
            added.append((number, line))
    return tuple(added)
