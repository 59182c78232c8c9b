"""gofmt. It has no configuration, so it runs if the repository mentions it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from app.domain.file_tree import FileTree, folders_with
from app.verify.verifiers.checks import MAX_CONFIG_BYTES, LintCheck, LintFinding, lines_of

_NAMED_IN = (
    *("Makefile", "GNUmakefile", ".pre-commit-config.yaml", ".golangci.yml", ".golangci.yaml"),
    *("Taskfile.yml", "Taskfile.yaml", "justfile"),
)
_WORKFLOWS = ".github/workflows/*.y*ml"


def is_named(tree: FileTree, words: str) -> bool:
    """Whether the repository's make, hooks or workflows mention a tool."""
    pattern = re.compile(words)
    files = (*_NAMED_IN, *tree.names(_WORKFLOWS))
    return any(pattern.search(tree.read_text(file, MAX_CONFIG_BYTES) or "") for file in files)


@dataclass(frozen=True)
class Gofmt(LintCheck):
    """Files that gofmt would reformat."""

    line: str = "gofmt -l ."
    name: ClassVar[str] = "gofmt"
    argv: ClassVar[tuple[str, ...]] = ("gofmt", "-l", ".")

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Self]:
        """Every module of a repository that mentions gofmt."""
        folders = folders_with(tree, "go.mod")
        if folders and is_named(tree, r"\bgofmt\b|\bgo fmt\b"):
            yield from (cls(folder=folder) for folder in folders)

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        for line in lines_of(report):
            if line and not line.startswith("vendor/"):
                yield LintFinding(line, None, "", "is not formatted")
