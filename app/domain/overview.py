"""An overview of a repository for the agent. Pure.

Everything here comes from names in the repository, which are untrusted data; the caller makes them
printable. The text stays within a budget of characters, so that it costs the same in a repository
of any size.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

MAX_CHARACTERS = 6_000
"""About 1,500 tokens."""

_MAX_NAMED = 20
_MAX_TOGETHER = 5
_LEAST_TOGETHER = 2
_ENDINGS = 10
_FILES_OF_A_FOLDER = 12
_SHOWN_PATH = 160

_NOT_IN_PATH = re.compile(r"[^\w@.+/\\-]+")
_MAX_WORD = 500
_MAX_TEXT = 200_000
"""The characters of a text that are searched for file names."""


def named_files(text: str, paths: Iterable[str]) -> tuple[str, ...]:
    """The files of the repository that a text or a stack trace names, in the text's order.

    A name counts if it is the end of exactly one path, so absolute paths of other machines match,
    but not `utils.py` if there are several.
    """
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(path.rpartition("/")[2], []).append(path)
    found: dict[str, None] = {}
    for word in dict.fromkeys(_NOT_IN_PATH.split(text[:_MAX_TEXT])):
        path = _path_named(word[:_MAX_WORD].rstrip(".").replace("\\", "/"), by_name)
        if path:
            found[path] = None
    return tuple(found)[:_MAX_NAMED]


def _path_named(word: str, by_name: Mapping[str, Sequence[str]]) -> str:
    """The path that shares the most trailing parts with the word; empty on a tie."""
    parts = [part for part in word.split("/") if part not in ("", ".", "..")]
    if not parts or "." not in parts[-1]:
        return ""
    shared = [(_shared_parts(parts, path), path) for path in by_name.get(parts[-1], ())]
    most = max((each for each, _ in shared), default=0)
    best = [path for each, path in shared if each == most]
    return best[0] if len(best) == 1 else ""


def _shared_parts(parts: Sequence[str], path: str) -> int:
    count = 0
    for mine, other in zip(reversed(parts), reversed(path.split("/")), strict=False):
        if mine != other:
            break
        count += 1
    return count


def changed_together(
    named: Iterable[str], commits: Sequence[frozenset[str]], paths: frozenset[str]
) -> dict[str, tuple[tuple[str, int], ...]]:
    """By named file, the existing files that changed in the same commits most often, and how often.

    `commits`: the paths that each of the latest commits changed.
    """
    result = {}
    for path in named:
        counts = Counter(
            other
            for commit in commits
            if path in commit
            for other in commit
            if other != path and other in paths
        )
        usual = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
        kept = [each for each in usual if each[1] >= _LEAST_TOGETHER][:_MAX_TOGETHER]
        if kept:
            result[path] = tuple(kept)
    return result


def overview(
    paths: Sequence[str],
    named: Sequence[str],
    together: Mapping[str, Sequence[tuple[str, int]]],
    *,
    limit: int = MAX_CHARACTERS,
) -> str:
    """File counts by suffix, the files that the request names with those that usually change
    together with them, and the folders that fit.
    """
    endings = Counter(PurePosixPath(path).suffix or "no ending" for path in paths)
    usual = ", ".join(f"{ending} {count:,}" for ending, count in endings.most_common(_ENDINGS))
    lines = [f"{len(paths):,} files: {usual}"]
    if named:
        lines += ["Named in the request:", *(f"- {_shown(path)}" for path in named)]
    if together:
        lines.append("Usually changed together:")
        for path, others in together.items():
            listed = ", ".join(f"{_shown(other)} ({count} times)" for other, count in others)
            lines.append(f"- {_shown(path)} with {listed}")
    lines.append("Folders and files:")
    return _fitted([*lines, *_folders(paths)], limit)


def _folders(paths: Sequence[str]) -> list[str]:
    """A line for each folder: those near the root first, with the names of their files."""
    files: dict[str, list[str]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        files.setdefault(folder, []).append(name)
    lines = []
    for folder in sorted(files, key=lambda each: (each.count("/") + bool(each), each)):
        names = sorted(files[folder])
        shown = ", ".join(name[:_SHOWN_PATH] for name in names[:_FILES_OF_A_FOLDER])
        more = len(names) - _FILES_OF_A_FOLDER
        lines.append(f"- {_shown(folder) or '.'}/: {shown}" + (f" and {more:,} more" * (more > 0)))
    return lines


def _shown(path: str) -> str:
    return path if len(path) <= _SHOWN_PATH else f"...{path[3 - _SHOWN_PATH :]}"


def _fitted(lines: Sequence[str], limit: int) -> str:
    """The lines that fit, and how many are left out."""
    kept, size = [], 0
    for line in lines:
        size += len(line) + 1
        if size > limit:
            break
        kept.append(line)
    left_out = len(lines) - len(kept)
    return "\n".join([*kept, f"({left_out:,} more lines)"] if left_out else kept)
