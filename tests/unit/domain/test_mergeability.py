"""What is missing before a merge: one table, by what GitHub says."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from app import messages
from app.domain.command import MergeMethod
from app.domain.mergeability import (
    METHODS,
    WAITING,
    CheckContext,
    Lack,
    Mergeable,
    MissingForMerge,
    PullState,
    decide,
    read_rules,
)
from app.domain.values import CommitSha

HONK = 7
SHA = CommitSha("a" * 40)
OPEN = PullState(number=3, node_id="PR_3", head_sha=SHA, base_ref="main", state="open")


def decided(
    rules: list[tuple[str, dict[str, Any]]] | None = None,
    method: MergeMethod | None = None,
    *,
    needs_review: bool = False,
    **state: Any,
) -> Mergeable | MissingForMerge:
    return decide(
        OPEN.model_copy(update=state),
        read_rules(rules or []),
        method=method,
        honk_app_id=HONK,
        needs_honk_review=needs_review,
    )


def check(name: str, state: Any, *, app: int | None = 1, required: bool = False) -> CheckContext:
    return CheckContext(name=name, state=state, app_id=app, required=required)


def pull_rule(**parameters: Any) -> tuple[str, dict[str, Any]]:
    return "pull_request", {"required_approving_review_count": 0, **parameters}


def checks_rule(*names: str, app: int | None = None) -> tuple[str, dict[str, Any]]:
    listed = [{"context": name, "integration_id": app} for name in names]
    return "required_status_checks", {"required_status_checks": listed}


QUEUE = ("merge_queue", {"merge_method": "SQUASH"})


@pytest.mark.parametrize(
    ("rules", "state", "lack", "names"),
    [
        ([], {"state": "merged"}, Lack.MERGED, ()),
        ([], {"state": "closed"}, Lack.CLOSED, ()),
        ([QUEUE], {"queue_entry": "AWAITING_CHECKS"}, Lack.IN_QUEUE, ()),
        ([QUEUE], {"queue_entry": "UNMERGEABLE"}, Lack.UNMERGEABLE, ()),
        ([], {"is_complete": False}, Lack.TOO_LARGE, ()),
        ([], {"draft": True, "status": "BLOCKED"}, Lack.DRAFT, ()),
        ([], {"mergeable": "CONFLICTING", "status": "DIRTY"}, Lack.CONFLICT, ()),
        ([], {"status": "DIRTY"}, Lack.CONFLICT, ()),
        ([], {"mergeable": "UNKNOWN"}, Lack.COMPUTING, ()),
        ([], {"status": "UNKNOWN"}, Lack.COMPUTING, ()),
        ([], {"status": "BEHIND"}, Lack.BEHIND, ()),
        ([], {"status": "BLOCKED"}, Lack.BLOCKED, ()),
        ([], {"status": "SOMETHING_NEW"}, Lack.BLOCKED, ()),
        ([("update", {})], {}, Lack.FROZEN, ()),
        ([], {"methods": ()}, Lack.METHOD, ()),
        (
            [pull_rule(allowed_merge_methods=["squash"])],
            {"methods": ("rebase",)},
            Lack.METHOD,
            (),
        ),
        ([], {"changes_requested_by": ("rita",)}, Lack.CHANGES_REQUESTED, ("rita",)),
        ([], {"review_decision": "CHANGES_REQUESTED"}, Lack.CHANGES_REQUESTED, ()),
        ([], {"review_decision": "REVIEW_REQUIRED"}, Lack.APPROVALS, ()),
        (
            [pull_rule(required_approving_review_count=2)],
            {"approved_by": ("rita",), "review_decision": "REVIEW_REQUIRED"},
            Lack.APPROVALS,
            (),
        ),
        (
            [pull_rule(required_approving_review_count=1, require_code_owner_review=True)],
            {
                "approved_by": ("rita",),
                "review_decision": "REVIEW_REQUIRED",
                "code_owners": ("octo/core",),
            },
            Lack.CODE_OWNERS,
            ("octo/core",),
        ),
        (
            [pull_rule(required_approving_review_count=1, require_last_push_approval=True)],
            {"approved_by": ("rita",), "review_decision": "REVIEW_REQUIRED"},
            Lack.LAST_PUSH,
            ("rita",),
        ),
        (
            [pull_rule(required_review_thread_resolution=True)],
            {"open_threads": 2},
            Lack.THREADS,
            (),
        ),
        (
            [("required_signatures", {})],
            {"unsigned": (SHA,), "status": "BLOCKED"},
            Lack.SIGNATURES,
            (SHA,),
        ),
        (
            [("required_deployments", {"required_deployment_environments": ["qa", "stage"]})],
            {"deployed_to": ("qa",), "status": "BLOCKED"},
            Lack.DEPLOYMENTS,
            ("stage",),
        ),
        ([("code_scanning", {})], {"status": "BLOCKED"}, Lack.RULE, ("code_scanning",)),
        ([("workflows", {})], {"may_bypass": True}, Lack.BYPASS, ("workflows",)),
        ([("of_next_year", {})], {"may_bypass": True}, Lack.BYPASS, ("of_next_year",)),
        (
            [pull_rule(required_reviewers=[{"minimum_approvals": 1}])],
            {"status": "BLOCKED"},
            Lack.RULE,
            ("required_reviewers",),
        ),
        ([checks_rule("ci")], {"checks": (check("ci", "failure"),)}, Lack.CHECK_FAILED, ("ci",)),
        ([checks_rule("ci")], {"checks": (check("ci", "pending"),)}, Lack.CHECK_RUNNING, ("ci",)),
        (
            [checks_rule("ci", "ui")],
            {"checks": (check("ci", "success"),)},
            Lack.CHECK_EXPECTED,
            ("ui",),
        ),
        # Another App's check of that name is not the required one.
        (
            [checks_rule("ci", app=5)],
            {"checks": (check("ci", "success"),)},
            Lack.CHECK_EXPECTED,
            ("ci",),
        ),
        # Classic branch protection shows only in what GitHub says of the check.
        ([], {"checks": (check("ci", "failure", required=True),)}, Lack.CHECK_FAILED, ("ci",)),
        ([], {"checks": (check("ci", "pending", required=True),)}, Lack.CHECK_RUNNING, ("ci",)),
        (
            [],
            {"checks": (check("ci", "pending"),), "status": "UNSTABLE"},
            Lack.OPTIONAL_RUNNING,
            ("ci",),
        ),
        (
            [],
            {"checks": (check("honk / tests", "failure", app=HONK),), "draft": True},
            Lack.VERDICT,
            ("honk / tests",),
        ),
        (
            [],
            {"checks": (check("honk / tests", "pending", app=HONK),)},
            Lack.OPTIONAL_RUNNING,
            ("honk / tests",),
        ),
    ],
)
def test_what_is_missing(
    rules: list[tuple[str, dict[str, Any]]], state: dict[str, Any], lack: Lack, names: tuple[str]
) -> None:
    found = decided(rules, **state)
    assert isinstance(found, MissingForMerge)
    assert (found.lack, found.names) == (lack, names)


@pytest.mark.parametrize(
    ("rules", "state", "method", "way"),
    [
        ([], {}, None, ("merge", False)),
        ([], {}, "rebase", ("rebase", False)),
        ([], {"methods": ("rebase", "squash")}, None, ("rebase", False)),
        ([pull_rule(allowed_merge_methods=["squash"])], {}, None, ("squash", False)),
        ([("required_linear_history", {})], {}, None, ("squash", False)),
        ([("required_linear_history", {})], {}, "rebase", ("rebase", False)),
        ([("non_fast_forward", {}), ("copilot_code_review", {})], {}, None, ("merge", False)),
        ([("commit_message_pattern", {})], {}, None, ("merge", False)),
        ([], {"status": "HAS_HOOKS"}, None, ("merge", False)),
        ([], {"status": "UNSTABLE", "checks": (check("lint", "failure"),)}, None, ("merge", False)),
        ([checks_rule("ci")], {"checks": (check("ci", "success"),)}, None, ("merge", False)),
        ([QUEUE], {"has_queue": True}, None, ("squash", True)),
        ([QUEUE], {"has_queue": True}, "squash", ("squash", True)),
        ([], {"has_queue": True}, "rebase", ("rebase", True)),
        # Someone else's check with Honk's name is no verdict of Honk's.
        ([], {"checks": (check("honk / tests", "failure"),)}, None, ("merge", False)),
    ],
)
def test_what_can_be_merged_and_how(
    rules: list[tuple[str, dict[str, Any]]],
    state: dict[str, Any],
    method: MergeMethod | None,
    way: tuple[str, bool],
) -> None:
    found = decided(rules, method, **state)
    assert isinstance(found, Mergeable)
    assert (found.method, found.queue) == way


@pytest.mark.parametrize(
    ("rules", "method"),
    [
        ([QUEUE], "merge"),
        ([("required_linear_history", {})], "merge"),
        ([("required_signatures", {})], "rebase"),
        ([pull_rule(allowed_merge_methods=["squash"])], "rebase"),
        ([pull_rule(allowed_merge_methods=[])], "merge"),
    ],
)
def test_a_method_that_is_not_allowed(
    rules: list[tuple[str, dict[str, Any]]], method: MergeMethod
) -> None:
    found = decided(rules, method)
    assert isinstance(found, MissingForMerge)
    assert found.lack is Lack.METHOD
    assert method not in found.names


def test_honks_review_check_counts_where_the_policy_asks_for_it() -> None:
    waits = check("honk / review", "failure", app=HONK)
    assert isinstance(decided(checks=(waits,)), Mergeable)
    found = decided(checks=(waits,), needs_review=True)
    assert isinstance(found, MissingForMerge)
    assert found.lack is Lack.HONK_REVIEW
    found = decided(needs_review=True)
    assert isinstance(found, MissingForMerge)
    assert found.lack is Lack.CHECK_EXPECTED
    assert isinstance(
        decided(checks=(check("honk / review", "success", app=HONK),), needs_review=True),
        Mergeable,
    )


def test_a_failing_check_that_is_not_required_is_named() -> None:
    found = decided(checks=(check("lint", "failure"), check("ci", "success")), status="UNSTABLE")
    assert isinstance(found, Mergeable)
    assert found.failing == ("lint",)


@pytest.mark.parametrize("lack", list(Lack))
def test_each_answer_says_what_is_missing_and_who_can_give_it(lack: Lack) -> None:
    hostile = ("`@octocat` <b>", *(f"name {number}" for number in range(9)))
    for names in (("ci",), hostile):
        what = MissingForMerge(lack=lack, names=names, count=2)
        problem, next_step = messages.merge.missing(3, "main", SHA, what, "squash")
        assert problem.endswith(".")
        assert "  " not in f"{problem} {next_step}"
        assert "<b>" not in problem.replace("`` `@octocat` <b> ``", "")
        if lack not in (Lack.MERGED, Lack.IN_QUEUE):
            assert next_step


def test_methods_are_githubs() -> None:
    assert get_args(MergeMethod) == METHODS
    assert set(Lack) >= WAITING
