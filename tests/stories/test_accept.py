"""A person accepts changed tests, for exactly the commit that they saw."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD = PROJECT["test_calc.py"].replace(b"== 5", b"== -1")
"""Tests that pass with the bug, and fail once it is fixed."""


async def draft_to_confirm(harness: Harness) -> tuple[Subject, Subject]:
    """An issue whose fix changes what a test expects, and its draft pull request."""
    change = {
        "str_replace_based_edit_tool": {
            "command": "str_replace",
            "path": "/workspace/test_calc.py",
            "old_str": "== -1",
            "new_str": "== 5",
        }
    }
    issue = await harness.subject(
        files={**PROJECT, "test_calc.py": OLD},
        plays=script([FIX], [change], [FINISH]),
        permissions={"rita": "read"},
    )
    await issue.label()
    await issue.settled()
    assert issue.check.title == "Please confirm: 1 test now expects something else"
    assert issue.check.conclusion == "action_required"
    pull = Subject(harness, issue.repository, issue.pull.number)
    assert issue.pull.pull is not None
    assert issue.pull.pull.draft
    assert "`/honk accept`" in (pull.issue.body or "")
    assert "`/honk accept`" in issue.last_words
    return issue, pull


def state(subject: Subject) -> tuple[bool, str | None, str | None]:
    """Whether the pull request is a draft; the check's conclusion and title."""
    assert subject.pull.pull is not None
    return subject.pull.pull.draft, subject.check.conclusion, subject.check.title


ACCEPTED = (False, "success", "Accepted: 1 test now expects something else")


@pytest.mark.slow
async def test_accepting_takes_the_pull_request_out_of_draft(harness: Harness) -> None:
    issue, pull = await draft_to_confirm(harness)
    head = issue.pull.pull.head_sha if issue.pull.pull else ""
    before = state(issue)

    await pull.comment("/honk accept", by="rita")
    await pull.comment(f"/honk accept {'a' * 40}")
    assert f"`/honk accept {head}`" in await pull.refused()
    assert len(pull.ours) == 1, "someone who may only read was answered"
    assert state(issue) == before

    await asyncio.sleep(1.1)  # GitHub's times are whole seconds: the verdict has to be older
    await pull.comment("/honk accept")
    await pull.answered("Accepted the tests of")
    await harness.until(lambda: issue.labels == ["honk:done"], "the label is not changed")
    await harness.github.drained()
    assert state(issue) == ACCEPTED
    assert "**Accepted** by `olivia`" in (pull.issue.body or "")
    assert "/honk accept" not in (pull.issue.body or "")
    assert "Accepted by `olivia`" in issue.status
    assert issue.pull.title == issue.issue.title
    assert issue.pull.pull is not None
    assert [user.login for user in issue.pull.pull.reviewers] == [OWNER]


@pytest.mark.slow
async def test_the_button_accepts_its_own_commit_only(harness: Harness) -> None:
    issue, pull = await draft_to_confirm(harness)
    check = issue.check
    assert [action["identifier"] for action in check.actions] == ["accept", "fix", "retry"]
    branch = issue.pull.pull.head if issue.pull.pull else ""
    later: dict[str, Any] = {"notes.txt": b"\n"}
    await harness.github.push_files(issue.repository, branch, later, OWNER, "Add notes")
    await harness.github.press(issue.repository, check.id, "accept", OWNER)
    refused = await pull.refused()
    assert "/honk test" in refused or "/honk accept" in refused
    assert issue.pull.pull is not None
    assert issue.pull.pull.draft
    assert check.conclusion == "action_required"
