"""The evidence of a change: its tests in four cells, and what was measured besides. Pure.

A cell is the source of one commit with the tests of one commit:

| cell | source | tests | question |
|---|---|---|---|
| base | base | base | What held before? |
| proof | base | head | What fails without the change? |
| guard | head | base | What do the old tests say about the new code? |
| head | head | head | What holds now? |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from app.domain.values import Value
from app.domain.verdict import Results


class Cell(StrEnum):
    """The four combinations of source and tests."""

    BASE = "base"
    PROOF = "proof"
    GUARD = "guard"
    HEAD = "head"


class CellRun(Value):
    """The results of one cell.

    `results`: None if the cell was not measured; `why_not` is then a sentence.
    `same_as`: the cell was not run because it cannot differ from that cell, whose results it has.
    `only`: the test files that ran; empty for all of them.
    `runs`: how often it ran; `TestResult.also` holds the outcomes of the other runs.
    `head_runner`: the proof could not start with the base's configuration, plugins and test
    dependencies, so it ran with the head's. Its evidence counts as new code.
    """

    results: Results | None = None
    same_as: Cell | None = None
    only: tuple[str, ...] = ()
    runs: int = 1
    head_runner: bool = False
    why_not: str = ""


class ChangedSides(Value):
    """The changed paths by side, as printable text.

    `tests`: files in which the runner finds tests. `helpers`: what only tests use: modules that
    only tests import, fixtures, snapshots, test data. `runner`: configuration, plugins, test
    dependencies. `ci`: workflows; the base's are kept. `partly`: files that could not be split;
    they went with the source.
    """

    source: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    helpers: tuple[str, ...] = ()
    runner: tuple[str, ...] = ()
    ci: tuple[str, ...] = ()
    documentation: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()


class Finding(Value):
    """A place that a measurement points to. `reason` is a sentence."""

    file: str
    line: int | None = None
    reason: str


class Measurements(Value):
    """What four cells cannot see.

    `canary`: whether the proof failed with broken code in place of the changed functions.
    "passed" means that it passed although they raised and although they returned nothing, so the
    results cannot be believed. `canary_why` says why it was not measured.
    `loaded`: plugins, hooks and start-up files that the change added to the source side.
    `keyed`: constants in added conditions that also appear in a new test or in the request.
    """

    canary: Literal["failed", "passed", "not measured"] = "not measured"
    canary_why: str = ""
    loaded: tuple[Finding, ...] = ()
    keyed: tuple[Finding, ...] = ()


class TestName(Value):
    """A test by its verifier and id."""

    __test__ = False

    verifier: str
    id: str


class Move(Value):
    """A test that has another id at head: it was moved, renamed or parametrized differently.

    Several old ids may have the same new one, and one old id several new ones.
    """

    verifier: str
    old: str
    new: str


class Evidence(Value):
    """Everything that a verdict is made from.

    `moved`: tests of the base that exist at head under another id, matched by what they exercise
    and assert.
    `known_flaky`: tests that are known to be flaky in this repository.
    """

    base: CellRun
    proof: CellRun
    guard: CellRun
    head: CellRun
    sides: ChangedSides = ChangedSides()
    measured: Measurements = Measurements()
    moved: tuple[Move, ...] = ()
    known_flaky: tuple[TestName, ...] = ()


class Rules(Value):
    """What the policy and people say.

    `no_tests`: the conclusion for a repository without tests. `expectations`: whether changed
    expectations and removed tests need a person. `proof`: whether a fixed bug needs a test that
    fails without it. `bug`: whether the request is a bug, by labels, policy or a person.
    `accepted_by`: the login of the person who accepted this commit.
    """

    no_tests: Literal["failure", "neutral"] = "failure"
    expectations: Literal["confirm", "allow"] = "confirm"
    proof: Literal["optional", "required"] = "optional"
    bug: bool = False
    accepted_by: str = ""
