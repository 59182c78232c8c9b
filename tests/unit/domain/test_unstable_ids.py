"""Ids that no two runs have in common."""

from __future__ import annotations

from app.domain.unstable_ids import may_be_unstable, stabilized, unstable_ids
from app.domain.values import CommitSha
from app.domain.verdict import Results, TestOutcome, TestResult, VerifierResult, compare

PASSED, FAILED = TestOutcome.PASSED, TestOutcome.FAILED


def named(outcomes: dict[str, TestOutcome]) -> Results:
    tests = tuple(TestResult(id=name, outcome=outcome) for name, outcome in outcomes.items())
    verifier = VerifierResult(verifier="pytest", command="pytest", tests=tests, ran=True)
    return Results(commit=CommitSha("a" * 40), verifiers=(verifier,))


def ids(each: Results) -> list[str]:
    return [test.id for test in each.verifiers[0].tests]


def test_random_parameters_become_one_test() -> None:
    one = named({"t.py::test_a[4f1]": PASSED, "t.py::test_b": PASSED})
    two = named({"t.py::test_a[9c3]": PASSED, "t.py::test_b": PASSED})
    names = unstable_ids(one, two)
    assert (
        ids(stabilized(one, names))
        == ids(stabilized(two, names))
        == [
            "t.py::test_a[…]",
            "t.py::test_b",
        ]
    )


def test_the_worst_outcome_counts() -> None:
    one = named({"t.py::test_a[1x]": PASSED, "t.py::test_a[2x]": FAILED})
    two = named({"t.py::test_a[3x]": PASSED, "t.py::test_a[4x]": PASSED})
    names = unstable_ids(one, two)
    verdict = compare(stabilized(two, names), stabilized(one, names))
    assert [change.id for change in verdict.new_failures] == ["t.py::test_a[…]"]


def test_times_in_names() -> None:
    one = named({"a.test.js > at 12:03:44": PASSED})
    two = named({"a.test.js > at 12:03:49": PASSED})
    assert may_be_unstable(one, two)
    names = unstable_ids(one, two)
    assert ids(stabilized(one, names)) == ids(stabilized(two, names))


def test_a_test_that_is_really_gone_stays_gone() -> None:
    base = named({"t.py::test_a": PASSED, "t.py::test_b": PASSED})
    head = named({"t.py::test_a": PASSED, "t.py::test_c": PASSED})
    assert not may_be_unstable(base, head)
    # Numbered tests may be suspected. But two runs of the base agree, so nothing is renamed.
    numbered, later = named({"t.py::test_1": PASSED}), named({"t.py::test_2": PASSED})
    assert may_be_unstable(numbered, later)
    assert stabilized(numbered, unstable_ids(numbered, numbered)) == numbered
