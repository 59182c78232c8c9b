"""Vitest: https://vitest.dev/guide/cli"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifier import VerifierContext, files_below
from app.verify.verifiers.javascript import SUFFIXES, ScriptRunner


@dataclass(frozen=True)
class Vitest(ScriptRunner):
    """A package tested with Vitest. Also requests each test's location."""

    line: str = "vitest run"
    name: ClassVar[str] = "vitest"
    program: ClassVar[str] = "vitest run"
    none_found: ClassVar[re.Pattern[str]] = re.compile(r"^No test files found", re.MULTILINE)

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Files of its own package that JavaScript runners read."""
        return files_below(files, self.folder, *SUFFIXES)

    def added(self, context: VerifierContext) -> Sequence[str]:
        words = ["--includeTaskLocation", "--watch=false"]
        # Reporters on the command line replace the configured ones.
        if "--reporter" not in self.text:
            words.append("--reporter=default")
        words.append(f"--reporter={context.tools}/reporters/vitest.mjs")
        if context.only:
            words.append(f"--testNamePattern={self.selection(context)}")
        if context.files:
            words += self.chosen(context)
        return words
