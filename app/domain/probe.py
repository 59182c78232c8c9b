"""The result of setting up a repository without a policy and running its tests. Pure."""

from __future__ import annotations

from typing import Literal

from app.domain.setup_outcome import SetupOutcome
from app.domain.values import Value
from app.domain.verdict import TestOutcome, VerifierResult, executed, is_flaky

Ending = Literal["passed", "failed", "nothing ran"]

EXIT_CODES: dict[Ending, int] = {"passed": 0, "failed": 1, "nothing ran": 2}


class ProbedTests(Value):
    """One test command. `verifier` is its name in a policy.

    `counted` is False where only its exit code is known. `problem`: why it did not run as a whole.
    """

    verifier: str
    command: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    flaky: tuple[str, ...] = ()
    ran: bool = False
    counted: bool = True
    problem: str = ""
    output: str = ""
    seconds: float = 0.0

    @property
    def collected(self) -> int:
        """Every test that the runner reported."""
        return self.passed + self.failed + self.skipped


class ProbeResult(Value):
    """One repository at one commit. `by_policy`: its policy names the setup."""

    repository: str
    commit: str
    by_policy: bool = False
    outcome: SetupOutcome = SetupOutcome()
    tests: tuple[ProbedTests, ...] = ()
    seconds: float = 0.0

    @property
    def ending(self) -> Ending:
        """`passed` only if setup worked, every test command ran and none of its tests failed."""
        if not any(each.ran for each in self.tests):
            return "nothing ran"
        good = not self.outcome.failed and all(
            each.ran and not each.failed and not each.problem for each in self.tests
        )
        return "passed" if good else "failed"

    @property
    def passed(self) -> int:
        """Tests that passed, of all commands."""
        return sum(each.passed for each in self.tests)

    @property
    def failed(self) -> int:
        """Tests that failed, of all commands."""
        return sum(each.failed for each in self.tests)

    @property
    def collected(self) -> int:
        """Tests that were reported, of all commands."""
        return sum(each.collected for each in self.tests)


def probed(result: VerifierResult) -> ProbedTests:
    """A verifier's result, counted. An entry for the run as a whole is no test."""
    tests = [test for test in result.tests if not (test.whole_run or test.could_not_run)]
    broken = [test for test in result.tests if test.whole_run or test.could_not_run]
    problem = result.problem or next(
        (test.message for test in broken if test.outcome.bad and test.message), ""
    )
    return ProbedTests(
        verifier=result.verifier,
        command=result.command,
        passed=sum(test.outcome is TestOutcome.PASSED for test in tests),
        failed=sum(test.outcome.bad for test in tests),
        skipped=sum(test.outcome is TestOutcome.SKIPPED for test in tests),
        flaky=tuple(test.id for test in tests if is_flaky(test)),
        ran=executed(tests) or (result.from_exit_code_only and result.ran),
        counted=not result.from_exit_code_only,
        problem=problem,
        output="" if not problem else result.output_tail[-_OUTPUT:],
        seconds=round(result.seconds, 1),
    )


_OUTPUT = 2_000
