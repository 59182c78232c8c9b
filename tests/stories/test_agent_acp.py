"""The operator's agent over the Agent Client Protocol: the same stories again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.harness import PROJECT, Harness, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

AGENT = Path(__file__).parents[1] / "support" / "acp_agent_folder"
SETTINGS = {
    "HONK_ENGINE": "acp",
    "HONK_ACP_COMMAND": "python3 -I /opt/agent/agent",
    "HONK_ACP_FOLDER": str(AGENT),
}
FIX = {"shell": {"command": "sed -i 's/return a - b/return a + b/' calc.py && cat calc.py"}}
NOTES = {"write": {"path": "/workspace/NOTES.md", "content": "add() adds.\n"}}
FINISH = {"finish": {"summary": "add() now adds.", "not_done": "", "how_to_check": "Run pytest."}}
VERIFY: dict[str, Any] = {"verify": {}}
ENDLESS = {"shell": {"command": "sleep 300"}}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="acp")
async def _acp() -> AsyncIterator[Harness]:
    async with open_harness(**SETTINGS) as opened:
        yield opened


async def test_a_label_becomes_a_pull_request(acp: Harness) -> None:
    plan = {"plan": {"items": [{"text": "Fix add()", "done": False}]}}
    subject = await acp.subject(plays=script([plan], [FIX], [NOTES], [VERIFY], [FINISH]))
    await subject.label()
    await subject.settled()

    assert subject.check.title == "Proven: 1 test fails without this change"
    assert subject.pull.body is not None
    assert "add() now adds." in subject.pull.body
    assert "Fix add()" in subject.status
    assert subject.pull.pull is not None
    head = subject.pull.pull.head_sha
    changed = await subject.git("diff", "--name-only", "main", head)
    assert changed.split() == ["NOTES.md", "calc.py"]
    # The agent read back what it wrote through its client, and saw what its terminal showed.
    assert "add() adds." in str(subject.requests[-1]["messages"])
    assert "def double" in str(subject.requests[-1]["messages"])


@pytest.mark.slow
async def test_a_question_ends_the_attempt_and_its_answer_goes_on(acp: Harness) -> None:
    ask = {"ask": {"question": "Which way should add() round?"}}
    subject = await acp.subject(plays=script([ask]))
    await subject.label()
    await subject.settled()
    assert "Which way should add() round?" in subject.last_words
    asked = len(subject.requests)

    acp.model.scripts[subject.name] = script([FIX], [FINISH], [FINISH])
    await subject.comment("/honk It should not round at all.")
    await subject.settled(endings=2)
    first = str(subject.requests[asked]["messages"])
    assert "Which way should add() round?" in first
    assert "It should not round at all." in first
    assert subject.check.title == "Proven: 1 test fails without this change"
    assert "you changed something after the last call of verify" in str(subject.requests[-1])


@pytest.mark.slow
async def test_stop_ends_it_in_the_middle_of_a_command_and_keeps_the_work(acp: Harness) -> None:
    subject = await acp.subject(plays=script([FIX], [ENDLESS]))
    await subject.label()
    await subject.at_work(turns=2)
    await subject.comment("/honk stop")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    head = (await subject.git("rev-parse", "honk/1-add-subtracts")).strip()
    assert "return a + b" in await subject.git("show", f"{head}:calc.py")

    acp.model.scripts[subject.name] = script([VERIFY], [FINISH])
    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert subject.check.conclusion == "success"


@pytest.mark.slow
async def test_a_comment_while_it_works_joins_the_run(acp: Harness) -> None:
    subject = await acp.subject(plays=script([FIX], [VERIFY], [FINISH]))
    async with subject.thinking():
        await subject.label()
        await subject.at_work()
        await subject.comment("/honk mind the style, please")
        await subject.message_kept()
    await subject.settled()
    for request in subject.requests[1:]:
        assert str(request["messages"]).count("mind the style, please") == 1
    assert len(subject.pulls) == 1


@pytest.mark.slow
async def test_a_spent_budget_ends_it_and_more_lets_it_go_on(acp: Harness) -> None:
    files = {**PROJECT, ".github/honk.yml": b"budget: {turns: 2}\n"}
    looks = [[{"shell": {"command": f"echo {n}"}}] for n in range(3)]
    subject = await acp.subject(files=files, plays=script([FIX], *looks))
    await subject.label()
    await subject.settled()
    assert "**Budget spent.**" in subject.status

    acp.model.scripts[subject.name] = script([VERIFY], [FINISH])
    await subject.comment("/honk continue budget=5")
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"]


@pytest.mark.slow
async def test_an_agent_that_stops_in_words_is_sent_back_to_verify(acp: Harness) -> None:
    subject = await acp.subject(plays=script([FIX], {"say": "All done."}, [FINISH]))
    await subject.label()
    await subject.settled()
    assert "Verdict so far: Proven" in str(subject.requests[-1]["messages"])
    assert subject.labels == ["honk:done"]


@pytest.mark.slow
async def test_killed_in_the_middle_it_goes_on_with_what_is_recorded() -> None:
    async with open_harness(**SETTINGS) as harness:
        look = {"use": [{"shell": {"command": "echo looked"}}], "seconds": 0.5}
        subject = await harness.subject(plays=script([FIX], look, [VERIFY], [FINISH]))
        await subject.label()
        # The second turn begins while the first is being recorded.
        kept = "SELECT 1 FROM turns WHERE snapshot IS NOT NULL"
        await harness.until(lambda: bool(harness.sql(kept)), "nothing is recorded")
        await harness.kill()
        asked = len(subject.requests)
        harness.model.scripts[subject.name] = script([VERIFY], [FINISH])
        await harness.start()
        await subject.settled()

        assert "You called shell: " in str(subject.requests[asked]["messages"])
        assert subject.check.title == "Proven: 1 test fails without this change"
        assert len(subject.pulls) == 1
