"""Maven, read through the XML reports of Surefire and Failsafe."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, outermost, unlocated
from app.domain.verdict import Kind, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers import surefire

MAX_SELECTED = 100
# The characters of a Java method; other names (parameters, display names) cannot be selected.
_NAMED = re.compile(r"(?:.*/)?((?:\w+\.)*[\w$]+)\.([A-Za-z_]\w*)")
# A failing module must not hide the tests of the others.
_CALL = ("mvn", "--batch-mode", "--offline", "--fail-at-end", "-Dstyle.color=never", "test")


@dataclass(frozen=True)
class Maven:
    """One project with all its modules."""

    folder: str = ""
    line: str = "mvn test"
    name: ClassVar[str] = "maven"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Maven]:
        """The outermost projects that have tests."""
        tests = (*tree.names("*src/test/*"), *tree.names("*src/it/*"))
        for folder in outermost(folders_with(tree, "pom.xml")):
            if any(not folder or path.startswith(f"{folder}/") for path in tests):
                yield cls(folder=folder)

    def selects(self, tests: Sequence[TestResult]) -> bool:
        """Select by class and method in any module."""
        return 0 < len(tests) <= MAX_SELECTED and all(_NAMED.fullmatch(test.id) for test in tests)

    def command(self, context: VerifierContext) -> TestCommand:
        only = [_NAMED.fullmatch(unlocated(test, self.folder)) for test in context.only]
        names = [f"{found[1]}#{found[2]}" for found in only if found]
        chosen = [f"-Dtest={','.join(names)}", *_NONE_IS_WELL] if names else []
        return TestCommand(
            argv=("bash", "-c", surefire.SCRIPT, "honk", context.report, _BELOW, *_CALL, *chosen),
            reports=surefire.REPORTS,
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        return surefire.result(self.name, self.line, completed, reports, self.folder)


_BELOW = "*/target/*-reports/TEST-*.xml"
# Modules without one of them; the second is what Surefire before 3 calls it.
_NONE_IS_WELL = ("-Dsurefire.failIfNoSpecifiedTests=false", "-DfailIfNoTests=false")
