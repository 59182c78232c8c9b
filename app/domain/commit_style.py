"""How a repository writes its commits, learned from their messages. Pure.

The history is the repository's own text: only choices are learned from it (a prefix that is a plain
word, the case of a letter), never a sentence.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal

from app.domain.values import Value

SUBJECTS = 100
"""How many of the latest commits determine the style."""

LIMIT = 72
"""The maximum length of a subject, whatever the history has."""

_LEAST = 8
"""Fewer commits show no style."""
_MOST = 0.6
"""The share of subjects that must have something in common to make it a habit."""
_OFTEN = 0.2
"""Not every commit belongs to an issue, so fewer that name one show a habit."""
_SHORTEST = 50
_MAX_PREFIXES = 200

# https://www.conventionalcommits.org and the types of its usual configuration
TYPES = frozenset(
    "build chore ci deps docs feat fix perf refactor revert style test tests".split()  # noqa: SIM905
)
_PREFIX = re.compile(r"(?P<word>[A-Za-z][\w./-]{0,39})(?:\((?P<scope>[^()]{1,40})\))?!?: (?=\S)")
_NOT_WRITTEN = re.compile(r"(?:Merge|Revert|fixup!|squash!|amend!) ", re.IGNORECASE)
_ISSUE = re.compile(
    r"^(?P<word>Fix(?:es)?|Closes?|Resolves?|Refs?|References?|Issue|Bug|See)(?P<colon>:?)"
    r" ?#\d{1,9}\.?$",
    re.IGNORECASE | re.MULTILINE,
)
_PULL_NUMBER = re.compile(r" \(#\d{1,9}\)$")
_FEATURE = re.compile(r"(?:^|[/: _-])(?:feature|enhancement|feat)(?:$|[/: _-])", re.IGNORECASE)
_DOCS = re.compile(r"(?:^|[/: _-])(?:docs?|documentation)(?:$|[/: _-])", re.IGNORECASE)


class CommitStyle(Value):
    """`prefix`: `type` for `fix(parser): ...`, `area` for `parser: ...`, or empty for none.

    `areas` are the words that areas begin with, the usual ones first. `lower`: whether what follows
    begins with a small letter; None where both are usual. `length` is in characters. `issue` is
    what comes before an issue's number on a line of its own (`Fixes: `), or empty.
    """

    prefix: Literal["", "type", "area"] = ""
    areas: tuple[str, ...] = ()
    lower: bool | None = None
    period: bool = False
    length: int = LIMIT
    issue: str = ""


def learned(messages: Iterable[str]) -> CommitStyle:
    """The style of these messages; the usual one where there are too few to tell."""
    by_people = [each.strip() for each in messages if not _NOT_WRITTEN.match(each.strip())]
    written = [_PULL_NUMBER.sub("", each.split("\n")[0]) for each in by_people if each]
    if len(written) < _LEAST:
        return CommitStyle()
    prefixes = [found for each in written if (found := _PREFIX.match(each))]
    types = sum(each["word"].lower() in TYPES for each in prefixes)
    prefix: Literal["", "type", "area"] = ""
    if types >= _MOST * len(written):
        prefix = "type"
    elif len(prefixes) >= _MOST * len(written):
        prefix = "area"
    words = Counter(each["word"] for each in prefixes if each["word"].lower() not in TYPES)
    return CommitStyle(
        prefix=prefix,
        areas=tuple(word for word, _ in words.most_common(_MAX_PREFIXES)) if prefix else (),
        lower=_is_lower([_after_prefix(each) if prefix else each for each in written]),
        period=sum(each.endswith(".") for each in written) >= _MOST * len(written),
        length=_length(written),
        issue=_issue(by_people),
    )


def _issue(messages: Sequence[str]) -> str:
    """The usual prefix for an issue below a message: the word, as written, and a colon."""
    found = [each for message in messages if (each := _ISSUE.search(message.partition("\n")[2]))]
    if len(found) < max(_OFTEN * len(messages), 2):
        return ""
    ((usual, _),) = Counter(f"{each['word']}{each['colon']} " for each in found).most_common(1)
    return usual


def _after_prefix(subject: str) -> str:
    found = _PREFIX.match(subject)
    return subject[found.end() :] if found else subject


def _is_lower(texts: Sequence[str]) -> bool | None:
    letters = [each[0] for each in texts if each[:1].isalpha()]
    lower = sum(letter.islower() for letter in letters)
    if lower >= _MOST * len(letters):
        return True
    return False if len(letters) - lower >= _MOST * len(letters) else None


def _length(subjects: Sequence[str]) -> int:
    """The length that nine of ten subjects stay within, between the two usual limits."""
    lengths = sorted(map(len, subjects))
    return min(max(lengths[len(lengths) * 9 // 10], _SHORTEST), LIMIT)


def styled(
    style: CommitStyle, title: str, *, bug: bool, labels: Sequence[str], paths: Sequence[str]
) -> str:
    """The title as this repository would write it; may be longer than its length.

    The kind of change comes from `labels` and `bug`, or from the changed `paths` alone if they
    leave no doubt. A title that has a prefix keeps it.
    """
    text = title.strip()
    if not text:
        return ""
    if style.prefix and (found := _PREFIX.match(text)):
        head, text = found.group(), text[found.end() :]
    elif style.prefix == "type":
        head = f"{_type(bug=bug, labels=labels, paths=paths)}: "
    elif style.prefix == "area":
        head = _area(style.areas, paths)
    else:
        head = ""
    return head + _punctuated(_cased(text, style.lower), period=style.period)


def _type(*, bug: bool, labels: Sequence[str], paths: Sequence[str]) -> str:
    if bug:
        return "fix"
    if any(map(_FEATURE.search, labels)):
        return "feat"
    if any(map(_DOCS.search, labels)) or (paths and all(map(_is_document, paths))):
        return "docs"
    # A release tool acts on `fix` and `feat`, so do not guess either.
    return "chore"


def _is_document(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in (".md", ".rst", ".adoc", ".txt")


def _area(areas: Sequence[str], paths: Sequence[str]) -> str:
    """The known area that names a folder or file of the most changed paths; empty without one."""
    places = [_place(path) for path in paths]
    counts = [
        (sum(f"/{area.lower()}/" in each for each in places), area.count("/"), area)
        for area in areas
    ]
    most, _, area = max(counts, key=lambda each: each[:2], default=(0, 0, ""))
    return f"{area}: " if most else ""


def _place(path: str) -> str:
    """The path between slashes in small letters, with and without the ending of its file."""
    parts = PurePosixPath(path.lower())
    return f"/{parts}/{parts.stem}/"


def _cased(text: str, lower: bool | None) -> str:
    first = re.match(r"[^\W\d_]+", text)
    if lower is None or first is None:
        return text
    word = first.group()
    if lower and word[0].isupper() and (word[1:].islower() or len(word) == 1):
        return text[0].lower() + text[1:]
    # A name that is code keeps its letters: `add()`, `snake_case`, `pkg.module`.
    is_code = text[len(word) : len(word) + 1] not in ("", " ", ",", ":", "-")
    if not lower and word.islower() and not is_code:
        return text[0].upper() + text[1:]
    return text


def _punctuated(text: str, *, period: bool) -> str:
    if not period:
        return text.rstrip(".") if not text.endswith("...") else text
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
