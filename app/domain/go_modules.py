"""The Go modules that a repository names in its own files. Pure.

A module's path begins with a host, which a Go module proxy contacts. So the request itself can leak
data to that host: code in setup could request `github.com/attacker/what-it-read`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

MODULE_FILES = ("go.mod", "go.sum", "go.work", "go.work.sum")
"""Names of the files that name modules, in any folder."""

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*(?:/[A-Za-z0-9._~-]+)*")
_VERSION = re.compile(r"v[0-9][A-Za-z0-9.+-]*")
_SUM = re.compile(r"(\S+) (v\S+?)(?:/go\.mod)? h1:\S+")


def go_modules(texts: Iterable[str]) -> frozenset[str]:
    """Each module as `path@version`, from the texts of files named `MODULE_FILES`.

    `go.sum` has everything that the build loads; `go.mod` has requirements and replacements. Other
    lines are skipped.
    """
    found = (pair for text in texts for pair in (*_required(text), *_summed(text)))
    return frozenset(
        f"{path}@{version}"
        for path, version in found
        if _PATH.fullmatch(path) and _VERSION.fullmatch(version)
    )


def _summed(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if match := _SUM.fullmatch(line.strip()):
            yield match[1], match[2]


def _required(text: str) -> Iterator[tuple[str, str]]:
    """https://go.dev/ref/mod#go-mod-file-grammar"""
    block = ""
    for line in text.splitlines():
        words = [word.strip('"`') for word in line.partition("//")[0].split()]
        if words == [")"]:
            block = ""
        elif words[1:] == ["("]:
            block = words[0]
        elif words:
            directive, *words = [block, *words] if block else words
            if directive in ("require", "replace"):
                yield from pairwise(words)
