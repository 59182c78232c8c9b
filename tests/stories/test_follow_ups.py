"""After a run: undoing it, one more task, a retry, implementing a plan."""

from __future__ import annotations

import pytest

from tests.stories.test_conversation_outer import BRANCH, MORE, published
from tests.support.harness import FINISH, FIX, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")


def body_of(subject: Subject) -> str:
    return subject.issue.body or ""


@pytest.mark.slow
async def test_after_an_undo_nothing_claims_to_be_done(harness: Harness) -> None:
    issue, pull = await published(harness)
    assert "Closes #1" in body_of(pull)
    await issue.comment("/honk undo")
    await harness.until(lambda: "Reverted" in body_of(pull), "the body is not corrected")
    await harness.until(lambda: issue.labels == ["honk:needs-you"], "the label is not reset")
    body = body_of(pull)
    assert "Closes #1" not in body
    assert "Proven: 1 test fails without this change" not in body
    assert "All tests pass" not in body
    assert "honk:verdict=" not in body
    assert pull.issue.pull is not None
    assert pull.issue.pull.draft
    assert pull.issue.state == "open"

    head = pull.issue.pull.head_sha
    await harness.until(
        lambda: (
            [each.title for each in pull.checks(head) if each.name == "honk / tests"]
            == ["Unchanged: 1 test passes before and after"]
        ),
        "a required check would wait for the revert's forever",
    )


@pytest.mark.slow
async def test_one_thing_more_for_an_issue_is_done_on_its_pull_request(harness: Harness) -> None:
    issue, pull = await published(harness)
    harness.model.scripts[f"{issue.repository}#2"] = script([MORE], [FINISH])
    await issue.comment("/honk also say more")
    await pull.settled()
    assert any(
        "#2 is already open for this issue, so Honk continues there" in c.body for c in issue.ours
    )
    assert "# more" in await issue.git("show", f"{BRANCH}:calc.py")
    assert "also say more" in body_of(pull)
    assert len(issue.pulls) == 1

    await issue.comment("/honk ask what does it do?")
    await issue.settled(endings=2)
    await issue.comment("/honk retry")
    await harness.until(lambda: len(issue.pulls) == 2, "the question was asked once more")
    openings = [
        str(request["messages"][0])
        for request in harness.model.requests
        if f"Subject: {issue.name}\n" in request["messages"][0]["content"][0]["text"]
    ]
    assert "ended as done" in openings[-1]
    assert "ended as answered" in openings[-1]


async def test_the_plan_stays_when_it_is_carried_out(harness: Harness) -> None:
    plan = {"finish": {"summary": "First fix add(), then test it."}}
    subject = await harness.subject(plays=script([plan], [FIX], [FINISH]))
    await subject.comment("/honk plan")
    await subject.settled()
    await subject.comment("/honk go")
    await subject.settled(endings=2)
    for text in (subject.status, subject.pull.body or ""):
        fold = text.partition("<summary>Plan</summary>")[2].partition("</details>")[0]
        assert "First fix add()" in fold


@pytest.mark.slow
async def test_a_question_in_between_hides_neither_the_plan_nor_the_run(harness: Harness) -> None:
    plan = {"finish": {"summary": "First fix add(), then test it."}}
    subject = await harness.subject(plays=script([plan], [FIX], [FINISH]))
    await subject.comment("/honk plan")
    await subject.settled()
    await subject.comment("/honk ask why first?")
    await subject.settled(endings=2)
    await subject.comment("/honk go")
    await subject.settled(endings=3)
    pull = subject.pull
    assert "Closes #1" in (pull.body or "")

    await subject.comment("/honk ask what did you do?")
    await subject.settled(endings=4)
    await subject.comment("/honk undo")
    await harness.until(lambda: "Reverted" in (pull.body or ""), "the question hides the run")


async def test_one_thing_more_where_somebody_elses_pull_request_is_open(harness: Harness) -> None:
    issue = await harness.subject(permissions={"walter": "write"}, plays=script([FIX], [FINISH]))
    await harness.github.push_files(issue.repository, "mine", {"a": b"\n"}, "walter")
    await harness.github.open_pull_request(issue.repository, "walter", "mine", body="Closes #1")
    await issue.comment("/honk also say more")
    words = await issue.refused()
    assert "#2 is already open for this issue" in words
    assert "on #2" in words
    assert Subject(harness, issue.repository, 2).ours == []
