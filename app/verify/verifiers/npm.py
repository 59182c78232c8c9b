"""A package's test script without a runner that Honk knows: only its exit code counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from app.domain.file_tree import FileTree
from app.verify.verifier import TestCommand, VerifierContext
from app.verify.verifiers.command import AnyCommand
from app.verify.verifiers.javascript import ENVIRONMENT
from app.verify.verifiers.scripts import test_scripts


@dataclass(frozen=True)
class Npm(AnyCommand):
    """`npm test`, or pnpm's or yarn's, judged by its exit code alone."""

    line: str = "npm test"
    name: ClassVar[str] = "npm"

    @classmethod
    def detect(cls, tree: FileTree) -> Iterator[Self]:
        """Every package whose test script has no known runner."""
        for found in test_scripts(tree):
            if not found.runner:
                yield cls(folder=found.folder, line=found.line)

    def command(self, context: VerifierContext) -> TestCommand:
        return replace(super().command(context), environment=ENVIRONMENT)
