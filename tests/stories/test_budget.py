"""A budget that runs out: people are warned, nothing is lost or merged, and it can continue."""

from __future__ import annotations

import pytest

from app.playground.github.world import SimulatedPullRequest
from tests.support.harness import FINISH, FIX, OWNER, PROJECT, Harness, Subject, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOOKS = [{"use": [{"bash": {"command": f"echo {n}"}}], "seconds": 0.3} for n in range(3)]
FIVE_TURNS = {**PROJECT, ".github/honk.yml": b"budget: {turns: 5}\n"}


def _was_shown(subject: Subject) -> list[str]:
    """Every version of the status comment."""
    (comment,) = [c for c in subject.ours if "<!-- honk:run=" in c.body]
    return [edit.text for edit in comment.edits]


def _change(subject: Subject) -> SimulatedPullRequest:
    change = subject.pull.pull
    assert change is not None
    return change


async def test_people_are_warned_and_the_work_is_kept_and_goes_on(harness: Harness) -> None:
    plays = script([FIX], *LOOKS, [{"verify": {}}], [FINISH])
    subject = await harness.subject(files=FIVE_TURNS, plays=plays)
    await subject.label()
    await subject.settled()

    warnings = [text for text in _was_shown(subject) if "almost used up" in text]
    assert warnings
    assert "4 of 5 turns" in warnings[0]
    assert "/honk continue" in warnings[0]
    assert "almost used up" not in subject.status
    assert "**Budget spent.**" in subject.status
    assert "The run's turns are used up; the work so far is saved." in subject.status
    assert subject.check.conclusion == "action_required"
    assert _change(subject).draft
    head = _change(subject).head_sha
    assert "a + b" in await subject.git("show", f"{head}:calc.py")
    assert subject.labels == ["honk:needs-you"]

    await subject.comment("/honk continue budget=2")
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"]
    assert subject.check.conclusion == "success"
    assert not _change(subject).draft
    assert len(subject.pulls) == 1


@pytest.mark.slow
async def test_unfinished_work_is_not_merged_by_itself(harness: Harness) -> None:
    subject = await harness.subject(files=FIVE_TURNS, plays=script([FIX], [FINISH]))
    repository = harness.github.repository(subject.repository)
    repository.allow_auto_merge = True
    needed = {"required_status_checks": [{"context": "never"}]}
    rule = {"type": "required_status_checks", "parameters": needed}
    harness.github.add_ruleset(subject.repository, rule, include=["refs/heads/main"])
    await subject.label()
    await subject.settled()
    pull = subject.pull
    await harness.github.enable_auto_merge(subject.repository, pull.number, OWNER)
    assert _change(subject).auto_merge is not None

    harness.model.scripts[f"{subject.repository}#{pull.number}"] = script(
        [{"bash": {"command": "echo '# more' >> calc.py"}}], *LOOKS, *LOOKS
    )
    on_pull = Subject(harness, subject.repository, pull.number)
    await on_pull.comment("/honk say more")
    await on_pull.settled()
    assert _change(subject).auto_merge is None
    by_name = {check.name: check for check in subject.checks(_change(subject).head_sha)}
    assert by_name["honk / tests"].conclusion == "action_required"


@pytest.mark.slow
async def test_an_agent_that_repeats_one_call_is_stopped_for_that(harness: Harness) -> None:
    again = [{"bash": {"command": "false"}}]
    subject = await harness.subject(plays=script([FIX], *[again] * 6, [FINISH]))
    await subject.label()
    await subject.settled()
    why = "The agent called `bash` 6 times in a row with the same input and result."
    assert "**Got stuck.**" in subject.status
    assert f"{why} The work so far is saved." in subject.status
    assert why in subject.last_words
    assert "/honk continue" in subject.last_words
    assert "budget" not in subject.status + subject.last_words
    assert subject.labels == ["honk:needs-you"]
    assert subject.check.conclusion == "action_required"
    assert _change(subject).draft

    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"]


async def test_a_run_without_credit_goes_on_once_there_is_some(harness: Harness) -> None:
    no_credit = {"use": [FIX], "fault": "no_credit"}
    subject = await harness.subject(plays=script(no_credit, [FINISH]))
    await subject.label()
    await subject.settled()
    assert "out of credit" in subject.status
    assert "comment `/honk continue`" in subject.last_words
    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"]
