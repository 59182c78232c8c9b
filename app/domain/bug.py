"""Whether a request is about a bug. Pure."""

from __future__ import annotations

from app.domain.policy import Policy
from app.domain.trigger import Trigger

_ISSUE_TYPE = "bug"


def is_bug(trigger: Trigger, policy: Policy) -> bool:
    """Whether people say that the issue is a bug: by GitHub's issue type, or by a label.

    The issue's text does not count, and no model is asked.
    """
    if trigger.issue_type.casefold() == _ISSUE_TYPE:
        return True
    marks = {label.casefold() for label in policy.bug_labels}
    return any(label.casefold() in marks for label in trigger.labels)
