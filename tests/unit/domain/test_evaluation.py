"""Grading by SWE-bench's rules, and what a report and a comparison say."""

from __future__ import annotations

import pytest

from app.domain.evaluation import EvalReport, EvalTask, Status, TaskResult, grade
from app.domain.verdict import TestOutcome
from app.messages import evaluation as texts

_TASK = EvalTask(
    id="t", repository="o/r", problem="p", fail_to_pass=("f1", "f2"), pass_to_pass=("p1", "p2")
)
_P, _F, _S, _E = TestOutcome.PASSED, TestOutcome.FAILED, TestOutcome.SKIPPED, TestOutcome.ERROR

_SOLVED: list[Status] = ["resolved"]
_UNSOLVED: list[Status] = ["unresolved"]


@pytest.mark.parametrize(
    ("outcomes", "full", "partial"),
    [
        ({"f1": _P, "f2": _P, "p1": _P, "p2": _P}, True, False),
        # Skipping a test that has to be fixed fixes nothing.
        ({"f1": _P, "f2": _S, "p1": _P, "p2": _P}, False, True),
        ({"f1": _S, "f2": _S, "p1": _S, "p2": _S}, False, False),
        # Skipping one that has to stay is allowed.
        ({"f1": _P, "f2": _P, "p1": _S, "p2": _P}, True, False),
        # A missing test failed, whichever it is.
        ({"f1": _P, "p1": _P, "p2": _P}, False, True),
        ({"f1": _P, "f2": _P, "p1": _P}, False, False),
        ({"f1": _P, "f2": _E, "p1": _P, "p2": _F}, False, False),
        ({}, False, False),
    ],
)
def test_grades_are_those_of_swe_bench(
    outcomes: dict[str, TestOutcome], full: bool, partial: bool
) -> None:
    found = grade(_TASK, outcomes)
    assert (found.is_full, found.is_partial) == (full, partial)


def test_other_tests_do_not_count() -> None:
    fine = {"f1": _P, "f2": _P, "p1": _P, "p2": _P}
    assert grade(_TASK, {**fine, "another": _F}).is_full


def _report(by: str, *statuses: Status, cost: float = 1.0) -> EvalReport:
    results = tuple(
        TaskResult(id=f"t{number:02}", status=status, cost_usd=cost, ready=True)
        for number, status in enumerate(statuses)
    )
    return EvalReport(name="tasks", by=by, honk="1", total=len(statuses), results=results)


def test_infrastructure_failures_are_not_unsolved_tasks() -> None:
    report = _report("m", "resolved", "unresolved", "infra_failure", "ambiguous_failure")
    assert (report.solve_rate, report.usd_per_solved) == (0.5, 4.0)
    facts = texts.as_json(report)
    assert (facts["completed_instances"], facts["infra_failure_ids"]) == (2, ["t02"])
    shown = texts.as_markdown(report)
    assert "| Resolved | 1 (50% of 2 completed) |" in shown
    assert "| Infrastructure failure | 1 |" in shown
    assert "Ready for review and not resolved: t01." in shown


def test_flags_are_counted_and_shown_beside_the_verdict() -> None:
    report = _report("m", "resolved", "unresolved")
    flagged = report.results[1].model_copy(
        update={"verdict": "Removed: 1 test", "flags": ("removed-test", "ci-config")}
    )
    shown = texts.as_markdown(report.model_copy(update={"results": (flagged, flagged)}))
    assert "| Flags | removed-test 2, ci-config 2 |" in shown
    assert "Removed: 1 test (removed-test, ci-config)" in shown


def test_an_evaluation_that_solved_nothing_has_no_price_of_a_solved_task() -> None:
    report = _report("m", "infra_failure")
    assert (report.solve_rate, report.usd_per_solved, report.median_cost_usd) == (None, None, None)
    assert "| Resolved | 0 |" in texts.as_markdown(report)


def test_a_comparison_counts_only_what_both_completed() -> None:
    first = _report("A", *_SOLVED * 3, *_UNSOLVED * 9, "infra_failure", "resolved")
    second = _report("B", *_UNSOLVED * 3, *_SOLVED * 9, "resolved", "resolved", cost=2.0)
    found = texts.comparison(first, second)
    assert (found["tasks"], found["only"], found["left_out"]) == (13, [3, 9], ["t12"])
    assert found["p"] == pytest.approx(0.1460, rel=1e-3)  # as statsmodels and scipy say
    assert found["difference"] == pytest.approx(6 / 13)
    assert found["interval"][0] < found["difference"] < found["interval"][1]
    assert found["per"] == [13 / 4, 26 / 10]
    shown = texts.compared(first, second)
    assert "p = 0.146. That may be chance." in shown
    assert "could have shown is 61.5 percentage points" in shown


def test_few_tasks_can_show_nothing() -> None:
    first, second = _report("A", *_UNSOLVED * 5), _report("B", *_SOLVED * 5)
    assert "5 tasks cannot show any difference" in texts.compared(first, second)
    assert "no completed task in common" in texts.compared(first, _report("B", "infra_failure"))


def test_a_task_is_known_by_its_content_and_by_who_works() -> None:
    changed = _TASK.model_copy(update={"problem": "q"})
    prints = {_TASK.fingerprint("a"), _TASK.fingerprint("b"), changed.fingerprint("a")}
    assert len(prints) == 3
    assert _TASK.fingerprint("a") in prints
