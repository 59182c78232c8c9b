"""Tasks with hidden tests, how they are graded, and what an evaluation found. Pure.

The rules are SWE-bench's (https://github.com/SWE-bench/SWE-bench, version 5). A test that has to be
fixed must pass: missing, failed, with an error or skipped is a failure. A test that has to stay
must pass or be skipped. Failures outside the change are counted separately from unsolved tasks.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from app.domain.values import Value
from app.domain.verdict import TestOutcome

Status = Literal[
    "resolved",  # every required test passes
    "unresolved",
    "empty_patch",  # nothing was changed
    "infra_failure",  # something failed outside the change: not counted as unsolved
    "ambiguous_failure",  # no test was reported, and the cause is unknown
]

STATUSES: tuple[Status, ...] = (
    "resolved",
    "unresolved",
    "empty_patch",
    "infra_failure",
    "ambiguous_failure",
)
COMPLETED = frozenset({"resolved", "unresolved", "empty_patch"})
"""Statuses that count in the solve rate."""


class EvalTask(Value):
    """One task. `repository` is a path or `owner/name`, `base` a commit in it ("" is its head).

    `tests` are the hidden test files by path, copied over the work before it is graded;
    `test_patch` is the same as a patch to the base. `gold` is a patch that solves it, if known.
    `script` is the path of a scripted model's script.
    """

    id: str
    repository: str
    base: str = ""
    title: str = ""
    problem: str
    tests: dict[str, str] = Field(default_factory=dict)
    test_patch: str = ""
    gold: str = ""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...] = ()
    script: str = ""

    def fingerprint(self, by: str) -> str:
        """A digest of the task and of the worker, which identifies earlier results."""
        content = json.dumps([self.model_dump(mode="json"), by], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


class Grade(Value):
    """The test results of a task: the names of those that succeeded and failed."""

    fixed: tuple[str, ...] = ()
    not_fixed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Whether all required tests pass."""
        return not self.not_fixed and not self.broken

    @property
    def is_partial(self) -> bool:
        """Whether some of the tests to fix pass, and nothing was broken."""
        return bool(self.fixed) and bool(self.not_fixed) and not self.broken


def grade(task: EvalTask, outcomes: Mapping[str, TestOutcome]) -> Grade:
    """Grade the outcomes of a run of the hidden tests, by the tests' names."""
    good = {name for name, outcome in outcomes.items() if outcome is TestOutcome.PASSED}
    fine = good | {name for name, each in outcomes.items() if each is TestOutcome.SKIPPED}
    return Grade(
        fixed=tuple(name for name in task.fail_to_pass if name in good),
        not_fixed=tuple(name for name in task.fail_to_pass if name not in good),
        kept=tuple(name for name in task.pass_to_pass if name in fine),
        broken=tuple(name for name in task.pass_to_pass if name not in fine),
    )


class TaskResult(Value):
    """The result of one task. `reason` says briefly why it is not resolved.

    `outcome` is how Honk's run ended, `verdict` Honk's own verdict on its change, `flags` the kinds
    of flags that it raised, and `ready` whether it requested review: Honk knew neither the hidden
    tests nor the grade. `seconds` is the run's time without the grading. `fingerprint` is
    `EvalTask.fingerprint`.
    """

    id: str
    status: Status
    reason: str = ""
    grade: Grade | None = None
    outcome: str = ""
    verdict: str = ""
    flags: tuple[str, ...] = ()
    ready: bool = False
    cost_usd: float = 0.0
    turns: int = 0
    seconds: float = 0.0
    files: tuple[str, ...] = ()
    files_beyond_gold: tuple[str, ...] = ()
    patch: str = ""
    fingerprint: str = ""


class EvalReport(Value):
    """An evaluation: `name` is that of the tasks' file, `by` that of the worker."""

    name: str
    by: str
    honk: str
    total: int
    results: tuple[TaskResult, ...]

    def of(self, status: Status) -> tuple[TaskResult, ...]:
        """The results with this status."""
        return tuple(each for each in self.results if each.status == status)

    @property
    def completed(self) -> tuple[TaskResult, ...]:
        """The results that count in the solve rate."""
        return tuple(each for each in self.results if each.status in COMPLETED)

    @property
    def solve_rate(self) -> float | None:
        """Resolved of completed; None without a completed task."""
        done = self.completed
        return len(self.of("resolved")) / len(done) if done else None

    @property
    def cost_usd(self) -> float:
        """The total cost of all runs, including those that solved nothing."""
        return sum(each.cost_usd for each in self.results)

    @property
    def usd_per_solved(self) -> float | None:
        """The total cost per solved task."""
        solved = len(self.of("resolved"))
        return self.cost_usd / solved if solved else None

    @property
    def median_cost_usd(self) -> float | None:
        """The median cost of a completed task."""
        return median([each.cost_usd for each in self.completed])


def median(values: Sequence[float]) -> float | None:
    """None without values."""
    return statistics.median(values) if values else None
