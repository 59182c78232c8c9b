"""Whether running an attestation's cells again gives the same results. Pure.

A flaky test is not a difference, then or now. Every other changed result is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from app.domain.attestation import (
    ABSENT,
    FLAKY,
    NOT_RUN,
    Attestation,
    CellRecord,
    cell_digest,
    letters_of,
    recorded_command,
)
from app.domain.evidence import Cell, CellRun
from app.domain.values import Value, short
from app.domain.verdict import Verdict, sentence

Answer = Literal["same", "different", "unchecked"]

EXIT_CODES: Mapping[Answer, int] = {"same": 0, "different": 1, "unchecked": 2}

MAX_DIFFERENCES = 1_000
"""Differences listed for one cell; the others are only counted."""


class TestDifference(Value):
    """A test with a different result: the letters of the attestation, then and now."""

    __test__ = False

    verifier: str
    id: str
    then: str
    now: str


class CellComparison(Value):
    """One cell, then and now.

    `compared` counts the tests that were compared one by one, `total` all differences, of which
    the first `MAX_DIFFERENCES` are listed. `unstable` are tests that passed and failed here.
    `same_as`: the cell was not run on its own. `why`: why it could not be checked.
    """

    cell: Cell
    answer: Answer
    compared: int = 0
    total: int = 0
    differences: tuple[TestDifference, ...] = ()
    unstable: tuple[str, ...] = ()
    same_as: Cell | None = None
    why: str = ""


class Reproduction(Value):
    """The results of running the cells again.

    `verdict_now` is the title of the verdict that the new results lead to, with the recorded rules
    and measurements; empty when there is none. `same_verdict` says whether it is of the same kind.
    `notes` name what differs between the two machines.
    """

    cells: tuple[CellComparison, ...]
    verdict_now: str = ""
    same_verdict: bool = False
    notes: tuple[str, ...] = ()

    @property
    def answer(self) -> Answer:
        """ "different" as soon as anything differs, "same" only if everything was compared."""
        answers = {each.answer for each in self.cells}
        if "different" in answers:
            return "different"
        if "unchecked" in answers or not self.verdict_now:
            return "unchecked"
        return "same" if self.same_verdict else "different"


def compare_cell(attested: Attestation, cell: Cell, run: CellRun) -> CellComparison:
    """Compare a cell's recorded results with those of a run here."""
    why = _not_comparable(attested.cell(cell), run)
    if why:
        return CellComparison(cell=cell, answer="unchecked", why=why)
    if run.results is None:
        return CellComparison(cell=cell, answer="same", why="It was not run then either.")
    recorded = _recorded(attested, cell)
    now = {
        (*key, name): letter
        for key, tests in letters_of(run).items()
        for name, letter in tests.items()
    }
    unstable = tuple(f"{key[0]}: {key[2]}" for key, letter in now.items() if letter == FLAKY)
    # A test that is missing in a shortened list may have existed.
    unlisted = attested.omitted > 0
    names = recorded.keys() if unlisted else {**recorded, **now}
    found = [
        TestDifference(verifier=key[0], id=key[2], then=then, now=here)
        for key in sorted(names)
        if not _agree(then := recorded.get(key, ABSENT), here := now.get(key, ABSENT))
    ]
    if not found and unlisted and cell_digest(run) != attested.cell(cell).digest and not unstable:
        return CellComparison(
            cell=cell,
            answer="different",
            compared=len(recorded),
            why="The listed tests ended the same way, but one that the attestation only counts "
            "did not.",
        )
    return CellComparison(
        cell=cell,
        answer="different" if found else "same",
        same_as=run.same_as,
        compared=len(names),
        total=len(found),
        differences=tuple(found[:MAX_DIFFERENCES]),
        unstable=unstable[:MAX_DIFFERENCES],
    )


def _not_comparable(record: CellRecord, run: CellRun) -> str:
    """Why the two cannot be compared; empty if they can."""
    results = run.results
    if results is None:
        return _sentence(run.why_not or "it did not run here") if record.digest else ""
    if not record.digest:
        return _sentence(f"it was not run then: {record.why_not or 'no reason is given'}")
    if record.same_as is not run.same_as:
        return "This version of Honk runs other cells for this change."
    if record.tree and results.tree and record.tree != results.tree:
        return (
            f"This version of Honk composes another tree ({short(results.tree)} instead of "
            f"{short(record.tree)})."
        )
    here = {recorded_command(each.verifier, each.command) for each in results.verifiers}
    missing = [each for each in record.commands if (each.verifier, each.command) not in here]
    if missing:
        return f"`{missing[0].command}` ran then, but this version of Honk does not run it."
    return ""


def _sentence(text: str) -> str:
    return sentence(text[:1].upper() + text[1:])


def reproduction(
    attested: Attestation,
    cells: tuple[CellComparison, ...],
    verdict: Verdict | None,
    notes: tuple[str, ...],
) -> Reproduction:
    """Put the cells and the verdict on the new results together."""
    return Reproduction(
        cells=cells,
        verdict_now=verdict.title if verdict else "",
        same_verdict=verdict is not None and verdict.kind is attested.verdict.kind,
        notes=notes,
    )


def _recorded(attested: Attestation, cell: Cell) -> dict[tuple[str, str, str], str]:
    at = list(Cell).index(cell)
    return {
        (each.verifier, each.command, name): letters[at]
        for each in attested.tests
        for name, letters in each.tests
        if len(letters) > at
    }


def _agree(then: str, now: str) -> bool:
    nothing = (ABSENT, NOT_RUN)
    return then == now or FLAKY in (then, now) or (then in nothing and now in nothing)
