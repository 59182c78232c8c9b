"""The loop: how it continues, ends and resumes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from app.agent.engine import (
    Budget,
    BudgetSpent,
    Done,
    ModelDeclined,
    Question,
    Stopped,
    Stuck,
    TurnRecord,
)
from app.agent.engines.anthropic.conversation import NUDGE, repeats
from app.errors import RetryableError
from app.playground.model import ModelScript, ScriptedTurn
from app.sandbox.spec import EditResult
from tests.support.model_api import (
    QUICK,
    SUBJECT,
    Desk,
    MemoryHands,
    MemoryTranscript,
    asking,
    ended,
)

FIX = """
turns:
  - think: "First look."
    say: "Looking around."
    use: [{bash: {command: "cat /workspace/a.py"}}]
  - use:
      - str_replace_based_edit_tool:
          {command: str_replace, path: /workspace/a.py, old_str: "+ 2", new_str: "+ 1"}
      - plan: {items: [{text: "Fix it", done: true}, {text: "Test it", done: false}]}
  - think: "Now the tests."
    use: [{verify: {}}]
  - use: [{finish: {summary: "Mended.", not_done: "", how_to_check: "Run it."}}]
"""
FIXED = Done(summary="Mended.", not_done="", how_to_check="Run it.")
FILES = {"/workspace/a.py": "x = 1 + 2\n"}


def texts(record: TurnRecord) -> str:
    return str(record.content)


async def test_a_whole_run_is_recorded_turn_by_turn() -> None:
    async with asking(FIX) as (model, server):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        assert await desk.run() == FIXED
    assert desk.hands.files == {"/workspace/a.py": "x = 1 + 1\n"}
    assert desk.verified == 1
    turns = desk.transcript.turns
    assert [turn.seq for turn in turns] == list(range(9))
    assert [turn.role for turn in turns] == ["user", "assistant"] * 4 + ["user"]
    assert texts(turns[0]).count(f"Subject: {SUBJECT}") == 1
    assert "x = 1 + 2" in texts(turns[2])
    assert all(turn.cost_usd > 0 for turn in turns if turn.role == "assistant")
    assert turns[1].usage is not None
    assert turns[1].usage["model"] == "claude-sonnet-5-5"
    assert turns[1].usage["price_known"] is True
    # finish touches nothing: the tree is still the one after verify.
    assert [turns[i].snapshot for i in (2, 4, 6, 8)] == [f"{n:040x}" for n in (1, 2, 3, 3)]
    assert len(server.requests) == 4


async def test_progress_shows_plan_cost_and_tools() -> None:
    async with asking(FIX) as (model, _):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        await desk.run()
    first, last = desk.progress[0], desk.progress[-1]
    assert (first.turns, first.doing, first.saying) == (1, ("bash",), "Looking around.")
    assert [(item.text, item.done) for item in last.plan] == [("Fix it", True), ("Test it", False)]
    assert last.turns == 4
    assert last.cost_usd == pytest.approx(sum(t.cost_usd for t in desk.transcript.turns))


@pytest.mark.parametrize("seq", range(9))
async def test_a_run_that_dies_at_any_turn_is_taken_up_again(seq: int) -> None:
    async with asking(FIX) as (model, server):
        desk = Desk(model, transcript=MemoryTranscript(fail_at=seq))
        desk.hands.files.update(FILES)
        with pytest.raises(ConnectionError):
            await desk.run()
        assert len(desk.transcript.turns) == seq
        if seq == 4:
            desk.hands.files.update(FILES)  # the caller restores the last snapshot
        assert await desk.run() == FIXED
    assert desk.hands.files == {"/workspace/a.py": "x = 1 + 1\n"}
    assert [turn.role for turn in desk.transcript.turns] == ["user", "assistant"] * 4 + ["user"]
    # Only a turn that was asked for and not recorded is asked for again. A request may begin before
    # the results in it are durable; its answer is recorded after them.
    assert len(server.requests) <= 5
    assert len(server.requests) == 5 or seq not in (1, 3, 5, 7)


async def test_a_run_that_had_ended_gives_the_same_ending_again() -> None:
    async with asking(FIX) as (model, server):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        await desk.run()
        before = list(desk.transcript.turns)
        assert await desk.run() == FIXED
    assert desk.transcript.turns == before
    assert len(server.requests) == 4


async def test_feedback_goes_on_in_the_same_conversation() -> None:
    script = ModelScript.parse(
        FIX + "  - use: [{finish: {summary: Again., not_done: '', how_to_check: ''}}]\n"
    )
    async with asking(script) as (model, server):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        assert await desk.run() == FIXED
        again = await desk.run("A test still fails.", feedback_id="correction 1")
        assert again == Done(summary="Again.")
        resumed = await desk.run("A test still fails.", feedback_id="correction 1")
    assert resumed == again
    heard = [t for t in desk.transcript.turns if "A test still fails." in texts(t)]
    assert len(heard) == 1
    last = server.requests[-1]["messages"][-1]
    assert [block["type"] for block in last["content"]] == ["tool_result", "text"]


async def test_feedback_after_an_interrupted_turn_comes_after_its_results() -> None:
    async with asking(FIX) as (model, _):
        desk = Desk(model, transcript=MemoryTranscript(fail_at=2))
        desk.hands.files.update(FILES)
        with pytest.raises(ConnectionError):
            await desk.run()
        assert await desk.run("Hurry.") == FIXED
    assert desk.transcript.turns[3].content == [{"type": "text", "text": "Hurry."}]


async def test_a_question_ends_the_attempt_and_its_answer_goes_on() -> None:
    script = """
turns:
  - use: [{ask: {question: "Which of the two?"}}]
  - use: [{finish: {summary: "The first.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model)
        assert await desk.run() == Question(text="Which of the two?")
        assert await desk.run("The first.") == Done(summary="The first.")


async def test_messages_are_read_before_the_next_turn() -> None:
    async with asking(FIX) as (model, server):
        desk = Desk(model, words=[[], ["Mind the style."]])
        desk.hands.files.update(FILES)
        assert await desk.run() == FIXED
    second = server.requests[1]["messages"][-1]["content"]
    assert "Mind the style." in second[-1]["text"]


async def test_messages_are_read_before_the_work_is_done() -> None:
    script = """
turns:
  - use: [{finish: {summary: "Too early.", not_done: "", how_to_check: ""}}]
  - use: [{finish: {summary: "Now.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model, words=[[], ["Wait, the docs too."]])
        assert await desk.run() == Done(summary="Now.")


@pytest.mark.parametrize("when", ["before", "tool", "stream"])
async def test_a_stop_is_seen_within_half_a_second(when: str) -> None:
    script = """
turns:
  - use: [{bash: {command: "sleep %s"}}, {bash: {command: "cat a"}}]
  - {say: "...", seconds: 30}
""" % (30 if when == "tool" else 0)
    async with asking(script) as (model, _):
        desk = Desk(model)
        if when == "before":
            desk.stop.set()
        task = asyncio.create_task(desk.run())
        await asyncio.sleep(0.4)
        desk.stop.set()
        began = time.monotonic()
        assert await task == Stopped()
        assert time.monotonic() - began < 0.5
    turns = desk.transcript.turns
    if when == "before":
        assert len(turns) == 1
    if when == "tool":
        assert desk.hands.cancelled == 1
        assert [b["is_error"] for b in turns[-1].content] == [True, True]
        assert turns[-1].snapshot is not None
    if when == "stream":
        assert [t.role for t in turns] == ["user", "assistant", "user"]


async def test_a_stopped_run_can_be_continued() -> None:
    script = """
turns:
  - use: [{bash: {command: "sleep 30"}}]
  - use: [{finish: {summary: "Kept.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model)
        task = asyncio.create_task(desk.run())
        await asyncio.sleep(0.3)
        desk.stop.set()
        assert await task == Stopped()
        desk.stop.clear()
        assert await desk.run("continue") == Done(summary="Kept.")


async def _at_its_command(desk: Desk) -> None:
    """Wait until a command of the agent's has begun."""
    for _ in range(1500):
        if desk.hands.commands:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("no command has begun")


async def test_cancelling_the_run_leaves_a_transcript_to_take_up() -> None:
    script = """
turns:
  - use: [{bash: {command: "sleep 1"}}]
  - use: [{finish: {summary: "After all.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model)
        task = asyncio.create_task(desk.run())
        await _at_its_command(desk)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert desk.hands.cancelled == 1
        assert desk.transcript.turns[-1].role == "assistant"
        assert await desk.run() == Done(summary="After all.")


def looking(body: dict[str, Any]) -> ScriptedTurn:
    """Never finishes, and never does the same twice."""
    return ScriptedTurn(use=({"bash": {"command": f"cat {len(body['messages'])}"}},))


async def test_turns_run_out() -> None:
    async with asking(looking) as (model, server):
        desk = Desk(model, budget=Budget(usd=5, seconds=60, turns=3))
        assert await desk.run() == BudgetSpent(which="turns")
        assert len(server.requests) == 3
        assert await desk.run() == BudgetSpent(which="turns")
        assert len(server.requests) == 3
        desk.budget = Budget(usd=5, seconds=60, turns=5)
        assert await desk.run("continue") == BudgetSpent(which="turns")
        assert len(server.requests) == 5


async def test_money_runs_out() -> None:
    async with asking(looking) as (model, _):
        desk = Desk(model, budget=Budget(usd=0.004, seconds=60, turns=99))
        assert await desk.run() == BudgetSpent(which="money")
    costs = [turn.cost_usd for turn in desk.transcript.turns]
    assert sum(costs) >= 0.004
    assert sum(costs) - max(costs) < 0.004


async def test_time_runs_out_in_the_middle_of_a_tool() -> None:
    script = "turns: [{use: [{bash: {command: 'sleep 30'}}]}]"
    async with asking(script) as (model, _):
        desk = Desk(model, budget=Budget(usd=5, seconds=0.5, turns=99))
        began = time.monotonic()
        assert await desk.run() == BudgetSpent(which="time")
        assert time.monotonic() - began < 1.5
        assert desk.hands.seconds == [1.0]
        # What earlier attempts used counts.
        assert await desk.run() == BudgetSpent(which="time")


async def test_streams_that_were_lost_are_paid_for() -> None:
    script = "turns: [{say: x, fault: early_end}, {say: y}]"
    async with asking(script) as (model, _):
        desk = Desk(model, budget=Budget(usd=5, seconds=60, turns=1))
        await desk.run()
    usage = desk.transcript.turns[1].usage
    assert usage is not None
    assert len(usage["discarded"]) == 1
    whole = usage["output_tokens"] * 10 / 1e6
    assert desk.transcript.turns[1].cost_usd > whole


async def test_an_unknown_model_is_flagged() -> None:
    async with asking(FIX) as (model, _):
        desk = Desk(model, model_id="gateway/own", budget=Budget(usd=5, seconds=60, turns=1))
        await desk.run()
    usage = desk.transcript.turns[1].usage
    assert usage is not None
    assert usage["price_known"] is False


async def test_talk_is_nudged_twice_and_then_taken_as_the_end() -> None:
    async with asking(lambda _: ScriptedTurn(say="I think it is fine.")) as (model, server):
        desk = Desk(model)
        ending = await desk.run()
        assert isinstance(ending, Done)
        assert ending.summary == "I think it is fine."
        assert "finish" in ending.not_done
        assert len(server.requests) == 3
        assert sum(turn.content == [NUDGE] for turn in desk.transcript.turns) == 2
        assert await desk.run() == ending
        # New instructions reset the count.
        await desk.run("Is it?")
        assert len(server.requests) == 6


async def test_a_tool_call_between_resets_the_nudges() -> None:
    def talk(body: dict[str, Any]) -> ScriptedTurn:
        said = sum(message["role"] == "assistant" for message in body["messages"])
        if said == 2:
            return ScriptedTurn(use=({"bash": {"command": "cat a"}},))
        return ScriptedTurn(say=f"Word {said}.")

    async with asking(talk) as (model, _):
        ending = await Desk(model).run()
    assert isinstance(ending, Done)
    assert ending.summary == "Word 5."


async def test_repeated_calls_get_a_warning_and_then_end_the_run() -> None:
    turn = ScriptedTurn(use=({"bash": {"command": "fail"}},))
    async with asking(lambda _: turn) as (model, server):
        desk = Desk(model)
        ending = await desk.run()
    assert ending == Stuck(tool="bash", times=6)
    assert len(server.requests) == 6
    told = [t for t in desk.transcript.turns if "several times in a row" in texts(t)]
    assert [t.seq for t in told] == [7, 10, 13]


async def test_the_same_call_with_another_result_is_no_circle() -> None:
    turn = ScriptedTurn(use=({"bash": {"command": "date"}},))
    async with asking(lambda _: turn) as (model, _):
        desk = Desk(model, budget=Budget(usd=5, seconds=60, turns=8))
        desk.hands.answer = lambda _: ended(str(len(desk.hands.commands)).encode())
        assert await desk.run() == BudgetSpent(which="turns")
    assert repeats(desk.transcript.turns) == 1


async def test_finish_beside_a_failing_call_is_not_accepted() -> None:
    script = """
turns:
  - use:
      - bash: {command: fail}
      - finish: {summary: "All good.", not_done: "", how_to_check: ""}
  - use: [{finish: {summary: "It fails.", not_done: "The tests.", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        assert await Desk(model).run() == Done(summary="It fails.", not_done="The tests.")


async def test_a_call_that_was_cut_off_is_not_executed() -> None:
    script = """
turns:
  - stop: max_tokens
    use: [{bash: {command: "cat a"}}, {bash: {command: "cat b"}}]
  - use: [{finish: {summary: "Done.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, server):
        desk = Desk(model)
        assert await desk.run() == Done(summary="Done.")
    assert desk.hands.commands == ["cat a"]
    first, second = server.requests[1]["messages"][-1]["content"]
    assert (first["is_error"], second["is_error"]) == (False, True)
    assert "cut off" in second["content"][0]["text"]


async def test_text_that_was_cut_off_goes_on() -> None:
    script = """
turns:
  - {say: "A long story", stop: max_tokens}
  - use: [{finish: {summary: "Done.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, server):
        assert await Desk(model).run() == Done(summary="Done.")
    assert "cut off" in server.requests[1]["messages"][-1]["content"][0]["text"]


async def test_a_paused_turn_is_given_back_as_it_is() -> None:
    script = """
turns:
  - {say: "Still at it", stop: pause_turn}
  - use: [{finish: {summary: "Done.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, server):
        desk = Desk(model, transcript=MemoryTranscript(fail_at=2))
        with pytest.raises(ConnectionError):
            await desk.run()
        assert await desk.run() == Done(summary="Done.")
    assert server.requests[-1]["messages"][-1]["role"] == "assistant"


async def test_what_follows_a_paused_turn_is_one_message_with_it() -> None:
    """Some endpoints refuse two of the assistant's in a row, then and whenever it is continued."""
    script = """
turns:
  - {say: "Still at it \\n", stop: pause_turn}
  - {say: "And still", stop: pause_turn}
  - use: [{bash: {command: "cat a"}}]
  - use: [{finish: {summary: "Done.", not_done: "", how_to_check: ""}}]
  - use: [{finish: {summary: "Again.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, server):
        desk = Desk(model)
        assert await desk.run() == Done(summary="Done.")
        assert await desk.run("Go on.") == Done(summary="Again.")
    roles = [message["role"] for message in server.requests[-1]["messages"]]
    assert roles == ["user", "assistant"] * 2 + ["user"]
    said = server.requests[-1]["messages"][1]["content"]
    assert [block["type"] for block in said] == ["text", "text", "tool_use"]


async def test_an_unpaired_surrogate_in_a_call_is_reported_and_paid_for_once() -> None:
    turns = (
        ScriptedTurn(use=({"bash": {"command": "echo \ud99c"}}, {"bash": {"command": "cat a"}})),
        ScriptedTurn(use=({"finish": {"summary": "Done."}},)),
    )
    async with asking(ModelScript(turns)) as (model, server):
        desk = Desk(model)
        assert await desk.run() == Done(summary="Done.")
    assert len(server.requests) == 2
    assert desk.hands.commands == ["cat a"]
    told = server.requests[1]["messages"][-1]["content"]
    assert [block["is_error"] for block in told] == [True, False]
    assert "surrogate" in told[0]["content"][0]["text"]


async def test_a_refusal_ends_the_attempt_and_is_left_out_afterwards() -> None:
    def play(body: dict[str, Any]) -> ScriptedTurn:
        if "please" in str(body["messages"]):
            return ScriptedTurn(use=({"finish": {"summary": "Well."}},))
        return ScriptedTurn(say="I will not.", stop="refusal")

    async with asking(play) as (model, server):
        desk = Desk(model)
        assert await desk.run() == ModelDeclined(text="I will not.")
        assert await desk.run() == ModelDeclined(text="I will not.")
        assert len(server.requests) == 1
        assert await desk.run("please") == Done(summary="Well.")
    assert [m["role"] for m in server.requests[-1]["messages"]] == ["user"]


async def test_a_service_that_stays_away_leaves_the_run_to_be_taken_up() -> None:
    script = ModelScript.parse(FIX)
    away = script.turns[2].model_copy(update={"fault": "status_529", "times": 4})
    script = ModelScript((*script.turns[:2], away, *script.turns[3:]))
    async with asking(script, rule=replace(QUICK, waits=(0.001,))) as (model, server):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        with pytest.raises(RetryableError):
            await desk.run()
        assert len(desk.transcript.turns) == 5
        with pytest.raises(RetryableError):
            await desk.run()
        assert await desk.run() == FIXED
    assert desk.hands.files == {"/workspace/a.py": "x = 1 + 1\n"}
    assert len(server.requests) == 2 + 4 + 2


def long_run(turns: int) -> ModelScript:
    looks = tuple(
        ScriptedTurn(think=f"Thought {i}.", use=({"bash": {"command": f"cat {i}"}},))
        for i in range(turns)
    )
    ends = ScriptedTurn(think="Enough.", use=({"finish": {"summary": "Long."}},))
    return ModelScript((*looks, ends))


async def test_thinking_that_is_no_longer_accepted_is_left_out() -> None:
    script = long_run(3)
    stale = script.turns[2].model_copy(update={"fault": "stale_thinking"})
    async with asking(ModelScript((*script.turns[:2], stale, *script.turns[3:]))) as (
        model,
        server,
    ):
        assert await Desk(model).run() == Done(summary="Long.")
    last = str(server.requests[-1]["messages"])
    assert "Thought 1." not in last
    assert "Thought 2." in last


async def test_another_model_does_not_get_the_first_ones_thinking() -> None:
    async with asking(FIX) as (model, server):
        desk = Desk(model, budget=Budget(usd=5, seconds=60, turns=1))
        desk.hands.files.update(FILES)
        await desk.run()
        desk.budget = Budget(usd=5, seconds=60, turns=9)
        desk.model_id = "claude-opus-5-5"
        assert await desk.run() == FIXED
    last = str(server.requests[-1]["messages"])
    assert "First look." not in last
    assert "Now the tests." in last


async def test_no_request_has_more_than_four_cache_marks() -> None:
    async with asking(long_run(8)) as (model, server):
        desk = Desk(model, words=[["a"], ["b"], [], ["c"]])
        await desk.run()
    assert len(server.requests) == 9
    assert all(1 < str(body).count("cache_control") <= 4 for body in server.requests)


async def test_a_call_to_an_unknown_tool_is_answered() -> None:
    script = """
turns:
  - use: [{open_browser: {url: "x"}}]
  - use: [{finish: {summary: "Without.", not_done: "", how_to_check: ""}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model)
        assert await desk.run() == Done(summary="Without.")
    assert "There is no tool" in texts(desk.transcript.turns[2])


async def test_calls_in_a_row_that_only_read_run_together() -> None:
    view = {"str_replace_based_edit_tool": {"command": "view", "path": "/workspace/a.py"}}
    edit = {
        "str_replace_based_edit_tool": {
            "command": "str_replace",
            "path": "/workspace/a.py",
            "old_str": "1",
            "new_str": "7",
        }
    }
    find = {"search": {"pattern": "x", "path": "."}}
    bad = {"str_replace_based_edit_tool": {"command": "view"}}
    script = ModelScript(
        (
            ScriptedTurn(use=(view, find, view, edit, view, bad, find, view)),
            ScriptedTurn(use=({"finish": {"summary": "Done."}},)),
        )
    )
    async with asking(script) as (model, _):
        desk = Desk(model)
        desk.hands.files.update(FILES)
        assert await desk.run() == Done(summary="Done.")
    assert desk.hands.together == [3, 2]
    shown = [block["content"][0]["text"] for block in desk.transcript.turns[2].content]
    assert shown[0] == shown[2] == "x = 1 + 2\n"
    assert shown[4] == shown[7] == "x = 7 + 2\n"
    assert "invalid" in shown[5]


class Gallery(MemoryHands):
    """Hands whose files are all pictures."""

    async def edit_file(self, request: Any) -> EditResult:
        data = b"\x89PNG\r\n\x1a\n" + str(request["path"]).encode()
        return EditResult("", is_error=False, media="image/png", data=data)


def viewing(*paths: str) -> ModelScript:
    looks = tuple(
        ScriptedTurn(
            think=f"Look at {path}.",
            use=({"str_replace_based_edit_tool": {"command": "view", "path": path}},),
        )
        for path in paths
    )
    return ModelScript((*looks, ScriptedTurn(use=({"finish": {"summary": "Seen."}},))))


async def test_a_picture_is_shown_to_the_model() -> None:
    async with asking(viewing("/workspace/a.png")) as (model, server):
        desk = Desk(model, hands=Gallery())
        assert await desk.run() == Done(summary="Seen.")
    [text, image] = server.requests[1]["messages"][-1]["content"][0]["content"]
    assert text["text"] == "/workspace/a.png"
    assert image["source"]["media_type"] == "image/png"


async def test_a_picture_that_the_api_refuses_does_not_end_the_run() -> None:
    """It is in the transcript, so each later request would be refused as well."""
    script = viewing("/workspace/a.png", "/workspace/broken.png", "/workspace/b.png")
    async with asking(script) as (model, server):
        desk = Desk(model, hands=Gallery(), transcript=MemoryTranscript(fail_at=6))
        with pytest.raises(ConnectionError):
            await desk.run()
        assert await desk.run() == Done(summary="Seen.")
    last = str(server.requests[-1]["messages"])
    assert last.count("image omitted") == 2
    assert last.count("'image'") == 1
    assert "'image'" in texts(desk.transcript.turns[4]), "the transcript itself stays whole"


async def test_what_the_request_lacked_comes_with_the_end() -> None:
    script = """
turns:
  - use: [{finish: {summary: "Done.", not_done: "", how_to_check: "", lacked: "How to test."}}]
"""
    async with asking(script) as (model, _):
        assert await Desk(model).run() == Done(summary="Done.", lacked="How to test.")


# What a model does wrong


async def test_fifty_questions_in_one_turn_are_one_question() -> None:
    questions = tuple({"ask": {"question": f"Question {n}?"}} for n in range(50))
    script = ModelScript(
        (
            ScriptedTurn(use=questions),
            ScriptedTurn(use=({"finish": {"summary": "Well."}},)),
        )
    )
    async with asking(script) as (model, _):
        desk = Desk(model)
        assert await desk.run() == Question(text="Question 0?")
        assert [b["is_error"] for b in desk.transcript.turns[2].content] == [False] + [True] * 49
        assert "all questions into one ask" in texts(desk.transcript.turns[2])
        assert await desk.run("Yes.") == Done(summary="Well.")


async def test_a_question_after_each_answer_ends_with_the_turns() -> None:
    async with asking(lambda _: ScriptedTurn(use=({"ask": {"question": "And?"}},))) as (model, _):
        desk = Desk(model, budget=Budget(usd=5, seconds=60, turns=3))
        for n in range(3):
            assert await desk.run(f"Answer {n}.") == Question(text="And?")
        assert await desk.run("Answer 3.") == BudgetSpent(which="turns")


async def test_a_model_that_says_nothing_ends_with_that() -> None:
    async with asking(lambda _: ScriptedTurn()) as (model, server):
        ending = await Desk(model).run()
    assert ending == Done(
        summary="The model's answers were empty.",
        not_done="The agent ended without calling finish.",
    )
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    "use",
    [
        {"bash": {"command": "x" * 200_001}},
        {"plan": {"items": [{"text": "x", "done": False}] * 51}},
        {"search": {"pattern": "(" * 3_000}},
        {"finish": {"summary": "x" * 20_001}},
        {"bash": {"command": ["ls"]}},
        {"nothing": {}},
    ],
)
async def test_input_that_is_never_right_ends_as_a_repeated_call(use: dict[str, Any]) -> None:
    async with asking(lambda _: ScriptedTurn(use=(use,))) as (model, _):
        desk = Desk(model)
        assert await desk.run() == Stuck(tool=next(iter(use)), times=6)
    assert sum(turn.role == "assistant" for turn in desk.transcript.turns) == 6
    assert desk.hands.commands == []
    assert len(str(desk.transcript.turns[2].content)) < 1_000, "the input is not repeated"
