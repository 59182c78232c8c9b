"""The engine replays an attempt by the names and the order of its steps, so they are a contract.

A change of these names or of their order breaks every run in progress, unless `queue.HISTORY`
changes with it (such a run then ends with an explanation) or the change goes through `DBOS.patch`.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import log_events
from app.runs import queue
from tests.stories.test_conversation_on_pulls import FIX_TRIPLE, proposal
from tests.support.harness import FINISH, FIX, OWNER, Harness, Subject, open_harness, script

GOLDEN = Path(__file__).with_name("workflow_history.json")
_STEPS = """
    SELECT workflow_uuid, function_name FROM operation_outputs
    JOIN workflow_status USING (workflow_uuid)
    WHERE name = 'attempt' AND workflow_uuid LIKE :run || '.%'
    ORDER BY workflow_uuid, function_id
"""

_UNFINISHED = """
    SELECT 1 FROM workflow_status JOIN runs ON workflow_uuid LIKE runs.id || '.%'
    WHERE name = 'attempt' AND status IN ('ENQUEUED', 'PENDING') AND repository = :repository
"""


async def _steps(subject: Subject) -> list[list[str]]:
    """The names of the recorded steps, for each attempt of the subject's runs."""
    harness = subject.harness
    await harness.until(
        lambda: not harness.sql(_UNFINISHED, repository=subject.repository),
        "an attempt is not over",
    )
    runs = harness.sql(
        "SELECT id FROM runs WHERE repository = :repository AND number = :number"
        " ORDER BY created_at",
        repository=subject.repository,
        number=subject.number,
    )
    attempts: dict[str, list[str]] = {}
    for (run,) in runs:
        for attempt, name in harness.sql(_STEPS, run=run):
            attempts.setdefault(attempt, []).append(name)
    return list(attempts.values())


async def _work(harness: Harness) -> Subject:
    subject = await harness.subject(plays=script([FIX], [FINISH]))
    await subject.label()
    await subject.settled()
    return subject


async def _plan_and_go(harness: Harness) -> Subject:
    subject = await harness.subject(plays=script([FINISH], [FIX], [FINISH]))
    await subject.comment("/honk plan")
    await subject.settled()
    await subject.comment("/honk go")
    await subject.settled(endings=2)
    return subject


async def _ask(harness: Harness) -> Subject:
    subject = await harness.subject(plays=script([FINISH]))
    await subject.comment("/honk ask what is double?")
    await subject.settled()
    return subject


async def _test(harness: Harness) -> Subject:
    subject = await proposal(harness)
    await subject.comment("/honk test")
    await subject.settled()
    return subject


async def _rebase(harness: Harness) -> Subject:
    issue = await _work(harness)
    await harness.github.push_files(issue.repository, "main", {"README": b"Hi\n"}, OWNER)
    subject = Subject(harness, issue.repository, issue.pull.number)
    await subject.comment("/honk rebase")
    await subject.settled()
    return subject


async def _fork(harness: Harness) -> Subject:
    subject = await proposal(harness, [FIX_TRIPLE], [FINISH], by="trudy", fork=True)
    await subject.comment("/honk triple should triple")
    await subject.settled()
    return subject


async def _stop(harness: Harness) -> Subject:
    endless = {"use": [{"bash": {"command": "sleep 300"}}]}
    subject = await harness.subject(plays=script([FIX], endless))
    await subject.label()
    await subject.at_work(turns=2)
    await subject.comment("/honk stop")
    await subject.settled()
    return subject


async def _failure(harness: Harness) -> Subject:
    files = {"README": b"Hi\n", ".github/honk.yml": b"setup: ['false']\n"}
    subject = await harness.subject(files=files, plays=script([FINISH]))
    await subject.label()
    await subject.settled()
    return subject


_MODES = {
    "work": _work,
    "plan and go": _plan_and_go,
    "ask": _ask,
    "test": _test,
    "rebase": _rebase,
    "fork": _fork,
    "stop": _stop,
    "failure": _failure,
}


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("mode", _MODES)
async def test_the_steps_of_each_mode_are_those_on_record(harness: Harness, mode: str) -> None:
    steps = await _steps(await _MODES[mode](harness))
    golden = json.loads(GOLDEN.read_text())
    assert golden["version"] == queue.HISTORY
    assert steps == golden["steps"][mode], f"change HISTORY in app/runs/queue.py with {GOLDEN.name}"


@pytest.mark.slow
async def test_a_run_that_an_incompatible_version_began_ends_with_an_explanation() -> None:
    async with open_harness() as harness:
        looks = [{"use": [{"bash": {"command": f"echo {n}"}}], "seconds": 0.3} for n in range(6)]
        subject = await harness.subject(plays=script([FIX], *looks, [FINISH]))
        await subject.label()
        await subject.at_work(turns=4)
        await harness.kill()
        harness.sql(
            "UPDATE operation_outputs SET function_name = 'older' WHERE function_name = 'prepare'"
        )
        await harness.start()
        await subject.settled()

        assert "Honk was updated while this run was in progress" in subject.last_words
        assert subject.labels == ["honk:failed"]
        await subject.comment("/honk continue")
        await subject.settled(endings=2)
        assert "return a + b" in await subject.git("show", f"{subject.check.head_sha}:calc.py")
        assert subject.check.conclusion == "success"


@pytest.mark.slow
async def test_a_request_that_an_incompatible_version_began_is_started_over() -> None:
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        away = harness.github.faults.answer("POST", f"/{subject.repository}/.*/comments$", 503)
        away.times = None
        await subject.label()
        await harness.until(lambda: log_events.STEP_WAITING in harness.log(), "no step waits")
        await harness.kill()
        begun = harness.sql(
            "UPDATE operation_outputs SET function_name = 'older' WHERE function_name = 'authorize'"
            " RETURNING workflow_uuid"
        )
        assert len(begun) == 1
        harness.github.faults.answers.remove(away)
        await harness.start()
        await subject.settled()

        assert log_events.HISTORY_MISMATCH in harness.log()
        assert subject.labels == ["honk:done"]
        assert subject.check.conclusion == "success"
