"""Gradle, read through its test tasks' XML reports, which follow Surefire's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.domain.file_tree import FileTree, folders_with, outermost
from app.domain.verdict import Kind, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers import surefire

_FILES = ("settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts")
# `cleanTest`: Gradle does not rewrite up-to-date results, and old files would not count.
_CALL = (
    *("gradle", "--offline", "--continue", "--no-daemon", "--no-build-cache", "--console=plain"),
    *("cleanTest", "test"),
)
_BELOW = "*/build/test-results/*.xml"


@dataclass(frozen=True)
class Gradle:
    """One build with all its projects."""

    folder: str = ""
    line: str = "gradle test"
    name: ClassVar[str] = "gradle"
    kind: ClassVar[Kind] = "tests"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Gradle]:
        """The outermost builds that have tests."""
        tests = tuple(tree.names("*src/*est/*"))
        for folder in outermost(folders_with(tree, *_FILES)):
            if any(not folder or path.startswith(f"{folder}/") for path in tests):
                yield cls(folder=folder)

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        return TestCommand(
            argv=("bash", "-c", surefire.SCRIPT, "honk", context.report, _BELOW, *_CALL),
            reports=surefire.REPORTS,
        )

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        return surefire.result(self.name, self.line, completed, reports, self.folder)
