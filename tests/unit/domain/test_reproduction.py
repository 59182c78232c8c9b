"""What counts as the same when the cells of an attestation run again."""

from __future__ import annotations

import pytest

from app.domain import reproduction
from app.domain.attestation import MAX_TESTS
from app.domain.evidence import Cell, CellRun
from app.domain.reproduction import EXIT_CODES, CellComparison
from app.domain.verdict import TestOutcome, VerdictKind
from tests.support.evidence import F, P, attested, cell, evidence, verdict

HEAD = {"t.py::old": P, "t.py::broken": P, "t.py::new": P}


def flaky(run: CellRun, name: str, also: TestOutcome) -> CellRun:
    """The run, in which this test ended in another way when it was repeated."""
    assert run.results is not None
    (result,) = run.results.verifiers
    tests = tuple(
        test.model_copy(update={"also": (also,)}) if test.id == name else test
        for test in result.tests
    )
    verifiers = (result.model_copy(update={"tests": tests}),)
    return run.model_copy(
        update={"results": run.results.model_copy(update={"verifiers": verifiers})}
    )


def test_the_same_results_are_the_same_in_any_order() -> None:
    again = cell("b", dict(reversed(HEAD.items())))
    found = reproduction.compare_cell(attested(), Cell.HEAD, again)
    assert (found.answer, found.compared, found.total) == ("same", 3, 0)


@pytest.mark.parametrize(
    ("again", "difference"),
    [
        ({**HEAD, "t.py::old": F}, ("t.py::old", "P", "F")),
        ({**HEAD, "t.py::old": TestOutcome.SKIPPED}, ("t.py::old", "P", "S")),
        ({"t.py::old": P, "t.py::broken": P}, ("t.py::new", "P", ".")),
        ({**HEAD, "t.py::more": P}, ("t.py::more", ".", "P")),
    ],
)
def test_each_test_that_ends_another_way_is_a_difference(
    again: dict[str, TestOutcome], difference: tuple[str, str, str]
) -> None:
    found = reproduction.compare_cell(attested(), Cell.HEAD, cell("b", again))
    assert (found.answer, found.total) == ("different", 1)
    (each,) = found.differences
    assert (each.verifier, each.id, each.then, each.now) == ("pytest", *difference)


def test_tests_outside_a_selection_do_not_count() -> None:
    run = cell("d", {"t.py::old": P, "t.py::broken": P}, only=("t.py",))
    assert reproduction.compare_cell(attested(), Cell.GUARD, run).answer == "same"


def test_chance_is_no_difference_then_or_now() -> None:
    stable, unstable = cell("b", HEAD), flaky(cell("b", HEAD), "t.py::old", F)
    now = reproduction.compare_cell(attested(), Cell.HEAD, unstable)
    assert (now.answer, now.unstable) == ("same", ("pytest: t.py::old",))
    then = attested(evidence(head=unstable))
    assert reproduction.compare_cell(then, Cell.HEAD, stable).answer == "same"


def test_a_cell_that_cannot_run_is_not_the_same() -> None:
    found = reproduction.compare_cell(attested(), Cell.HEAD, CellRun(why_not="no network"))
    assert (found.answer, found.why) == ("unchecked", "No network.")


def test_a_test_that_is_only_counted_is_compared_by_digest() -> None:
    many = {f"test_{n:06}": P for n in range(MAX_TESTS + 5)}
    then = attested(evidence(head=cell("b", many)))
    same = reproduction.compare_cell(then, Cell.HEAD, cell("b", many))
    assert same.answer == "same"
    last = f"test_{MAX_TESTS + 4:06}"
    other = reproduction.compare_cell(then, Cell.HEAD, cell("b", {**many, last: F}))
    assert other.answer == "different"
    assert "only counts" in other.why


def test_many_differences_are_counted() -> None:
    many = {f"test_{n}": P for n in range(3_000)}
    then = attested(evidence(head=cell("b", many)))
    found = reproduction.compare_cell(then, Cell.HEAD, cell("b", dict.fromkeys(many, F)))
    assert (found.total, len(found.differences)) == (3_000, 1_000)


SAME = CellComparison(cell=Cell.BASE, answer="same")
DIFFERENT = CellComparison(cell=Cell.PROOF, answer="different")
UNCHECKED = CellComparison(cell=Cell.GUARD, answer="unchecked")


@pytest.mark.parametrize(
    ("cells", "kind", "code"),
    [
        ((SAME,), VerdictKind.PROVEN, 0),
        ((SAME, UNCHECKED), VerdictKind.PROVEN, 2),
        ((SAME, DIFFERENT, UNCHECKED), VerdictKind.PROVEN, 1),
        ((SAME,), VerdictKind.UNCHANGED, 1),
        ((SAME,), None, 2),
    ],
)
def test_it_is_the_same_only_if_everything_is(
    cells: tuple[CellComparison, ...], kind: VerdictKind | None, code: int
) -> None:
    judged = None if kind is None else verdict(kind=kind)
    found = reproduction.reproduction(attested(), cells, judged, ())
    assert EXIT_CODES[found.answer] == code
