"""Conversations that outgrow the model's window."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from app.agent.engine import Budget, Done, TurnRecord
from app.agent.engines.anthropic.compaction import summary_of
from app.agent.engines.anthropic.windows import COMPACT_AT, compact_at
from app.agent.prompt import SUMMARIZE
from app.errors import UserError
from app.playground.model import SUMMARY_REQUEST, ModelScript, ScriptedModel, ScriptedTurn
from tests.support.model_api import Desk, InProcess, MemoryTranscript, asking, ended

WINDOW = 20_000
MARK = 15_000
LONG = Budget(usd=500, seconds=600, turns=1_000)
FINISH = ScriptedTurn(think="Enough.", use=({"finish": {"summary": "Long."}},))


def words(name: object, characters: int) -> str:
    """Text of about this length that no other name has."""
    return (f"line {name}\n" * (characters // 8))[:characters]


def reading(turns: int, huge: int = 0) -> ModelScript:
    looks = [
        ScriptedTurn(
            think=f"Thought {i}.",
            use=({"bash": {"command": f"print {i} {huge if huge and i % 50 == 49 else 1_500}"}},),
        )
        for i in range(turns)
    ]
    return ModelScript((*looks, FINISH))


def writing(turns: int, huge: int = 0) -> ModelScript:
    edits = [
        ScriptedTurn(
            think=f"Thought {i}.",
            use=(
                {
                    "str_replace_based_edit_tool": {
                        "command": "create",
                        "path": f"/workspace/{i}.py",
                        "file_text": words(i, huge if huge and i % 50 == 49 else 1_500),
                    }
                },
            ),
        )
        for i in range(turns)
    ]
    return ModelScript((*edits, FINISH))


def desk_for(server: ScriptedModel, **given: Any) -> Desk:
    desk = Desk(InProcess(server), budget=LONG, compact_at=MARK, **given)
    desk.hands.answer = lambda command: ended(
        words(command.split()[1], int(command.split()[2])).encode()
    )
    return desk


def summaries(desk: Desk) -> list[TurnRecord]:
    return [record for record in desk.transcript.turns if summary_of(record)]


def uncached(server: ScriptedModel) -> int:
    """Input tokens that were in no cache."""
    return sum(each["input_tokens"] + each["cache_creation_input_tokens"] for each in server.usages)


def new_content(desk: Desk, server: ScriptedModel) -> int:
    """The tokens of the entire conversation, each counted once."""
    said = [
        block
        for record in desk.transcript.turns[1:]
        if not summary_of(record)
        for block in record.content
    ]
    return uncached_first(server) + sum(len(json.dumps(block)) // 4 for block in said)


def uncached_first(server: ScriptedModel) -> int:
    first = server.usages[0]
    return int(first["input_tokens"] + first["cache_creation_input_tokens"])


@pytest.mark.parametrize(("kind", "huge"), [("results", 0), ("inputs", 30_000)])
async def test_300_turns_in_a_small_window_end_by_finishing(kind: str, huge: int) -> None:
    script = reading(300, huge) if kind == "results" else writing(300, huge)
    server = ScriptedModel(default=script, window=WINDOW)
    desk = desk_for(server)
    assert await desk.run() == Done(summary="Long.")
    if kind == "results":
        assert len(desk.hands.commands) == 300
    else:
        assert len(desk.hands.files) == 300
    content = new_content(desk, server)
    assert content > 5 * WINDOW, "it would never have fit"
    assert uncached(server) < 1.5 * content
    assert len(summaries(desk)) < 3 * content / MARK
    # The assignment was in each request, and the script continued where it was.
    assert all("Subject: octo/app#7" in str(body["messages"][0]) for body in server.requests)


@pytest.mark.parametrize("lost", ["summary", "turn after it"])
async def test_a_resumed_run_sends_what_the_interrupted_one_would_have_sent(lost: str) -> None:
    script = reading(60)
    server = ScriptedModel(default=script, window=WINDOW)
    whole = desk_for(server)
    await whole.run()
    expected = [texts(body["messages"]) for body in server.requests]
    at = summaries(whole)[1].seq + (lost != "summary")
    server = ScriptedModel(default=script, window=WINDOW)
    desk = desk_for(server, transcript=MemoryTranscript(fail_at=at))
    with pytest.raises(ConnectionError):
        await desk.run()
    assert await desk.run() == Done(summary="Long.")
    seen = [texts(body["messages"]) for body in server.requests]
    # Only the request whose answer was lost is sent twice.
    assert len(seen) == len(expected) + 1
    assert [each for each, _ in itertools.groupby(seen)] == expected


def texts(messages: list[dict[str, Any]]) -> list[str]:
    """The texts of a request without the assignment, whose fence is random."""
    said = [
        str(block.get("text") or block.get("content") or block.get("input"))
        for message in messages
        for block in message["content"]
    ]
    return said[1:]


async def test_the_words_of_people_are_kept_as_they_are() -> None:
    server = ScriptedModel(default=reading(80), window=WINDOW)
    desk = desk_for(server, words=[[], ["Keep the old name, please."]])
    await desk.run()
    assert len(summaries(desk)) > 1
    summary = server.requests[-1]["messages"][0]["content"][1]["text"]
    assert "Keep the old name, please." in summary


async def test_a_window_that_is_smaller_than_known_is_met_by_compacting() -> None:
    server = ScriptedModel(default=reading(60), window=WINDOW)
    desk = desk_for(server)
    desk.compact_at = 30_000
    assert await desk.run() == Done(summary="Long.")
    assert summaries(desk)
    assert all("[60 turns" not in str(body) for body in server.requests)


async def test_one_turn_larger_than_the_window_is_cut() -> None:
    many = tuple({"bash": {"command": f"print {i} 10 # {words(i, 29_000)}"}} for i in range(4))
    script = ModelScript((ScriptedTurn(use=many), FINISH))
    server = ScriptedModel(default=script, window=WINDOW)
    desk = desk_for(server)
    assert await desk.run() == Done(summary="Long.")
    assert len(server.requests) == 2, "nothing had come before it, so nothing is summarized"
    assert "characters omitted" in str(server.requests[1]["messages"])
    assert "characters omitted" not in str(desk.transcript.turns[1].content)


async def test_a_run_that_did_not_fit_can_be_continued() -> None:
    server = ScriptedModel(default=reading(40), window=1_600)
    desk = desk_for(server)
    with pytest.raises(UserError, match="does not fit"):
        await desk.run()
    server.window = WINDOW
    assert await desk.run("continue", feedback_id="c1") == Done(summary="Long.")


async def test_a_model_that_writes_no_summary_gets_what_the_records_show() -> None:
    script = writing(40)

    def mute(body: dict[str, Any]) -> ScriptedTurn:
        if "compaction" in body or SUMMARY_REQUEST in str(body["messages"][-1]):
            return ScriptedTurn(stop="refusal")
        if "edited /workspace/19.py" in str(body["messages"][0]):
            return FINISH
        return script(body)

    server = ScriptedModel(default=mute, window=WINDOW)
    desk = desk_for(server)
    assert await desk.run() == Done(summary="Long.")
    assert "- edited /workspace/5.py" in str(summaries(desk)[0].content)


@pytest.mark.parametrize(
    ("name", "by_api"),
    [("claude-sonnet-5-5", True), ("claude-haiku-4-5", False), ("gateway/own", False)],
)
async def test_the_api_writes_the_summary_where_the_model_offers_it(
    name: str, by_api: bool
) -> None:
    async with asking(reading(40), window=WINDOW) as (model, server):
        desk = desk_for(server, model_id=name)
        desk.model = model
        assert await desk.run() == Done(summary="Long.")
    assert any("compaction" in body for body in server.requests) == by_api
    assert any(SUMMARY_REQUEST in str(body["messages"]) for body in server.requests) != by_api
    assert "turns of the script" in str(summaries(desk)[0].content)


async def test_an_api_that_refuses_to_summarize_is_asked_once() -> None:
    script = reading(60)

    def play(body: dict[str, Any]) -> ScriptedTurn:
        turn = script(body)
        return turn.model_copy(update={"fault": "status_400"}) if "compaction" in body else turn

    server = ScriptedModel(default=play, window=WINDOW)
    desk = desk_for(server)
    assert await desk.run() == Done(summary="Long.")
    assert len(summaries(desk)) > 1
    assert sum("compaction" in body for body in server.requests) == 1


async def test_a_first_message_that_never_fits_is_reported_plainly() -> None:
    script = "turns: [{say: x, fault: prompt_too_long, times: 99}]"
    async with asking(script) as (model, server):
        with pytest.raises(UserError, match="does not fit"):
            await Desk(model).run()
    assert len(server.requests) == 1


async def test_a_summary_that_fails_does_not_lose_the_one_before() -> None:
    script = iter(reading(80).turns)

    def play(body: dict[str, Any]) -> ScriptedTurn:
        asked = "compaction" in body or SUMMARY_REQUEST in str(body["messages"][-1])
        if asked and "The parser is in a.py." in str(body["messages"][0]):
            return ScriptedTurn(stop="refusal")
        if asked:
            return ScriptedTurn(say="The parser is in a.py.")
        return next(script)

    server = ScriptedModel(default=play, window=WINDOW)
    desk = desk_for(server)
    assert await desk.run() == Done(summary="Long.")
    assert len(summaries(desk)) > 1
    assert all("The parser is in a.py." in texts_of(each) for each in summaries(desk))


def texts_of(record: TurnRecord) -> str:
    return str(record.content[0]["text"])


async def test_what_a_summary_cost_counts() -> None:
    server = ScriptedModel(default=reading(60), window=WINDOW)
    desk = desk_for(server)
    await desk.run()
    paid = [each.cost_usd for each in summaries(desk)]
    assert all(paid)
    assert desk.progress[-1].cost_usd == pytest.approx(
        sum(each.cost_usd for each in desk.transcript.turns)
    )


def test_the_playground_knows_the_request_for_a_summary() -> None:
    assert SUMMARIZE.startswith(SUMMARY_REQUEST)


def test_a_model_whose_long_prompts_cost_more_is_compacted_before_that() -> None:
    assert compact_at("claude-haiku-5-5") < 100_000
    assert compact_at("claude-opus-5-5") == COMPACT_AT
