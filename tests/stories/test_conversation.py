"""Talking to Honk on an issue: steer, stop, continue, answer, ask for the status."""

from __future__ import annotations

import pytest

from tests.support.harness import (
    FINISH,
    FIX,
    OWNER,
    PROJECT,
    Harness,
    Subject,
    open_harness,
    open_harness_with_one_worker,
    script,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = {"use": [{"bash": {"command": "sleep 300"}}]}


async def _running(subject: Subject) -> None:
    await subject.harness.until(lambda: "honk:running" in subject.labels, "it does not run")


async def _taken_in(harness: Harness) -> None:
    """Wait until all comments were processed, and their effects have begun."""
    at_work = "SELECT 1 FROM workflow_status WHERE name = 'intake' AND status = 'PENDING'"
    await harness.until(lambda: not harness.sql(at_work), "something is still being taken in")


def _attempts(subject: Subject) -> int:
    """How many attempts the one run of the subject has had."""
    query = "SELECT attempt FROM runs WHERE repository = :repository"
    ((attempts,),) = subject.harness.sql(query, repository=subject.repository)
    return int(attempts)


async def test_stop_keeps_the_work_and_continue_goes_on(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], ENDLESS, [FINISH]))
    await subject.label()
    await harness.until(
        lambda: len([r for r in harness.model.requests if subject.repository in str(r)]) >= 2,
        "the second turn does not come",
    )
    await subject.comment("/honk stop")
    await subject.settled()

    assert "**Stopped.**" in subject.status
    assert "honk/1-add-subtracts" in subject.last_words
    assert subject.labels == ["honk:needs-you"]
    assert subject.pulls == []
    head = (await subject.git("rev-parse", "honk/1-add-subtracts")).strip()
    (check,) = subject.checks(head)
    assert check.conclusion == "cancelled"
    assert "return a + b" in await subject.git("show", f"{head}:calc.py")

    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert subject.check.conclusion == "success"
    assert subject.pull.pull is not None
    # Nothing more was changed, so the commit that was kept is the one that is judged.
    assert subject.pull.pull.head_sha == head
    assert "**Done.**" in subject.status


async def test_stop_works_while_the_model_is_rate_limited(harness: Harness) -> None:
    busy = {"fault": "status_429", "times": 99, "retry_after": 600}
    subject = await harness.subject(plays=script([FIX], busy, [FINISH]))
    await subject.label()
    await harness.until(lambda: "seconds=600" in harness.log(), "it does not wait")
    await subject.comment("/honk stop")
    await subject.settled()

    assert "**Stopped.**" in subject.status
    assert "honk/1-add-subtracts" in subject.last_words
    assert subject.labels == ["honk:needs-you"]


async def test_a_run_that_waits_for_the_tests_of_another_can_be_stopped(
    harness: Harness,
) -> None:
    files = {**PROJECT, ".github/honk.yml": b"verify: ['sleep 300']\n"}
    first = await harness.subject(files=files, plays=script(ENDLESS))
    issue = await harness.github.open_issue(first.repository, OWNER, "another", "")
    second = Subject(harness, first.repository, issue.number)
    harness.model.scripts[second.name] = script([FIX], [FINISH])
    await first.label()
    await first.at_work()
    await second.label()
    await first.at_work(turns=3)  # two of them are the second's, which has then finished
    await second.comment("/honk stop")
    await second.settled()

    assert "**Stopped.**" in second.status
    assert first.labels == ["honk:running"]
    await first.comment("/honk stop")
    await first.settled()


async def test_taking_the_label_off_stops(harness: Harness) -> None:
    subject = await harness.subject(plays=script(ENDLESS))
    await subject.label()
    await _running(subject)
    await harness.github.remove_label(subject.repository, subject.number, "honk:running", "olivia")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    assert subject.pulls == []


async def test_a_comment_while_it_works_joins_the_run(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    async with subject.thinking():
        await subject.label()
        await subject.at_work()
        await subject.comment("/honk mind the style, please")
        await subject.message_kept()
    await subject.settled()

    last = [r for r in harness.model.requests if subject.repository in str(r)][-1]
    assert "olivia wrote while you worked" in str(last)
    assert "mind the style, please" in str(last)
    assert len(subject.pulls) == 1
    assert [r.content for r in subject.issue.comments[-2].reactions] in (["eyes"], [])


async def test_a_comment_that_comes_too_late_starts_the_next_attempt(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH], [FINISH]))
    await subject.label()
    await harness.until(lambda: "Running tests" in str(subject.ours), "it does not verify")
    await subject.comment("/honk and say it in the docs")
    await subject.settled(endings=2)
    last = [r for r in harness.model.requests if subject.repository in str(r)][-1]
    assert "and say it in the docs" in str(last)
    assert len(subject.pulls) == 1


@pytest.mark.slow
async def test_a_comment_at_the_moment_a_run_ends_starts_the_next_attempt(
    harness: Harness,
) -> None:
    subject = await harness.subject(
        plays=script({"use": [FIX], "seconds": 1.0}, [FINISH], [FINISH])
    )
    await subject.label()
    await subject.at_work()
    # Intake saw the run at work, and stores the message after the run's last check for messages.
    harness.github.faults.answer("POST", "/graphql$", 0, delay=10.0)
    await subject.comment("/honk and say it in the docs")
    await subject.settled()
    assert "and say it in the docs" not in subject.model_input

    await subject.settled(endings=2)
    assert "and say it in the docs" in subject.model_input
    assert len(subject.pulls) == 1


@pytest.mark.slow
async def test_messages_that_the_run_read_start_nothing(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    async with subject.thinking():
        await subject.label()
        await subject.at_work()
        # The message is stored before the acknowledgment shows, by which time the run has ended.
        path = f"{subject.repository}/issues/comments/"
        harness.github.faults.answer("POST", path, 0, delay=8.0)
        await subject.comment("/honk mind the style, please")
        await subject.message_kept()
    await subject.settled()
    assert "mind the style, please" in subject.model_input

    await _taken_in(harness)
    assert _attempts(subject) == 1
    assert subject.labels == ["honk:done"]


@pytest.mark.slow
async def test_a_message_to_a_failing_attempt_starts_one_more_only(
    harness: Harness,
) -> None:
    policy = b'verify: ["pytest"]\nsetup: ["sleep 3; exit 1"]\n'
    subject = await harness.subject(
        files={**PROJECT, ".github/honk.yml": policy}, plays=script([FIX], [FINISH])
    )
    await subject.label()
    await _running(subject)
    await subject.comment("/honk mind the style, please")
    await subject.settled(endings=2)

    await _taken_in(harness)
    left = (
        "SELECT 1 FROM runs JOIN workflow_status ON workflow_uuid LIKE id || '.%' "
        "WHERE repository = :repository AND status IN ('PENDING', 'ENQUEUED')"
    )
    await harness.until(
        lambda: not harness.sql(left, repository=subject.repository), "an attempt is left"
    )
    assert _attempts(subject) == 2
    assert subject.labels == ["honk:failed"]


async def test_a_stop_covers_earlier_requests_too(harness: Harness) -> None:
    subject = await harness.subject(plays=script(ENDLESS, [FIX], [FINISH]))
    await subject.label()
    await subject.at_work()
    await subject.comment("/honk mind the style, please")
    await subject.message_kept()
    await subject.comment("/honk stop")
    await subject.settled()

    await _taken_in(harness)
    assert _attempts(subject) == 1
    assert subject.labels == ["honk:needs-you"]


@pytest.mark.slow
async def test_a_quick_reply_to_the_final_comment_meets_an_ended_run(
    harness: Harness,
) -> None:
    subject = await harness.subject(plays=script(ENDLESS, [FIX], [FINISH]))
    await subject.label()
    await subject.at_work()
    # The effects of the last comment take a while.
    path = f"{subject.repository}/issues/{subject.number}/labels"
    slow = harness.github.faults.answer("*", path, 0, delay=3.0)
    await subject.comment("/honk stop")
    await harness.until(
        lambda: slow not in harness.github.faults.answers and "honk:end=" in str(subject.ours),
        "no last words",
    )
    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert "already" not in str(subject.ours)
    assert subject.labels == ["honk:done"]


@pytest.mark.slow
async def test_two_people_who_continue_at_once_continue_it_once(harness: Harness) -> None:
    subject = await harness.subject(
        permissions={"walter": "write"}, plays=script(ENDLESS, [FIX], [FINISH])
    )
    await subject.label()
    await subject.at_work()
    await subject.comment("/honk stop")
    await subject.settled()
    looks = harness.github.faults.answer("POST", "/graphql$", 0, delay=8.0)
    await subject.comment("/honk continue")
    await harness.until(
        lambda: looks not in harness.github.faults.answers, "the request is never sent"
    )
    await subject.comment("/honk continue", by="walter")
    await subject.settled(endings=2)

    await _taken_in(harness)
    assert _attempts(subject) == 2
    assert subject.labels == ["honk:done"]
    assert "**Done.**" in subject.status


async def test_the_next_comment_is_the_answer(harness: Harness) -> None:
    ask = {"ask": {"question": "Which calculator?"}}
    subject = await harness.subject(
        permissions={"walter": "write"}, plays=script(ask, [FIX], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert "Which calculator?" in subject.last_words

    await subject.comment("I wonder, too.", by="walter")
    await subject.comment("The only one there is.")
    await subject.settled(endings=2)
    last = [r for r in harness.model.requests if subject.repository in str(r)][-1]
    assert "The only one there is." in str(last)
    assert "I wonder, too." not in str(last)
    assert subject.check.conclusion == "success"


async def test_an_answer_by_somebody_else_needs_the_command(harness: Harness) -> None:
    ask = {"ask": {"question": "Which calculator?"}}
    subject = await harness.subject(
        permissions={"walter": "write"}, plays=script(ask, [FIX], [FINISH])
    )
    await subject.label()
    await subject.settled()
    await subject.comment("/honk this one", by="walter")
    await subject.settled(endings=2)
    assert subject.check.conclusion == "success"


async def test_an_issue_with_an_open_pull_request_is_not_worked_on_twice(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    await subject.label()
    words = await subject.refused()
    assert f"#{subject.pull.number} is already open" in words
    assert "/honk retry" in words
    assert "/honk <what to change>" in words

    await subject.comment("/honk retry")
    await harness.until(lambda: len(subject.pulls) == 2, "there is no second try")


async def test_the_days_money_is_a_limit_for_all_runs_together(harness: Harness) -> None:
    files = {**PROJECT, ".github/honk.yml": b"budget: {per_day_usd: 0.0001}\n"}
    subject = await harness.subject(files=files, plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    assert "**Budget spent.**" in subject.status
    await subject.comment("/honk continue")
    assert "budget.per_day_usd" in await subject.refused()


@pytest.mark.slow
async def test_the_days_money_of_an_account_leaves_the_others_theirs() -> None:
    async with open_harness(HONK_MAX_USD_PER_DAY_INSTALLATION="0.0001") as small:
        spent = await small.subject(plays=script([FIX], [FINISH]), owner="spendthrift")
        await spent.label()
        await spent.settled()
        assert "**Budget spent.**" in spent.status
        await spent.comment("/honk continue")
        assert "HONK_MAX_USD_PER_DAY_INSTALLATION" in await spent.refused()
        await spent.comment("/honk doctor")
        await small.until(
            lambda: any("Budget today, this account" in each.body for each in spent.ours),
            "doctor does not tell",
        )
        other = await small.subject(plays=script([FIX], [FINISH]), owner="another")
        await other.label()
        await other.settled()
        assert "**Budget spent.**" in other.status  # its own, not refused at the start


async def test_hold_keeps_everything_from_starting(harness: Harness) -> None:
    subject = await harness.subject()
    await subject.label("honk:hold")
    await subject.label()
    assert "honk:hold" in await subject.refused()
    assert subject.pulls == []


def _answers(subject: Subject) -> int:
    return sum("<!-- honk:answer=" in comment.body for comment in subject.ours)


async def test_status_and_help_are_answered(harness: Harness) -> None:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.comment("/honk status")
    async with subject.thinking():
        await subject.label()
        await subject.at_work()
        await subject.comment("/honk status")
        await subject.comment("/honk help")
        await harness.until(lambda: _answers(subject) == 3, "not all are answered")
    await subject.settled()
    answers = [c.body for c in subject.ours if "<!-- honk:answer=" in c.body]
    assert len(answers) == 3
    assert "Honk has not run here yet" in answers[0]
    assert sum("Working." in answer for answer in answers) == 1
    assert sum("`/honk ready`" in answer for answer in answers) == 1


async def test_nothing_to_stop_and_nothing_to_continue_are_reported(harness: Harness) -> None:
    subject = await harness.subject()
    await subject.comment("/honk stop")
    assert "Nothing to stop" in await subject.refused()
    other = await harness.subject()
    await other.comment("/honk continue")
    assert "no unfinished run" in await other.refused()


async def test_a_queued_run_is_acknowledged_and_stopped_at_once() -> None:
    async with open_harness_with_one_worker(HONK_CONCURRENCY="1") as small:
        first = await small.subject(plays=script(ENDLESS))
        second = await small.subject()
        await first.label()
        await _running(first)
        await second.label()
        await small.until(lambda: "honk:queued" in second.labels, "it was not heard")
        assert second.reactions == ["eyes"]
        await second.comment("/honk stop")
        await second.settled()
        assert "**Stopped.**" in second.status
        await first.comment("/honk stop")
        await first.settled()
