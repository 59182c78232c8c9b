"""Files that tools generate in a work tree and that do not belong in commits, by ecosystem. Pure.

The patterns come from common ignore files of each ecosystem. A repository's own `.gitignore` takes
precedence; these cover what it does not mention.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from app.ecosystems import ECOSYSTEMS, Generated

_GENERATED = (
    *(each for ecosystem in ECOSYSTEMS for each in ecosystem.generated),
    # Operating systems and editors.
    Generated(anywhere=(".DS_Store", "Thumbs.db", "*.swp")),
)


def patterns(tracked: Iterable[str]) -> tuple[str, ...]:
    """The patterns for a repository with these files, for one of git's exclude files.

    A pattern that matches a file in the repository itself is left out: people commit such files.
    """
    paths = tuple(tracked)
    names = {part for path in paths for part in path.split("/")}
    anywhere = [
        pattern
        for generated in _GENERATED
        for pattern in generated.anywhere
        if not any(fnmatchcase(name, pattern.rstrip("/")) for name in names)
    ]
    return tuple(dict.fromkeys([*anywhere, *_beside_manifests(paths)]))


def _beside_manifests(paths: tuple[str, ...]) -> Iterator[str]:
    folders = {path[: at + 1] for path in paths for at, letter in enumerate(path) if letter == "/"}
    for path in sorted(paths):
        folder, slash, name = path.rpartition("/")
        for generated in _GENERATED:
            if "\n" in path or not any(fnmatchcase(name, each) for each in generated.manifests):
                continue
            for pattern in generated.beside:
                whole = f"{folder}{slash}{pattern}"
                if whole not in folders and whole not in paths:
                    yield "/" + re.sub(r"([\\*?\[ ])", r"\\\1", folder + slash) + pattern
