"""Jest: https://jestjs.io/docs/cli"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifier import VerifierContext, files_below
from app.verify.verifiers.javascript import SUFFIXES, ScriptRunner


@dataclass(frozen=True)
class Jest(ScriptRunner):
    """A package tested with Jest. Also requests each test's location."""

    line: str = "jest"
    name: ClassVar[str] = "jest"
    program: ClassVar[str] = "jest"
    none_found: ClassVar[re.Pattern[str]] = re.compile(r"^No tests found", re.MULTILINE)

    def selects_files(self, files: Sequence[str]) -> tuple[str, ...]:
        """Files of its own package that JavaScript runners read."""
        return files_below(files, self.folder, *SUFFIXES)

    def added(self, context: VerifierContext) -> Sequence[str]:
        words = ["--ci", "--testLocationInResults"]
        # Reporters on the command line replace the configured ones.
        if "--reporters" not in self.text:
            words.append("--reporters=default")
        words.append(f"--reporters={context.tools}/reporters/jest.cjs")
        if context.only:
            words.append(f"--testNamePattern={self.selection(context)}")
        if context.files:
            words += ["--runTestsByPath", *self.chosen(context)]
        return words
