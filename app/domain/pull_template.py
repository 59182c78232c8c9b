"""Finds a repository's pull request template. Pure.

Where GitHub looks: https://docs.github.com/en/communities/using-templates-to-encourage-useful-issues-and-pull-requests
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from app.domain import markdown

_NAME = "pull_request_template"
_FOLDERS = (".github", "", "docs")
_ENDINGS = ("", ".md", ".markdown", ".txt")
_BOX = re.compile(r"^\s*[-*+]\s+\[[ xX]\]\s+(.+)$", re.MULTILINE)
_NOT_WORDS = re.compile(r"[\W_]+")


def candidates(paths: Iterable[str]) -> tuple[str, ...]:
    """The paths of templates, in order of precedence; case does not matter.

    GitHub applies no template from a folder of several, since people choose one. Neither does Honk,
    unless there is only one or one has the default name.
    """
    single: list[tuple[int, str]] = []
    several: list[tuple[int, str]] = []
    for path in paths:
        place = PurePosixPath(path.lower())
        if place.suffix not in _ENDINGS:
            continue
        folder = "" if str(place.parent) == "." else str(place.parent)
        above = folder.removesuffix(_NAME).removesuffix("/")
        if place.stem == _NAME and folder in _FOLDERS:
            single.append((_FOLDERS.index(folder), path))
        elif PurePosixPath(folder).name == _NAME and above in _FOLDERS:
            several.append((_FOLDERS.index(above), path))
    usual = [each for each in several if PurePosixPath(each[1].lower()).stem in (_NAME, "default")]
    chosen = several if len(several) == 1 else usual
    return tuple(path for _, path in (*sorted(single), *sorted(chosen)))


def is_followed(template: str, description: str) -> bool:
    """Whether a description has half of the template's headings, or else of its boxes or lines."""
    said = _plain(description)
    wanted = markdown.headings(template) or _BOX.findall(template) or template.split("\n")
    wanted = [name for name in map(_plain, wanted) if name]
    return sum(name in said for name in wanted) * 2 >= len(wanted)


def _plain(text: str) -> str:
    return _NOT_WORDS.sub(" ", text).strip().casefold()
