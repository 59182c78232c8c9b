"""Claude Code as the agent: the same stories as for Honk's own, with the real CLI."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.claude_code import FILES, FINISH, FIX, needs_claude_code, own
from tests.support.harness import Harness, open_harness, script

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENDLESS = {"Bash": {"command": "sleep 300", "timeout": 600_000}}


@pytest.fixture(autouse=True)
def _claude_code() -> None:
    needs_claude_code()


async def test_a_label_becomes_a_pull_request(harness: Harness) -> None:
    plan = own("plan", items=[{"text": "Fix add()", "done": False}])
    subject = await harness.subject(
        files=FILES, plays=script([plan], *FIX, [own("verify")], [FINISH])
    )
    await subject.label()
    await subject.settled()

    assert subject.check.title == "Proven: 1 test fails without this change"
    assert subject.pull.body is not None
    assert "add() now adds." in subject.pull.body
    assert "**Done.**" in subject.status
    assert "Fix add()" in subject.status
    assert subject.labels == ["honk:done"]
    head = await subject.git("rev-parse", subject.pull.pull.head)  # type: ignore[union-attr]
    changed = await subject.git("diff", "--name-only", "main", head.strip())
    assert changed.split() == ["calc.py"]


async def test_a_question_ends_the_attempt_and_its_answer_goes_on(harness: Harness) -> None:
    ask = own("ask", question="Which way should add() round?")
    subject = await harness.subject(files=FILES, plays=script([ask], *FIX, [FINISH], [FINISH]))
    await subject.label()
    await subject.settled()
    assert "Which way should add() round?" in subject.last_words
    assert subject.labels == ["honk:needs-you"]
    asked = len(subject.requests)

    await subject.comment("/honk It should not round at all.")
    await subject.settled(endings=2)
    assert "It should not round at all." in str(subject.requests[asked]["messages"])
    # The second attempt goes on in the same session: the first turn was not asked for again.
    assert "Which way should add() round?" in str(subject.requests[asked]["messages"])
    assert subject.check.title == "Proven: 1 test fails without this change"
    # finish came without verify, so the agent was shown its result first.
    assert "you changed something after the last call of verify" in str(subject.requests[-1])


@pytest.mark.slow
async def test_stop_ends_it_in_the_middle_of_a_command_and_keeps_the_work(
    harness: Harness,
) -> None:
    subject = await harness.subject(
        files=FILES, plays=script(*FIX, [ENDLESS], [own("verify")], [FINISH])
    )
    await subject.label()
    # Claude Code's very first request may be one that the API refuses, so turns are counted.
    await harness.until(
        lambda: any(_answers(request) == 2 for request in subject.requests), "no third turn"
    )
    await subject.comment("/honk stop")
    await subject.settled()
    assert "**Stopped.**" in subject.status
    head = (await subject.git("rev-parse", "honk/1-add-subtracts")).strip()
    assert "return a + b" in await subject.git("show", f"{head}:calc.py")

    harness.model.scripts[subject.name] = script(*FIX, [own("verify")], [FINISH])
    await subject.comment("/honk continue")
    await subject.settled(endings=2)
    assert subject.check.conclusion == "success"
    assert subject.pull.pull is not None
    assert subject.pull.pull.head_sha == head


@pytest.mark.slow
async def test_a_comment_while_it_works_joins_the_run(harness: Harness) -> None:
    subject = await harness.subject(files=FILES, plays=script(*FIX, [own("verify")], [FINISH]))
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
async def test_a_spent_budget_ends_it_and_more_lets_it_go_on(harness: Harness) -> None:
    files = {**FILES, ".github/honk.yml": b"engine: claude-code\nbudget: {turns: 3}\n"}
    looks = [[{"Bash": {"command": f"echo {n}"}}] for n in range(2)]
    subject = await harness.subject(
        files=files, plays=script(*FIX, *looks, [own("verify")], [FINISH])
    )
    await subject.label()
    await subject.settled()
    assert "**Budget spent.**" in subject.status
    assert subject.labels == ["honk:needs-you"]

    await subject.comment("/honk continue budget=5")
    await subject.settled(endings=2)
    assert subject.labels == ["honk:done"]
    assert subject.check.conclusion == "success"


@pytest.mark.slow
@pytest.mark.parametrize("turns", [1, 3])
async def test_killed_in_the_middle_it_goes_on_in_the_recorded_session(turns: int) -> None:
    async with open_harness() as harness:
        looks = [{"use": [{"Bash": {"command": f"echo {n}"}}], "seconds": 0.3} for n in range(2)]
        subject = await harness.subject(
            files=FILES, plays=script(*FIX, *looks, [own("verify")], [FINISH])
        )
        await subject.label()
        await subject.at_work(turns=turns + 1)
        await harness.kill()
        await harness.start()
        await subject.settled()

        assert subject.check.title == "Proven: 1 test fails without this change"
        assert "**Done.**" in subject.status
        assert len(subject.pulls) == 1
        edits = [r for r in subject.requests if _answers(r) == 1]
        assert len(edits) <= 2, "a turn with recorded results was asked for again"


def _answers(request: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in request["messages"])


async def test_an_agent_that_stops_in_words_is_sent_back_to_verify(harness: Harness) -> None:
    words = {"say": "All done."}
    subject = await harness.subject(files=FILES, plays=script(*FIX, words, [FINISH]))
    await subject.label()
    await subject.settled()
    last = str(subject.requests[-1]["messages"])
    assert "verify says:" in last
    assert "Verdict so far: Proven" in last
    assert subject.labels == ["honk:done"]
