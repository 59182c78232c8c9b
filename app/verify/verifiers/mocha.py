"""Mocha: https://mochajs.org/running/cli"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.verify.verifier import VerifierContext
from app.verify.verifiers.javascript import ScriptRunner


@dataclass(frozen=True)
class Mocha(ScriptRunner):
    """A package tested with Mocha. Mocha has one reporter; the last one named wins."""

    line: str = "mocha"
    name: ClassVar[str] = "mocha"
    program: ClassVar[str] = "mocha"
    none_found: ClassVar[re.Pattern[str]] = re.compile(
        r"^Error: No (?:test|spec) files? found", re.MULTILINE
    )

    def added(self, context: VerifierContext) -> Sequence[str]:
        words = ["--reporter", f"{context.tools}/reporters/mocha.cjs", "--no-color"]
        if context.only:
            words += ["--grep", self.selection(context)]
        return words
