"""Which events start work, and what a trigger keeps of them."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.event import EventError
from app.domain.trigger import (
    AppIdentity,
    Decision,
    Ignored,
    Signal,
    Trigger,
    from_event,
    further_signals,
)
from app.github import webhooks
from tests.support.deliveries import OUR_BOT, commented, encoded, labeled, without

OURS = AppIdentity(app_id=4711, slug="honk")
OTHER_BOT = {"login": "dependabot[bot]", "id": 99, "type": "Bot"}


def _decide(name: str, payload: dict[str, Any]) -> Decision:
    return from_event(name, webhooks.read(name, "application/json", encoded(payload)), OURS)


def _trigger(name: str, payload: dict[str, Any]) -> Trigger:
    decided = _decide(name, payload)
    assert isinstance(decided, Trigger), decided
    return decided


def test_a_label_carries_the_issue_as_it_was() -> None:
    trigger = _trigger("issues", labeled())

    assert trigger.id == "label:900:7:honk:2026-03-02T09:10:11Z"
    assert (trigger.kind, trigger.label, trigger.comment) == ("label", "honk", None)
    assert trigger.command is None
    assert trigger.installation_id == 77
    assert (str(trigger.repository), trigger.repository_id) == ("acme/rounding", 900)
    assert (trigger.default_branch, trigger.private) == ("main", True)
    assert (trigger.number, trigger.is_pull_request) == (7, False)
    assert (trigger.actor.login, trigger.actor.id, trigger.actor.type) == ("octo-cat", 11, "User")
    assert (trigger.title, trigger.body) == ("Wrong rounding", "Rounds half down.")
    assert trigger.author is not None
    assert trigger.author.login == "reporter"
    assert trigger.labels == ("bug", "honk")
    assert trigger.updated_at.isoformat() == "2026-03-02T09:10:11+00:00"
    assert trigger.html_url == "https://github.com/acme/rounding/issues/7"


def test_labels_are_compared_as_github_compares_them() -> None:
    payload = labeled()
    payload["label"]["name"] = "HONK"
    payload["issue"]["labels"] = [{"name": "Bug"}, {"name": "Honk"}, {"name": "HONK:Max"}]
    trigger = _trigger("issues", payload)

    assert trigger.label == "honk"
    assert trigger.labels == ("Bug", "honk", "honk:max")

    payload["label"]["name"] = "hon\u212a"  # the Kelvin sign is no k
    assert isinstance(_decide("issues", payload), Ignored)


def test_a_comment_is_named_by_its_node() -> None:
    trigger = _trigger("issue_comment", commented("Hm.\n/honk round up"))

    assert (trigger.id, trigger.kind, trigger.label) == ("IC_kwDOB", "comment", None)
    assert trigger.comment is not None
    assert (trigger.comment.id, trigger.comment.body) == (333, "Hm.\n/honk round up")
    assert trigger.comment.url.endswith("#issuecomment-333")
    assert trigger.command is not None
    assert trigger.command.task == "round up"


def test_a_trigger_is_plain_json_and_back() -> None:
    for trigger in (_trigger("issues", labeled()), _trigger("issue_comment", commented())):
        assert Trigger.model_validate(trigger.model_dump(mode="json")) == trigger
        assert Trigger.model_validate_json(trigger.model_dump_json()) == trigger


def test_the_label_of_the_stronger_model_says_how_and_not_when() -> None:
    assert isinstance(_decide("issues", labeled("honk:max")), Ignored)


def test_putting_the_label_on_again_is_another_trigger() -> None:
    again = labeled(issue__updated_at="2026-03-02T09:12:00Z")
    assert _trigger("issues", again).id != _trigger("issues", labeled()).id


def test_a_comment_on_a_pull_request_says_so() -> None:
    on_pull = commented(issue__pull_request={"url": "https://api.github.com/x", "merged_at": None})
    assert _trigger("issue_comment", on_pull).is_pull_request


def test_what_may_be_null_may_be_null() -> None:
    trigger = _trigger("issues", labeled(issue__body=None, issue__user=None))
    assert (trigger.body, trigger.author) == ("", None)


def test_an_issue_that_our_app_opened_may_be_labelled_by_a_person() -> None:
    _trigger("issues", labeled(issue__performed_via_github_app={"id": 4711}, issue__user=OUR_BOT))


def test_a_person_may_write_through_another_app() -> None:
    _trigger("issue_comment", commented(comment__performed_via_github_app={"id": 5}))


def test_a_nul_is_kept_from_the_database() -> None:
    assert _trigger("issues", labeled(issue__title="a\0b")).title == "ab"


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        ("issues", labeled(sender=OUR_BOT), "this App"),
        ("issue_comment", commented(sender=OUR_BOT), "this App"),
        (
            "issue_comment",
            commented(comment__performed_via_github_app={"id": 4711}),
            "this App",
        ),
        ("issue_comment", commented(sender={**OUR_BOT, "login": "Honk[bot]"}), "this App"),
        (
            "issue_comment",
            commented("Yes.", sender=OTHER_BOT, issue__labels=[{"name": "honk:needs-you"}]),
            "no command",
        ),
        ("issues", labeled(action="unlabeled"), "starts nor stops"),
        ("issue_comment", commented(action="edited"), "not acted on"),
        ("issue_comment", commented(action="deleted"), "not acted on"),
        ("push", labeled(), "not acted on"),
        ("ping", {"zen": "x"}, "not acted on"),
        ("issues", labeled("Honker"), "label"),
        ("issues", labeled("honk:running"), "label"),
        ("issues", labeled("honk:running", action="unlabeled", issue__state="closed"), "closed"),
        ("issues", labeled(repository__archived=True), "archived"),
        ("issues", without(labeled(), "installation"), "installation"),
        ("issue_comment", commented("What does /honk do?"), "no command"),
        ("issue_comment", commented(None), "no command"),
    ],
)
def test_the_rest_is_ignored_for_a_reason(name: str, payload: dict[str, Any], reason: str) -> None:
    decided = _decide(name, payload)
    assert isinstance(decided, Ignored)
    assert reason in decided.reason


def test_a_bot_may_ask_and_the_worker_decides() -> None:
    trigger = _trigger("issue_comment", commented(sender=OTHER_BOT))
    assert (trigger.actor.id, trigger.actor.type) == (99, "Bot")


def test_a_request_on_a_closed_issue_gets_a_reply() -> None:
    assert _trigger("issues", labeled(issue__state="closed")).closed


@pytest.mark.parametrize("closed_at", [None, "2026-03-02T09:10:11Z"])
def test_an_event_without_a_state_tells_by_the_time_of_closing(closed_at: str | None) -> None:
    event = without(labeled(issue__closed_at=closed_at), "issue__state")
    assert _trigger("issues", event).closed is (closed_at is not None)
    assert not _trigger("issues", labeled()).closed


def test_a_bot_that_only_looks_like_ours_by_name_is_no_bot() -> None:
    _trigger("issues", labeled(sender={"login": "honk[bot]", "id": 5, "type": "User"}))


@pytest.mark.parametrize(
    "changes",
    [
        {"repository__full_name": "../../etc"},
        {"repository__full_name": "acme"},
        {"repository__full_name": 5},
        {"repository__id": 0},
        {"repository__id": 2**63},
        {"repository__private": "yes"},
        {"issue__number": -1},
        {"issue__number": 1.5},
        {"issue__number": None},
        {"issue__title": None},
        {"issue__title": "x" * 1_000_001},
        {"issue__updated_at": "yesterday"},
        {"issue__updated_at": "2026-03-02T09:10:11Z\n"},
        {"issue__updated_at": "2026-02-31T09:10:11Z"},
        {"issue__labels": {}},
        {"issue": []},
        {"sender": None},
        {"sender__login": ""},
        {"installation": 5},
    ],
)
def test_values_that_github_does_not_send_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EventError):
        _decide("issues", labeled(**changes))


@pytest.mark.parametrize("node_id", ["", "a b", "x" * 151, "x\n", "é", None])
def test_a_comment_needs_a_name_that_can_be_an_id(node_id: str | None) -> None:
    with pytest.raises(EventError):
        _decide("issue_comment", commented(comment__node_id=node_id))


def test_taking_the_state_label_off_asks_to_stop() -> None:
    trigger = _trigger("issues", labeled("honk:running", action="unlabeled"))
    assert trigger.kind == "unlabel"
    assert trigger.id.startswith("unlabel:")


def test_a_comment_where_a_question_waits_is_a_reply() -> None:
    waiting = commented("The first one.", issue__labels=[{"name": "honk:needs-you"}])
    assert _trigger("issue_comment", waiting).kind == "reply"
    assert isinstance(_decide("issue_comment", commented("The first one.")), Ignored)


SHA = "a" * 40
PULL = {
    "number": 8,
    "title": "Round half up",
    "body": None,
    "state": "open",
    "user": OUR_BOT,
    "labels": [],
    "html_url": "https://github.com/acme/rounding/pull/8",
    "created_at": "2026-03-01T08:00:00Z",
    "updated_at": "2026-03-02T09:10:11Z",
    "head": {"sha": SHA},
}


def _event(action: str, **members: Any) -> dict[str, Any]:
    common = {key: labeled()[key] for key in ("repository", "installation", "sender")}
    return {"action": action, **common, **members}


def test_a_comment_on_a_line_knows_the_line_and_its_thread() -> None:
    comment = {
        "id": 5,
        "node_id": "PRRC_1",
        "html_url": "https://github.com/x",
        "created_at": "2026-03-02T09:10:11Z",
        "path": "a.py",
        "line": 3,
        "diff_hunk": "@@ -1 +1 @@",
        "in_reply_to_id": 4,
        "body": "/honk why twice?",
    }
    payload = _event("created", pull_request=PULL, comment=comment)
    trigger = _trigger("pull_request_review_comment", payload)
    assert trigger.is_pull_request
    assert trigger.comment is not None
    assert trigger.comment.line is not None
    assert (trigger.comment.line.path, trigger.comment.line.line) == ("a.py", 3)
    assert trigger.comment.line.thread == 4


def test_a_review_with_a_command_is_a_trigger_and_one_without_is_not() -> None:
    review = {
        "id": 6,
        "node_id": "PRR_1",
        "html_url": "https://github.com/x",
        "submitted_at": "2026-03-02T09:10:11Z",
        "body": "/honk all of this",
    }
    payload = _event("submitted", pull_request=PULL, review=review)
    trigger = _trigger("pull_request_review", payload)
    assert trigger.comment is not None
    assert trigger.comment.on == "review"
    without_one = _event("submitted", pull_request=PULL, review={**review, "body": None})
    assert isinstance(_decide("pull_request_review", without_one), Ignored)


REVIEW = {
    "id": 6,
    "node_id": "PRR_1",
    "html_url": "https://github.com/x",
    "submitted_at": "2026-03-02T09:10:11Z",
    "body": "/honk all of this",
}


@pytest.mark.parametrize(
    ("name", "payload", "first"),
    [
        ("pull_request_review", _event("submitted", pull_request=PULL, review=REVIEW), Trigger),
        ("pull_request_review", _event("edited", pull_request=PULL, review=REVIEW), Ignored),
        ("pull_request_review", _event("dismissed", pull_request=PULL, review=REVIEW), Ignored),
        ("pull_request", _event("synchronize", pull_request=PULL), Signal),
        ("pull_request", _event("opened", pull_request=PULL, sender=OUR_BOT), Ignored),
        ("pull_request", _event("ready_for_review", pull_request=PULL), Ignored),
        (
            "pull_request",
            _event(
                "edited",
                pull_request=PULL,
                changes={"base": {"ref": {"from": "main"}, "sha": {"from": SHA}}},
            ),
            Signal,
        ),
    ],
)
def test_approvals_may_change_besides(
    name: str, payload: dict[str, Any], first: type[Decision]
) -> None:
    assert isinstance(_decide(name, payload), first)
    (signal,) = _besides(name, payload)
    assert (signal.kind, signal.action) == ("approvals", payload["action"])
    assert (signal.number, signal.head_sha) == (PULL["number"], SHA)
    assert signal.id == _besides(name, payload)[0].id
    assert Signal.model_validate(signal.model_dump(mode="json")) == signal


def test_an_edit_of_the_text_changes_no_approvals() -> None:
    edit = _event("edited", pull_request=PULL, changes={"title": {"from": "Old title"}})
    assert _besides("pull_request", edit) == ()


def test_a_rerun_of_the_approvals_is_no_retry_of_a_run() -> None:
    check = {"id": 1, "name": "honk / review", "head_sha": SHA, "app": {"id": 4711}}
    payload = _event("rerequested", check_run={**check, "external_id": "approvals"})
    assert isinstance(_decide("check_run", payload), Ignored)
    (signal,) = _besides("check_run", payload)
    assert (signal.number, signal.head_sha) == (None, SHA)
    other = _event("rerequested", check_run={**check, "external_id": "approvals", "app": {"id": 1}})
    assert _besides("check_run", other) == ()


def test_an_entry_of_a_merge_queue_needs_approvals_too() -> None:
    payload = _event("checks_requested", merge_group=GROUP)
    (signal,) = _besides("merge_group", payload)
    assert (signal.kind, signal.head_sha) == ("approvals", GROUP["head_sha"])
    assert signal.merge_group is not None
    assert signal.id != _decide("merge_group", payload).id  # type: ignore[union-attr]
    assert _besides("merge_group", _event("destroyed", merge_group=GROUP, reason="merged")) == ()


def _besides(name: str, payload: dict[str, Any]) -> tuple[Signal, ...]:
    return further_signals(name, webhooks.read(name, "application/json", encoded(payload)), OURS)


WALTER = {"login": "walter", "id": 3, "type": "User"}
GROUP = {
    "head_sha": SHA,
    "head_ref": f"refs/heads/gh-readonly-queue/main/pr-12-{SHA}",
    "base_sha": SHA[::-1],
    "base_ref": "refs/heads/main",
    "head_commit": {"id": SHA},
}


@pytest.mark.parametrize(
    ("name", "payload", "kind"),
    [
        (
            "check_run",
            _event(
                "requested_action",
                check_run={
                    "id": 1,
                    "name": "honk / tests",
                    "head_sha": SHA,
                    "external_id": "abc",
                    "app": {"id": 4711},
                },
                requested_action={"identifier": "retry"},
            ),
            "button",
        ),
        (
            "check_suite",
            _event(
                "rerequested",
                check_suite={
                    "id": 1,
                    "head_sha": SHA,
                    "updated_at": "2026-03-02T09:10:11Z",
                    "app": {"id": 4711},
                },
            ),
            "rerun",
        ),
        (
            "check_suite",
            _event(
                "completed",
                check_suite={
                    "id": 1,
                    "head_sha": SHA,
                    "updated_at": "2026-03-02T09:10:11Z",
                    "conclusion": "failure",
                    "app": {"id": 5},
                },
                sender=OUR_BOT,
            ),
            "failed",
        ),
        ("pull_request", _event("synchronize", pull_request=PULL), "pushed"),
        ("pull_request", _event("closed", pull_request={**PULL, "state": "closed"}), "closed"),
        ("pull_request", _event("closed", pull_request={**PULL, "user": WALTER}), "closed"),
        ("pull_request", _event("opened", pull_request={**PULL, "user": WALTER}), "head"),
        ("pull_request", _event("synchronize", pull_request={**PULL, "user": WALTER}), "head"),
        ("pull_request", _event("reopened", pull_request=PULL), "head"),
        (
            "pull_request",
            _event(
                "edited",
                pull_request={**PULL, "user": None},
                changes={"base": {"ref": {"from": "main"}, "sha": {"from": SHA}}},
            ),
            "head",
        ),
        ("merge_group", _event("checks_requested", merge_group=GROUP), "merge_group"),
        (
            "merge_group",
            _event("destroyed", merge_group=GROUP, reason="dequeued"),
            "merge_group",
        ),
        (
            "issues",
            labeled(
                action="closed", issue__state="closed", issue__labels=[{"name": "honk:running"}]
            ),
            "closed",
        ),
    ],
)
def test_what_concerns_a_run_is_a_signal(name: str, payload: dict[str, Any], kind: str) -> None:
    signal = _decide(name, payload)
    assert isinstance(signal, Signal), signal
    assert signal.kind == kind
    assert Signal.model_validate(signal.model_dump(mode="json")) == signal


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("pull_request", _event("synchronize", pull_request=PULL, sender=OUR_BOT)),
        ("pull_request", _event("opened", pull_request=PULL, sender=OUR_BOT)),
        ("pull_request", _event("opened", pull_request={**PULL, "state": "closed"})),
        (
            "pull_request",
            _event("edited", pull_request=PULL, changes={"title": {"from": "Old title"}}),
        ),
        ("issues", labeled(action="closed", issue__state="closed")),
        (
            "check_suite",
            _event(
                "completed",
                check_suite={
                    "id": 1,
                    "head_sha": SHA,
                    "updated_at": "2026-03-02T09:10:11Z",
                    "conclusion": "failure",
                    "app": {"id": 4711},
                },
            ),
        ),
        (
            "check_run",
            _event(
                "rerequested",
                check_run={"id": 1, "name": "x", "head_sha": SHA, "app": {"id": 5}},
            ),
        ),
    ],
)
def test_what_concerns_no_run_of_ours_is_ignored(name: str, payload: dict[str, Any]) -> None:
    assert isinstance(_decide(name, payload), Ignored)


def test_an_entry_of_a_merge_queue_names_its_pull_request_and_branch() -> None:
    signal = _decide("merge_group", _event("checks_requested", merge_group=GROUP))
    assert isinstance(signal, Signal)
    assert signal.merge_group is not None
    assert (signal.number, signal.merge_group.base_ref) == (12, "main")


@pytest.mark.parametrize("ref", ["refs/heads/main", f"refs/heads/x/pr-0-{SHA}", "pr-1-2"])
def test_an_entry_with_another_name_names_no_pull_request(ref: str) -> None:
    event = _event("checks_requested", merge_group={**GROUP, "head_ref": ref})
    signal = _decide("merge_group", event)
    assert isinstance(signal, Signal)
    assert signal.number is None


def _head_signal(action: str, **pull: str) -> Signal:
    event = _event(action, pull_request={**PULL, "user": WALTER, **pull})
    signal = _decide("pull_request", event)
    assert isinstance(signal, Signal)
    return signal


def test_reopening_asks_again_for_the_same_head() -> None:
    assert _head_signal("opened").id != _head_signal("reopened").id
    assert _head_signal("reopened").id == _head_signal("reopened").id


def test_a_push_that_brings_back_an_earlier_commit_asks_again() -> None:
    """The commit's first check was canceled when another one was the head."""
    first = _head_signal("synchronize")
    assert _head_signal("synchronize").id == first.id
    assert _head_signal("synchronize", updated_at="2026-03-02T09:12:00Z").id != first.id
