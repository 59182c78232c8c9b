"""make test or make check, where nothing else says how the repository tests itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifier import FileTree, located
from app.verify.verifiers.command import AnyCommand

# In the order in which make looks for them.
_FILES = ("GNUmakefile", "makefile", "Makefile")
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Make(AnyCommand):
    """One target, known by its exit code alone."""

    line: str = "make test"
    name: ClassVar[str] = "make"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Make]:
        """The repository's own makefile; those below it are its business."""
        for name in _FILES:
            text = tree.read_text(located(name, ""), _MAX_BYTES)
            if text is None:
                continue
            for target in ("test", "check"):
                if re.search(
                    rf"^(?:[\w.-]+ +)*{target}(?: +[\w.-]+)* *::?(?!=)", text, re.MULTILINE
                ):
                    yield cls(line=f"make {target}")
                    return
            return
