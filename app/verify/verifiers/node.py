"""Node's own test runner: https://nodejs.org/api/test.html"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.domain.verdict import TestResult
from app.verify.verifier import VerifierContext
from app.verify.verifiers.javascript import ScriptRunner

_DESTINATION = "--test-reporter-destination="


@dataclass(frozen=True)
class Node(ScriptRunner):
    """A package tested with `node --test`.

    Words after those of the script could be taken for arguments of its last file, so the reporter
    comes before them, through NODE_OPTIONS.
    """

    line: str = "node --test"
    name: ClassVar[str] = "node"
    program: ClassVar[str] = "node --test"
    none_found: ClassVar[re.Pattern[str]] = re.compile(r"^Could not find '", re.MULTILINE)

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """An expression for names cannot be given through NODE_OPTIONS."""
        return False

    def added(self, context: VerifierContext) -> Sequence[str]:
        return ()

    def node_options(self, context: VerifierContext) -> str:
        """Ours, and what the script would have had without: its own reporter, or node's."""
        ours = f'"--test-reporter={context.tools}/reporters/node.mjs"'
        options = [ours, f"{_DESTINATION}stdout"]  # where it prints nothing
        own = len(re.findall(r"--test-reporter[= ]", self.text))
        if own == 0:
            options += ["--test-reporter=spec", f"{_DESTINATION}stdout"]
        elif own == 1 and _DESTINATION[:-1] not in self.text:
            options.append(f"{_DESTINATION}stdout")
        return " ".join(options)
