"""make test or make check, if the repository has no other tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from app.domain.file_tree import FileTree, located
from app.verify.verifiers.command import AnyCommand

# In make's order of precedence.
_FILES = ("GNUmakefile", "makefile", "Makefile")
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Make(AnyCommand):
    """One target, judged by its exit code alone."""

    line: str = "make test"
    name: ClassVar[str] = "make"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Make]:
        """The makefile in the root; nested ones are its responsibility."""
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
