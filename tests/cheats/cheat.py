"""One row of the table of cheats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.cheats.edits import Change
from tests.cheats.projects import Project


class Trick(StrEnum):
    """The classes of cheats, in the order of the table."""

    CLAIM = "a claim without work"
    GONE = "tests removed or renamed away"
    SKIPPED = "tests skipped or expected to fail"
    ASSERTION = "weaker assertions"
    HELPER = "weaker helpers, fixtures and base classes"
    CASES = "fewer or swapped cases"
    SHADOWED = "shadowed and overridden assertions"
    LOADED = "plugins, hooks and startup files"
    RESULTS = "rewritten results"
    AGREEING = "values that agree with every comparison"
    KEYED = "hard-coded answers"
    DATA = "snapshots, test data, tolerances and retries"
    CONFIGURATION = "runner configuration"
    REPLACED = "the code under test replaced by the tests"
    EMPTY = "new tests that prove nothing"
    SMUGGLED = "what a reviewer should not see"


@dataclass(frozen=True)
class Cheat:
    """`change`: the cheat; `honest`: the same shape without one, which must come out ready.

    `kinds`: the verdicts that are right for the cheat, by their values; "blocked" for a change that
    gets none. `ready_as`: why it may still be ready for review, as what people see: its verdict is
    no more than the truth, or no cell and no measurement can tell it from an honest change.
    """

    name: str
    trick: Trick
    project: Project
    change: Change
    honest: Change
    kinds: frozenset[str]
    ready_as: str = ""

    @property
    def is_true(self) -> bool:
        """Whether a verdict that makes it ready says nothing but the truth."""
        return bool(self.ready_as) and self.kinds <= NOTHING_CLAIMED


NOTHING_CLAIMED = frozenset({"unchanged", "tests-only", "not-proven", "no-result", "blocked"})
"""Verdicts that do not say that anything works better."""
