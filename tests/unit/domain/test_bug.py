"""Whether a request is about a bug: people say so, in GitHub's own ways."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain import policy
from app.domain.bug import is_bug
from app.domain.trigger import AppIdentity, Trigger, from_event
from app.github import webhooks
from tests.support.deliveries import encoded, labeled

_APP = AppIdentity(app_id=4711, slug="honk")


def _trigger(**issue: Any) -> Trigger:
    payload = labeled(**{f"issue__{name}": value for name, value in issue.items()})
    found = from_event(
        "issues", webhooks.read("issues", "application/json", encoded(payload)), _APP
    )
    assert isinstance(found, Trigger)
    return found


@pytest.mark.parametrize("label", ["bug", "Bug", "type: bug", "kind/bug", "C-bug"])
def test_a_label_says_so(label: str) -> None:
    assert is_bug(_trigger(labels=[{"name": "p1"}, {"name": label}]), policy.Policy())


def test_the_issue_type_says_so_whatever_the_labels_are() -> None:
    rules = policy.parse("bug_labels: []")
    assert is_bug(_trigger(labels=[], type={"name": "Bug"}), rules)
    assert not is_bug(_trigger(labels=[], type={"name": "Feature"}), rules)
    assert not is_bug(_trigger(labels=[], type=None), rules)


def test_the_policy_names_other_labels() -> None:
    rules = policy.parse("bug_labels: [Defect]")
    assert is_bug(_trigger(labels=[{"name": "defect"}]), rules)
    assert not is_bug(_trigger(labels=[{"name": "bug"}]), rules)


def test_what_the_text_says_does_not_count() -> None:
    said = _trigger(labels=[{"name": "not a bug"}], title="Bug: rounding", body="type: bug")
    assert not is_bug(said, policy.Policy())
