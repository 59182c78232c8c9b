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

    Arguments after the script's could be taken for arguments of its last file, so the reporter is
    passed through NODE_OPTIONS.
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
        """Our reporter, and the one that the script would use without it: its own, or node's."""
        ours = f'"--test-reporter={context.tools}/reporters/node.mjs"'
        options = [ours, f"{_DESTINATION}stdout"]  # where it prints nothing
        own = len(re.findall(r"--test-reporter[= ]", self.text))
        if own == 0:
            options += ["--test-reporter=spec", f"{_DESTINATION}stdout"]
        elif own == 1 and _DESTINATION[:-1] not in self.text:
            options.append(f"{_DESTINATION}stdout")
        return " ".join(options)
