"""A head and its base, the plan of their cells, and the composed cells."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.diff import Diff
from app.domain.evidence import NO_BASE, Cell, CellRun
from app.domain.run import Ground, RunInput
from app.domain.values import CommitSha, TreeSha
from app.domain.verdict import Results, TestResult, executed
from app.git.load_diff import load_diff
from app.git.load_trees import load_trees
from app.integrity.cells import CellPlan, plan
from app.integrity.composing import Override
from app.runs.services import Services

CELLS_SECONDS = 45 * 60.0
"""How long after the first cell another one may start: head, proof, guard, then the rest."""


@dataclass(frozen=True)
class CellCode:
    """What one cell runs: a commit of the mirror, and which of its test files (None: all).

    `name` distinguishes its checkout from those of concurrent cells.
    """

    cell: Cell
    commit: CommitSha
    tree: TreeSha
    files: tuple[str, ...] | None = None
    name: str = ""


@dataclass(frozen=True)
class ChangeUnderTest:
    """A head and its base, and how their cells are composed."""

    services: Services
    run: RunInput
    ground: Ground
    head: CellCode
    diff: Diff
    tracked: frozenset[str]  # the head's paths
    plan: CellPlan
    known: str  # a digest of the external content and tags that every cell sees
    deadline: float  # by the monotonic clock: no further cell starts after it

    def why_not(self) -> str:
        """Why no further cell starts; empty while it may."""
        if self.is_stopped():
            return "the run was stopped"
        return "the time for tests was used up" if time.monotonic() > self.deadline else ""

    def is_stopped(self) -> bool:
        """Whether a person asked the run to stop."""
        return self.services.stops.of(self.run.id).is_set()


async def compare(
    services: Services,
    run: RunInput,
    ground: Ground,
    head: CommitSha,
    tree: TreeSha,
    *,
    known: str = "",
) -> ChangeUnderTest:
    """Load what differs between the base and the head, and plan their cells.

    `known` is a digest of the external content and tags that every cell sees.
    """
    repo, mirrors = run.trigger.repository, services.mirrors
    diff = await load_diff(mirrors, repo, ground.commit, head)
    before, after = await load_trees(mirrors, repo, ground.commit, head)
    return ChangeUnderTest(
        services=services,
        run=run,
        ground=ground,
        head=CellCode(Cell.HEAD, head, tree),
        diff=diff,
        tracked=frozenset(after.paths),
        plan=await asyncio.to_thread(plan, diff, before, after),
        known=known,
        deadline=time.monotonic() + CELLS_SECONDS,
    )


async def compose(
    compared: ChangeUnderTest,
    cell: Cell,
    overrides: Mapping[str, Override],
    files: tuple[str, ...] | None,
) -> CellCode:
    """The cell as a commit of the mirror: its overrides on top of the source's tree."""
    repo, mirrors = compared.run.trigger.repository, compared.services.mirrors
    base, head = compared.ground.commit, compared.head.commit
    source = base if cell is Cell.PROOF else head
    tree = await mirrors.compose_tree(repo, source, overrides, base=base, head=head)
    commit = await mirrors.commit_tree(repo, tree, [source], f"The {cell.value} cell\n")
    return CellCode(cell, commit, tree, files)


def same_as(cell: Cell, base: Results | None, head: Results) -> CellRun:
    """The cell that was not run because it cannot differ from this one: the base or the head."""
    results = base if cell is Cell.BASE else head
    return CellRun(results=results, same_as=cell, why_not="" if results else NO_BASE)


def present(results: Results | None, other: Results | None) -> Results | None:
    """The results, without tests that the other results lack."""
    if results is None or other is None:
        return results
    known = {
        (each.verifier, each.command, test.id) for each in other.verifiers for test in each.tests
    }
    kept = (
        each.model_copy(
            update={
                "tests": tuple(
                    test
                    for test in each.tests
                    if hides_tests(test) or (each.verifier, each.command, test.id) in known
                )
            }
        )
        for each in results.verifiers
    )
    return results.model_copy(update={"verifiers": tuple(kept)})


def starts(cell: CellRun) -> bool:
    """Whether any test of the cell was executed."""
    return cell.results is not None and any_executed(cell.results)


def any_executed(results: Results) -> bool:
    """Whether any test was executed."""
    return any(executed(each.tests) for each in results.verifiers if each.kind == "tests")


def hides_tests(test: TestResult) -> bool:
    """Whether the entry stands for an unknown number of tests."""
    return test.whole_run or test.could_not_run
