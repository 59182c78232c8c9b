"""The verdict over four cells: one test for each line of the tables, and what holds for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from app.domain.evidence import (
    Cell,
    CellRun,
    ChangedSides,
    Evidence,
    Rules,
    judge,
)
from app.domain.values import CommitSha
from app.domain.verdict import (
    Results,
    TestOutcome,
    TestResult,
    Verdict,
    VerdictKind,
    VerifierResult,
)

SHA = CommitSha("a" * 40)
PASSED, FAILED, ERROR, SKIPPED = TestOutcome
OUTCOMES = {"P": PASSED, "F": FAILED, "E": ERROR, "S": SKIPPED}
FILE = "tests/test_a.py"
BOTH = ChangedSides(source=("app.py",), tests=(FILE,))
SOURCE = ChangedSides(source=("app.py",))
TESTS = ChangedSides(tests=(FILE,))
HELPERS = ChangedSides(source=("app.py",), helpers=("tests/conftest.py",))
K = VerdictKind


def entry(name: str, letter: str, **more: Any) -> TestResult:
    test_id = name if "::" in name or more else f"{FILE}::{name}"
    message = "assert 1 == 2" if letter == "F" else ""
    values = {"id": test_id, "outcome": OUTCOMES[letter], "message": message, **more}
    return TestResult(**values)


def cell(*tests: TestResult, **more: Any) -> Results:
    ran = any(test.outcome in (PASSED, FAILED) and not test.could_not_run for test in tests)
    values = {"verifier": "pytest", "command": "pytest", "ran": ran, **more}
    return Results(commit=SHA, verifiers=(VerifierResult(tests=tests, **values),))


def evidence(
    rows: Mapping[str, str],
    sides: ChangedSides = BOTH,
    *,
    others: Mapping[Cell, tuple[TestResult, ...]] | None = None,
    **more: Any,
) -> Evidence:
    """`rows`: a test's four outcomes, such as `P-F-`; another test passes in every cell."""
    rows = {"other": "PPPP", **rows}
    runs = {}
    for number, each in enumerate(Cell):
        tests = [
            entry(name, letters[number]) for name, letters in rows.items() if letters[number] != "-"
        ]
        results = cell(*tests, *((others or {}).get(each, ())))
        runs[each.value] = CellRun(results=results)
    return Evidence(**{**runs, "sides": sides, **more})


def verdict(rows: Mapping[str, str], sides: ChangedSides = BOTH, **more: Any) -> Verdict:
    return judge(evidence(rows, sides, **more), Rules())


@pytest.mark.parametrize(
    ("row", "sides", "meaning", "kind", "title"),
    [
        ("-F-P", BOTH, "proven", K.PROVEN, "Proven: 1 test fails without this change"),
        ("-E-P", BOTH, "new-code", K.NEW_CODE, "New code: 1 test cannot run without this change"),
        (
            "-P-P",
            BOTH,
            "unproven",
            K.NOT_PROVEN,
            "Not proven: the new test passes without the change too",
        ),
        ("FFPP", BOTH, "fixed", K.PROVEN, "Proven: 1 test fails without this change"),
        ("FFFP", BOTH, "weak-proof", K.PROVEN, "Proven: 1 test fails without this change"),
        (
            "FPFP",
            BOTH,
            "weakened",
            K.WEAKENED,
            "Weakened: 1 test passes only in its changed form",
        ),
        ("FPPP", BOTH, "none", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("PFPP", BOTH, "strengthened", K.PROVEN, "Proven: 1 test fails without this change"),
        (
            "PFFP",
            BOTH,
            "confirm",
            K.CONFIRM,
            "Please confirm: 1 test now expects something else",
        ),
        ("PPFP", BOTH, "loosened", K.WEAKENED, "Weakened: 1 test now accepts more than before"),
        (
            "PPEP",
            HELPERS,
            "guard-unfinished",
            K.CONFIRM,
            "Please confirm: 1 old test cannot run on new code",
        ),
        ("PPEP", BOTH, "none", K.NOT_PROVEN, "Not proven: no test fails without this change"),
        ("PPPF", BOTH, "regression", K.REGRESSION, "Regression: 1 test that passed now fails"),
        ("-F-F", BOTH, "failure", K.REGRESSION, "Regression: 1 new test fails"),
        ("FFFF", SOURCE, "known-failure", K.UNCHANGED, "Unchanged: 1 test passes before and after"),
        (
            "SSSP",
            BOTH,
            "starts-now",
            K.CONFIRM,
            "Please confirm: 1 test runs now that did not before",
        ),
        (
            "P-F-",
            BOTH,
            "removed-broken",
            K.WEAKENED,
            "Weakened: 1 removed test fails on the new code",
        ),
        (
            "P-P-",
            BOTH,
            "removed",
            K.REMOVED,
            "Removed: 1 test that still passes on the new code",
        ),
        ("PPPS", BOTH, "disabled", K.REMOVED, "Removed: 1 test that ran is now skipped"),
        (
            "PPFP",
            HELPERS,
            "weakened",
            K.WEAKENED,
            "Weakened: 1 test passes only with changed helpers",
        ),
        ("PPPP", SOURCE, "none", K.UNCHANGED, "Unchanged: 2 tests pass before and after"),
        (
            "-P-P",
            TESTS,
            "unproven",
            K.TESTS_ONLY,
            "Tests only: 1 test added, it passes on today's code",
        ),
    ],
)
def test_one_row(
    row: str, sides: ChangedSides, meaning: str, kind: VerdictKind, title: str
) -> None:
    found = verdict({"it": row}, sides)
    assert [each.meaning.value for each in found.rows] == ([] if meaning == "none" else [meaning])
    assert (found.kind, found.title) == (kind, title)


CONCLUSIONS = {
    K.NO_RESULT: ("failure", False),
    K.REGRESSION: ("failure", False),
    K.WEAKENED: ("failure", False),
    K.REMOVED: ("action_required", False),
    K.CONFIRM: ("action_required", False),
    K.NOT_PROVEN: ("success", False),
    K.NEW_CODE: ("success", True),
    K.PROVEN: ("success", True),
    K.TESTS_ONLY: ("success", True),
    K.UNCHANGED: ("success", True),
}
EXAMPLES: dict[VerdictKind, Evidence] = {
    K.NO_RESULT: evidence({"other": "PPPS"}),
    K.REGRESSION: evidence({"it": "PPPF"}),
    K.WEAKENED: evidence({"it": "FPFP"}),
    K.REMOVED: evidence({"it": "P-P-"}),
    K.CONFIRM: evidence({"it": "PFFP"}),
    K.NOT_PROVEN: evidence({"it": "-P-P"}),
    K.NEW_CODE: evidence({"it": "-E-P"}),
    K.PROVEN: evidence({"it": "-F-P"}),
    K.TESTS_ONLY: evidence({"it": "-P-P"}, TESTS),
    K.UNCHANGED: evidence({}, SOURCE),
}


@pytest.mark.parametrize("kind", VerdictKind)
def test_each_verdict_has_its_conclusion(kind: VerdictKind) -> None:
    found = judge(EXAMPLES[kind], Rules())
    assert (found.kind, found.conclusion, found.ready) == (kind, *CONCLUSIONS[kind])


@pytest.mark.parametrize("kind", [K.REMOVED, K.CONFIRM])
@pytest.mark.parametrize("rules", [Rules(accepted_by="olivia"), Rules(expectations="allow")])
def test_a_person_or_the_policy_may_accept(kind: VerdictKind, rules: Rules) -> None:
    found = judge(EXAMPLES[kind], rules)
    assert (found.kind, found.conclusion, found.ready) == (kind, "success", True)
    assert found.title.startswith("Accepted: ")
    assert found.reasons[0].startswith(rules.accepted_by or "The repository's policy")


@pytest.mark.parametrize("kind", [K.NO_RESULT, K.REGRESSION, K.WEAKENED, K.NOT_PROVEN])
def test_nobody_can_accept_the_rest(kind: VerdictKind) -> None:
    rules = Rules(accepted_by="olivia", expectations="allow")
    assert judge(EXAMPLES[kind], rules) == judge(EXAMPLES[kind], Rules())


def test_a_bug_may_need_a_proof() -> None:
    assert judge(EXAMPLES[K.UNCHANGED], Rules(bug=True)).ready
    assert judge(EXAMPLES[K.UNCHANGED], Rules(proof="required")).ready
    found = judge(EXAMPLES[K.UNCHANGED], Rules(bug=True, proof="required"))
    assert (found.kind, found.conclusion, found.ready) == (K.UNCHANGED, "success", False)
    assert judge(EXAMPLES[K.PROVEN], Rules(bug=True, proof="required")).ready
