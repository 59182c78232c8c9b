"""mypy: https://mypy.readthedocs.io/en/stable/config_file.html"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from app.domain.file_tree import FileTree, located
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers.checks import MAX_CONFIG_BYTES, LintCheck, LintFinding, lines_of, number

_ERROR = re.compile(r"([^:\n]{1,500}):(?:(\d+):)?(?:\d+:)? error: (.*?)(?:  \[([\w-]+)\])?")
_FILES = re.compile(r"^\s*(?:files|packages|modules)\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Mypy(LintCheck):
    """The files that its configuration names, or else all below the folder.

    Its JSON output is new, while its text output has been stable for years, so the text is parsed.
    """

    line: str = "mypy"
    files: tuple[str, ...] = (".",)
    name: ClassVar[str] = "mypy"
    argv: ClassVar[tuple[str, ...]] = (
        *("mypy", "--no-pretty", "--no-error-summary", "--no-color-output", "--show-error-codes"),
        *("--hide-error-context", "--cache-dir=/tmp/honk-mypy-cache"),
    )
    configuration: ClassVar[tuple[tuple[str, str], ...]] = (
        ("mypy.ini", ""),
        (".mypy.ini", ""),
        ("pyproject.toml", r"^\[tool\.mypy\]"),
        ("setup.cfg", r"^\[mypy\]"),
    )

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Mypy]:
        for found in super().detect(tree):
            yield replace(found, files=() if _names_files(tree, found.folder) else (".",))

    def command(self, context: VerifierContext) -> TestCommand:
        command = super().command(context)
        return replace(command, argv=(*command.argv, *self.files))

    def findings(self, report: bytes) -> Iterator[LintFinding]:
        for line in lines_of(report):
            found = _ERROR.fullmatch(line)
            if found is not None:
                yield LintFinding(found[1], number(found[2]), found[4] or "", found[3])


def _names_files(tree: FileTree, folder: str) -> bool:
    """Whether mypy's part of a configuration says what to look at."""
    for name, pattern in Mypy.configuration:
        text = tree.read_text(located(name, folder), MAX_CONFIG_BYTES) or ""
        start = re.search(pattern or r"^\[mypy\]", text, re.MULTILINE)
        if start is not None:
            part = re.split(r"^\[", text[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
            return _FILES.search(part) is not None
    return False
