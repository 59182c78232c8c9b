"""Any command of the policy: one result, judged by its exit code alone.

An exit code does not distinguish a failing test from one that could not start, so only 0 means
that tests ran.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.domain.verdict import Kind, TestOutcome, TestResult, VerifierResult
from app.sandbox.spec import Completed
from app.verify.junit import MAX_DETAILS
from app.verify.results import output_tail
from app.verify.verifier import TestCommand, VerifierContext


@dataclass(frozen=True)
class AnyCommand:
    """A shell line from the policy. It passes with exit code 0."""

    line: str
    folder: str = ""
    name: ClassVar[str] = "command"
    kind: ClassVar[Kind] = "tests"

    def selects(self, tests: Sequence[TestResult]) -> bool:
        return False

    def command(self, context: VerifierContext) -> TestCommand:
        return TestCommand(argv=("bash", "-c", self.line))

    def parse(self, completed: Completed, reports: Mapping[str, bytes]) -> VerifierResult:
        not_run = _NOT_RUN.get(completed.exit_code or 0)
        broken = completed.how_it_ended or not_run
        passed = broken is None and completed.exit_code == 0
        tail = output_tail(completed)
        test = TestResult(
            id=self.line,
            outcome=TestOutcome.PASSED if passed else _failure(broken),
            message="" if passed else broken or f"exit code {completed.exit_code}",
            details="" if passed else tail[-MAX_DETAILS:],
            seconds=completed.seconds,
            whole_run=True,
        )
        return VerifierResult(
            verifier=self.name,
            command=self.line,
            tests=(test,),
            exit_code=completed.exit_code,
            timed_out=completed.timed_out,
            killed=completed.killed,
            ran=passed,
            from_exit_code_only=True,
            complete=broken is None,
            problem=broken,
            output_tail=tail,
            seconds=completed.seconds,
        )


# The shell's exit codes for a command that it cannot start.
_NOT_RUN = {126: "command cannot be executed", 127: "command not found"}


def _failure(broken: str | None) -> TestOutcome:
    return TestOutcome.FAILED if broken is None else TestOutcome.ERROR
