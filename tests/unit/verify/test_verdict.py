"""The verdict: every test in one class, and no way to a green that is not deserved."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.values import CommitSha
from app.domain.verdict import (
    Results,
    TestOutcome,
    TestResult,
    Verdict,
    VerifierResult,
    _Class,
    changed,
    compare,
)

PASSED, FAILED, ERROR, SKIPPED = TestOutcome
SHA = CommitSha("a" * 40)
RANK = {"success": 0, "neutral": 1, "failure": 2}
CLASSES = [name for name in get_args(_Class) if name != "unchanged"]


def run(*tests: TestResult, **more: Any) -> VerifierResult:
    ran = any(test.outcome is not SKIPPED for test in tests)
    given_ = {"verifier": "pytest", "command": "pytest", "ran": ran, **more}
    return VerifierResult(tests=tests, **given_)


def results(*tests: TestResult, **more: Any) -> Results:
    return Results(commit=SHA, verifiers=(run(*tests, **more),))


def simple(**outcomes: TestOutcome) -> Results:
    return results(*(TestResult(id=name, outcome=outcome) for name, outcome in outcomes.items()))


def names(verdict: Verdict, kind: str) -> list[str]:
    return [change.id for change in getattr(verdict, kind)]


@pytest.mark.parametrize(
    ("before", "after", "kind", "conclusion"),
    [
        (FAILED, PASSED, "fixed", "success"),
        (ERROR, PASSED, "fixed", "success"),
        (PASSED, FAILED, "new_failures", "failure"),
        (SKIPPED, ERROR, "new_failures", "failure"),
        (None, FAILED, "new_failures", "failure"),
        (FAILED, ERROR, "still_failing", "success"),
        (None, PASSED, "added", "success"),
        (None, SKIPPED, "added", "success"),
        (PASSED, None, "removed", "success"),
        (PASSED, SKIPPED, "newly_skipped", "success"),
        (FAILED, SKIPPED, "newly_skipped", "success"),
        (SKIPPED, PASSED, "unskipped", "success"),
        (PASSED, PASSED, None, "success"),
        (SKIPPED, SKIPPED, None, "success"),
    ],
)
def test_each_test_has_one_class(
    before: TestOutcome | None, after: TestOutcome | None, kind: str | None, conclusion: str
) -> None:
    def with_other(outcome: TestOutcome | None) -> Results:
        return simple(other=PASSED, **({"it": outcome} if outcome else {}))

    verdict = compare(with_other(before), with_other(after))
    assert {name: names(verdict, name) for name in CLASSES if names(verdict, name)} == (
        {kind: ["it"]} if kind else {}
    )
    assert verdict.conclusion == conclusion


def test_the_title_says_what_is_still_wrong() -> None:
    before = simple(a=FAILED, b=FAILED, c=FAILED, d=PASSED)
    after = simple(a=PASSED, b=FAILED, c=FAILED, d=PASSED)
    assert compare(before, after).title == "No new failures, 1 fixed, 2 failing before and after"


def test_one_new_failure_is_in_the_singular() -> None:
    assert compare(simple(a=PASSED), simple(a=FAILED)).title == "1 new failure"


def test_an_unknown_base_excuses_nothing() -> None:
    verdict = compare(None, simple(a=FAILED, b=PASSED))
    assert verdict.conclusion == "failure"
    assert names(verdict, "failing_unknown") == ["a"]
    assert "could not be verified" in verdict.title
    assert any("could not be verified" in reason for reason in verdict.reasons)
    assert compare(None, simple(b=PASSED)).conclusion == "success"


def test_a_base_that_broke_off_does_not_say_that_a_test_is_new() -> None:
    before = results(TestResult(id="file", outcome=ERROR), complete=False)
    verdict = compare(before, simple(a=FAILED))
    assert names(verdict, "failing_unknown") == ["a"]
    assert verdict.conclusion == "failure"


def test_tests_that_a_broken_run_did_not_reach_are_not_called_removed() -> None:
    after = results(
        TestResult(id="a", outcome=PASSED), problem="it did not end in time", complete=False
    )
    verdict = compare(simple(a=PASSED, b=PASSED), after)
    assert names(verdict, "not_run") == ["b"]
    assert verdict.conclusion == "failure"


def test_a_run_that_breaks_as_the_base_did_is_reported_and_not_new() -> None:
    broken = results(problem="pytest had an internal error", complete=False)
    verdict = compare(broken, broken)
    assert len(verdict.still_failing) == 1
    assert verdict.new_failures == ()
    assert verdict.conclusion == "failure"  # nothing was run, whoever's fault it is


def test_a_problem_counts_beside_tests_that_failed_before_too() -> None:
    before = simple(a=FAILED, b=PASSED)
    after = results(*before.verifiers[0].tests, problem="it exited with code 0 all the same")
    assert compare(before, after).conclusion == "failure"


def test_a_run_that_breaks_in_another_way_is_a_new_failure() -> None:
    verdict = compare(
        results(problem="pytest had an internal error"), results(problem="it did not end in time")
    )
    assert len(verdict.new_failures) == 1


def test_a_run_that_broke_before_and_not_now_is_fixed() -> None:
    before = results(problem="pytest had an internal error", complete=False)
    verdict = compare(before, simple(a=PASSED))
    assert len(verdict.fixed) == 1
    assert verdict.conclusion == "success"


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [(1, 0, "fixed"), (0, 1, "new_failures"), (1, 1, "still_failing"), (1, 2, "new_failures")],
)
def test_a_command_is_as_good_as_its_exit_code(before: int, after: int, kind: str) -> None:
    def command(code: int) -> Results:
        outcome = FAILED if code else PASSED
        test = TestResult(
            id="make", outcome=outcome, message=f"exit code {code}" if code else "", whole_run=True
        )
        return results(test, verifier="command", command="make", ran=True, from_exit_code_only=True)

    verdict = compare(command(before), command(after))
    assert names(verdict, kind) == ["make"]
    assert any("exit code alone" in reason for reason in verdict.reasons)


def test_nothing_to_run_is_what_the_policy_says() -> None:
    nothing = Results(commit=SHA)
    assert compare(nothing, nothing).conclusion == "failure"
    verdict = compare(nothing, nothing, no_tests="neutral")
    assert (verdict.conclusion, verdict.title) == ("neutral", "No tests ran")
    assert any("policy" in reason for reason in verdict.reasons)


def test_a_collection_that_finds_nothing_is_nothing_to_run() -> None:
    empty = results(problem="pytest collected nothing", nothing_to_run=True)
    assert compare(empty, empty, no_tests="neutral").conclusion == "neutral"
    assert compare(empty, empty).conclusion == "failure"


@pytest.mark.parametrize("before", [None, simple(a=PASSED), simple(a=FAILED)])
def test_tests_that_all_vanish_are_never_neutral(before: Results | None) -> None:
    for after in (
        Results(commit=SHA),
        results(problem="pytest collected nothing", nothing_to_run=True),
        results(TestResult(id="a", outcome=SKIPPED), nothing_to_run=True),
    ):
        assert compare(before, after, no_tests="neutral").conclusion == "failure"


def test_both_outcomes_on_one_commit_are_flaky() -> None:
    before = simple(a=PASSED, b=FAILED)
    after = results(
        TestResult(id="a", outcome=FAILED, also=(PASSED,)),
        TestResult(id="b", outcome=PASSED, also=(PASSED, FAILED)),
    )
    verdict = compare(before, after)
    assert names(verdict, "flaky") == ["a", "b"]
    assert verdict.conclusion == "success"
    assert verdict.title == "No new failures, 2 flaky"


def test_of_two_tests_with_one_name_the_worse_counts() -> None:
    twice = results(TestResult(id="a", outcome=PASSED), TestResult(id="a", outcome=FAILED))
    assert names(compare(simple(a=PASSED), twice), "new_failures") == ["a"]
    assert compare(twice, twice).counts_after.failed == 1


def test_a_flaky_test_does_not_excuse_another_of_its_name() -> None:
    flaky = TestResult(id="a", outcome=ERROR, also=(PASSED,))
    twice = results(flaky, TestResult(id="a", outcome=FAILED))
    assert names(compare(simple(a=PASSED), twice), "new_failures") == ["a"]


def test_a_report_with_more_tests_than_are_compared_is_no_success() -> None:
    assert (
        compare(
            simple(a=PASSED), results(TestResult(id="a", outcome=PASSED), tests_dropped=5)
        ).conclusion
        == "failure"
    )


def with_check(*entries: TestResult, **more: Any) -> Results:
    """A test that passes, and a linter."""
    lint = run(*entries, verifier="ruff", command="ruff check", kind="checks", **more)
    return Results(commit=SHA, verifiers=(run(TestResult(id="t", outcome=PASSED)), lint))


def check(outcome: TestOutcome, message: str = "", *, whole_run: bool = True) -> TestResult:
    return TestResult(id="ruff", outcome=outcome, message=message, whole_run=whole_run)


@pytest.mark.parametrize(
    ("before", "after", "kind", "conclusion"),
    [
        ([check(PASSED)], [check(FAILED)], "new_failures", "failure"),
        ([check(FAILED, "2 findings")], [check(FAILED, "1 finding")], "still_failing", "success"),
        ([check(FAILED)], [check(PASSED)], "fixed", "success"),
        # When findings are listed one by one, one that is gone is fixed: it is not a removed test.
        ([check(FAILED), check(PASSED)], [], "fixed", "success"),
        ([check(PASSED)], [], None, "success"),
        ([], [check(FAILED)], "new_failures", "failure"),
    ],
)
def test_a_check_counts_apart_from_tests(
    before: list[TestResult], after: list[TestResult], kind: str | None, conclusion: str
) -> None:
    verdict = compare(with_check(*before), with_check(*after))
    assert verdict.conclusion == conclusion
    assert {name for name in CLASSES if names(verdict, name)} == set()
    told = verdict.checks.model_dump(exclude={"passed"})
    assert {name for name, changes in told.items() if changes} == ({kind} if kind else set())
    assert ("1 new check failure" in verdict.title) == (kind == "new_failures")
    assert verdict.counts_after.passed == 1
    assert changed(with_check(*before), with_check(*after)) == {}


def test_a_check_alone_is_nothing_that_ran() -> None:
    lint = results(check(PASSED), kind="checks")
    assert compare(lint, lint).conclusion == "failure"
    assert compare(lint, lint, no_tests="neutral").conclusion == "neutral"
    assert compare(lint, lint).title == "No tests ran"


def test_a_check_that_broke_off_hides_nothing() -> None:
    broken = with_check(problem="it did not end within its time limit", complete=False)
    verdict = compare(with_check(check(PASSED)), broken)
    assert len(verdict.checks.new_failures) == len(verdict.checks.not_run) == 1
    assert verdict.conclusion == "failure"


def test_what_the_change_cannot_affect_counts_on_neither_side() -> None:
    other = run(TestResult(id="far/b", outcome=FAILED), verifier="pytest:far")
    before = Results(commit=SHA, verifiers=(run(TestResult(id="a", outcome=PASSED)), other))
    after = simple(a=PASSED)
    assert compare(before, after).removed  # run and gone is another thing
    verdict = compare(before, after.model_copy(update={"left_out": ("pytest:far",)}))
    assert (verdict.removed, verdict.conclusion) == ((), "success")
    assert verdict.counts_before == verdict.counts_after
    assert any("pytest:far" in reason for reason in verdict.reasons)
    unknown = compare(after.model_copy(update={"beyond": ("pytest:far",)}), before)
    assert names(unknown, "failing_unknown") == ["far/b"]


def test_the_verdict_survives_being_written_down() -> None:
    verdict = compare(simple(a=FAILED, b=PASSED), simple(a=PASSED, c=FAILED))
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


OUTCOMES = st.sampled_from(TestOutcome)
TESTS = st.builds(
    TestResult,
    id=st.sampled_from("abcdef"),
    outcome=OUTCOMES,
    message=st.sampled_from(["", "one", "two"]),
    also=st.lists(OUTCOMES, max_size=2).map(tuple),
    whole_run=st.booleans(),
)


@st.composite
def verifier_results(draw: st.DrawFn) -> VerifierResult:
    tests = tuple(draw(st.lists(TESTS, max_size=6)))
    return VerifierResult(
        verifier=draw(st.sampled_from(["pytest", "command"])),
        command=draw(st.sampled_from(["x", "y"])),
        tests=tests,
        ran=any(test.outcome is not SKIPPED for test in tests),
        complete=draw(st.booleans()),
        problem=draw(st.sampled_from([None, None, "broke", "broke otherwise"])),
        nothing_to_run=draw(st.booleans()) and not tests,
    )


RESULTS = st.builds(
    Results, commit=st.just(SHA), verifiers=st.lists(verifier_results(), max_size=3).map(tuple)
)
POLICY = st.sampled_from(["failure", "neutral"])


def total(verdict: Verdict) -> int:
    return sum(len(getattr(verdict, name)) for name in CLASSES) + verdict.unchanged


@given(st.none() | RESULTS, RESULTS, POLICY)
def test_every_test_lands_in_exactly_one_class(
    before: Results | None, after: Results, no_tests: Any
) -> None:
    verdict = compare(before, after, no_tests=no_tests)
    ids = {
        (run.verifier, run.command, test.id)
        for side in (before, after)
        if side is not None
        for run in side.verifiers
        for test in run.tests
    }
    broken = {
        (side is after, run.verifier, run.command)
        for side in (before, after)
        if side is not None
        for run in side.verifiers
        if run.problem and not run.nothing_to_run
        if not any(test.whole_run for test in run.tests)
    }
    assert total(verdict) == len(ids) + len({key[1:] for key in broken})


@given(st.none() | RESULTS, RESULTS, POLICY)
def test_success_has_no_new_failure_and_ran_something(
    before: Results | None, after: Results, no_tests: Any
) -> None:
    verdict = compare(before, after, no_tests=no_tests)
    if verdict.conclusion != "failure":
        assert not verdict.new_failures
        assert not verdict.failing_unknown
    if verdict.conclusion == "success":
        assert any(run.ran for run in after.verifiers)
    else:
        assert verdict.reasons


@given(RESULTS)
def test_nothing_changed_is_nothing_new(same: Results) -> None:
    verdict = compare(same, same)
    for kind in ("new_failures", "fixed", "added", "removed", "newly_skipped", "unskipped"):
        assert names(verdict, kind) == []
    assert changed(same, same) == {}


@given(st.none() | RESULTS, RESULTS, POLICY, st.data())
def test_a_passing_test_that_fails_never_helps(
    before: Results | None, after: Results, no_tests: Any, data: st.DataObject
) -> None:
    places = [
        (i, j)
        for i, run in enumerate(after.verifiers)
        for j, test in enumerate(run.tests)
        if test.outcome is PASSED
    ]
    if not places:
        return
    i, j = data.draw(st.sampled_from(places))
    tests = list(after.verifiers[i].tests)
    tests[j] = tests[j].model_copy(update={"outcome": FAILED})
    runs = list(after.verifiers)
    runs[i] = runs[i].model_copy(update={"tests": tuple(tests)})
    worse = compare(before, after.model_copy(update={"verifiers": tuple(runs)}), no_tests=no_tests)
    assert RANK[worse.conclusion] >= RANK[compare(before, after, no_tests=no_tests).conclusion]


@given(st.none() | RESULTS, RESULTS)
def test_the_policy_for_no_tests_touches_nothing_that_ran(
    before: Results | None, after: Results
) -> None:
    lenient = compare(before, after, no_tests="neutral")
    if any(run.ran for run in after.verifiers):
        assert lenient == compare(before, after, no_tests="failure")
