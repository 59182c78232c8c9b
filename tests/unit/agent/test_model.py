"""Every way in which an answer of the model can end."""

from __future__ import annotations

import asyncio
import itertools
import logging
from dataclasses import replace
from typing import Any

import pytest

from app import retrying
from app.agent.engines.anthropic.model import (
    AnthropicModel,
    Block,
    Diligence,
    ModelRefusedRequestError,
    ModelRequest,
    PromptTooLongError,
    StaleThinkingError,
    marked_for_cache,
    raise_by_status,
)
from app.agent.engines.anthropic.providers import anthropic_api
from app.agent.engines.anthropic.tools import TOOLS
from app.errors import RetryableError, UserError
from app.playground.model import ScriptedTurn
from tests.support.model_api import KEY, QUICK, asking, serving

HELLO = {"role": "user", "content": [{"type": "text", "text": "Subject: octo/app#7"}]}
WHOLE = """
turns:
  - think: "Let me see."
    say: "Looking."
    use: [{bash: {command: "ls"}}]
"""


def request(**changes: Any) -> ModelRequest:
    given = {
        "model": "claude-sonnet-5-5",
        "system": "Work.",
        "tools": TOOLS,
        "messages": (HELLO,),
        **changes,
    }
    return ModelRequest(**given)


async def test_a_whole_answer_keeps_its_blocks_verbatim() -> None:
    async with asking(WHOLE) as (model, server):
        turn = await model.turn(request())
    thinking, text, call = turn.content
    assert thinking["thinking"] == "Let me see."
    assert thinking["signature"].startswith("sig_")
    assert text == {"type": "text", "text": "Looking."}
    assert (call["name"], call["input"]) == ("bash", {"command": "ls"})
    assert turn.stop_reason == "tool_use"
    assert turn.usage["output_tokens"] > 1
    assert turn.discarded == ()
    assert server.requests[0]["stream"] is True
    assert server.requests[0]["thinking"] == {"type": "adaptive", "display": "summarized"}


async def test_signed_thinking_is_accepted_when_it_comes_back() -> None:
    async with asking(WHOLE) as (model, _):
        first = await model.turn(request())
        result: Block = {
            "type": "tool_result",
            "tool_use_id": first.content[2]["id"],
            "content": [{"type": "text", "text": "a.py"}],
        }
        answer = {"role": "assistant", "content": list(first.content)}
        messages = (HELLO, answer, {"role": "user", "content": [result]})
        second = await model.turn(request(messages=messages))
        assert second.content[0]["name"] == "finish"
        with pytest.raises(StaleThinkingError):
            await model.turn(request(messages=messages, system="Work otherwise."))


@pytest.mark.parametrize(
    "fault",
    [
        *("cut", "early_end", "error_event"),
        *("status_408", "status_429", "status_500", "status_502", "status_503", "status_529"),
    ],
)
async def test_what_passes_is_asked_again_from_the_same_messages(fault: str) -> None:
    script = f"turns: [{{say: 'a long enough answer', fault: {fault}, times: 2}}]"
    async with asking(script) as (model, server):
        turn = await model.turn(request())
    assert turn.content == ({"type": "text", "text": "a long enough answer"},)
    assert len(server.requests) == 3
    assert server.requests[0] == server.requests[2]
    begun = fault in ("cut", "early_end", "error_event")
    assert len(turn.discarded) == (2 if begun else 0)


async def test_silence_is_cut_short_and_asked_again() -> None:
    script = "turns: [{say: 'Here.', fault: silence}]"
    async with asking(script, read_timeout=0.2) as (model, server):
        turn = await model.turn(request())
    assert turn.content[0]["text"] == "Here."
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["cut", "early_end", "error_event", "status_529"])
async def test_what_does_not_pass_is_retryable_later(fault: str) -> None:
    script = f"turns: [{{say: 'Never.', fault: {fault}, times: 99}}]"
    async with asking(script, rule=replace(QUICK, waits=(0.001, 0.001))) as (model, server):
        with pytest.raises(RetryableError) as raised:
            await model.turn(request())
    assert len(server.requests) == 3
    assert raised.value.retry_after is None


async def test_retry_after_is_waited_for() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    script = "turns: [{say: 'Now.', fault: status_429, times: 2, retry_after: 0.75}]"
    async with asking(script, sleep=sleep) as (model, _):
        assert (await model.turn(request())).content[0]["text"] == "Now."
    assert waits == [0.75, 0.75]


async def test_a_retry_after_that_is_too_long_is_handed_on() -> None:
    script = "turns: [{say: 'Later.', fault: status_429, retry_after: 900}]"
    async with asking(script) as (model, server):
        with pytest.raises(RetryableError) as raised:
            await model.turn(request())
    assert raised.value.retry_after == 900
    assert len(server.requests) == 1


async def test_waits_grow() -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    script = "turns: [{say: 'x', fault: status_500, times: 99}]"
    rule = replace(retrying.MODEL, waits=retrying.exponential(0.25, 3))
    async with asking(script, rule=rule, sleep=sleep) as (model, _):
        with pytest.raises(RetryableError):
            await model.turn(request())
    assert [0.125 <= waits[0] <= 0.25, 0.25 <= waits[1] <= 0.5, 0.5 <= waits[2] <= 1] == [True] * 3


async def test_a_refused_connection_is_retryable() -> None:
    async with asking(WHOLE) as (_, server):
        pass
    model = AnthropicModel(
        anthropic_api(KEY, "http://127.0.0.1:9"), rule=replace(QUICK, waits=(0.001,))
    )
    with pytest.raises(RetryableError, match="cannot be reached"):
        await model.turn(request())
    await model.aclose()
    assert server.requests == []


async def test_the_key_does_not_follow_a_redirect() -> None:
    async with asking(WHOLE) as (_, other), serving(other.app) as elsewhere:

        async def leads_elsewhere(scope: Any, receive: Any, send: Any) -> None:
            location = (b"location", f"{elsewhere}/v1/messages".encode())
            start = {"type": "http.response.start", "status": 307, "headers": [location]}
            await send(start)
            await send({"type": "http.response.body", "body": b""})

        async with serving(leads_elsewhere) as url:
            model = AnthropicModel(anthropic_api(KEY, url), rule=retrying.NEVER)
            with pytest.raises(UserError, match="does not follow with its key") as caught:
                await model.turn(request())
            await model.aclose()
        assert "ANTHROPIC_BASE_URL" in caught.value.next_step
        assert other.requests == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("status_401", "ANTHROPIC_API_KEY"),
        ("no_credit", "credit"),
        ("status_403", "key access"),
        ("status_404", "HONK_MODEL"),
    ],
)
async def test_the_operator_learns_what_to_fix(fault: str, words: str) -> None:
    async with asking(f"turns: [{{say: x, fault: {fault}}}]") as (model, server):
        with pytest.raises(UserError) as raised:
            await model.turn(request())
    assert words in str(raised.value)
    assert "operator" in raised.value.next_step
    assert "/honk continue" in raised.value.next_step
    assert KEY not in str(raised.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize("fault", ["prompt_too_long", "status_413"])
async def test_a_prompt_that_is_too_long_is_its_own_error(fault: str) -> None:
    async with asking(f"turns: [{{say: x, fault: {fault}}}]") as (model, _):
        with pytest.raises(PromptTooLongError):
            await model.turn(request())


async def test_a_malformed_request_is_reported_and_not_retried() -> None:
    async with asking(WHOLE) as (model, server):
        answer = {"role": "assistant", "content": [{"type": "text", "text": "prefilled"}]}
        with pytest.raises(ModelRefusedRequestError, match="prefill") as raised:
            await model.turn(request(messages=(HELLO, answer)))
    assert "(400)" in raised.value.message
    assert "/honk retry" in raised.value.next_step
    assert len(server.requests) == 1


async def test_a_wrong_key_is_refused_and_never_seen(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with asking(WHOLE) as (right, server):
        await right.turn(request())
        server.api_key = "another"
        with pytest.raises(UserError) as raised:
            await right.turn(request())
    assert KEY not in str(raised.value) + repr(raised.value)
    assert caplog.records
    assert KEY not in caplog.text


def test_a_missing_key_is_reported_at_once() -> None:
    with pytest.raises(UserError, match="No model configured"):
        anthropic_api("")


async def test_a_refusal_carries_its_explanation() -> None:
    async with asking("turns: [{say: 'Not this.', stop: refusal}]") as (model, _):
        turn = await model.turn(request())
    assert (turn.stop_reason, turn.refusal) == ("refusal", "Not this.")


async def test_a_turn_can_be_cancelled_in_the_middle() -> None:
    async with asking("turns: [{say: 'Slow.', seconds: 30}]") as (model, server):
        task = asyncio.create_task(model.turn(request()))
        await asyncio.sleep(0.2)
        assert server.requests
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 1)


async def test_older_models_get_no_adaptive_thinking() -> None:
    async with asking(WHOLE) as (model, server):
        await model.turn(request(model="claude-haiku-4-5-20251001"))
    assert "thinking" not in server.requests[0]


async def test_the_connection_outlives_five_idle_seconds() -> None:
    model = AnthropicModel(anthropic_api(KEY, "http://127.0.0.1:9"))
    pool: Any = model._client._client._transport
    assert pool._pool._keepalive_expiry >= 60
    await model.aclose()


def conversation(turns: int) -> tuple[Block, ...]:
    messages: list[Block] = [HELLO]
    for i in range(turns):
        call = {"type": "tool_use", "id": f"t{i}", "name": "bash", "input": {"command": str(i)}}
        result = {"type": "tool_result", "tool_use_id": f"t{i}", "content": "out"}
        messages.append({"role": "assistant", "content": [call]})
        messages.append({"role": "user", "content": [result]})
    return tuple(messages)


@pytest.mark.parametrize("turns", [0, 1, 2, 40])
def test_at_most_three_marks_in_the_conversation(turns: int) -> None:
    messages = conversation(turns)
    marked = marked_for_cache(messages)
    marks = [i for i, m in enumerate(marked) if "cache_control" in m["content"][-1]]
    assert marks == sorted({0, max(2 * turns - 2, 0), 2 * turns})
    assert "cache_control" not in str(messages), "the recorded blocks stay as they were"


async def test_a_growing_conversation_is_read_from_the_cache() -> None:
    async with asking(lambda _: ScriptedTurn(say="ok")) as (model, _):
        usages = [
            (await model.turn(request(messages=conversation(turns)))).usage for turns in range(5)
        ]
    assert usages[0]["cache_read_input_tokens"] == 0
    for before, after in itertools.pairwise(usages):
        known = before["cache_read_input_tokens"] + before["cache_creation_input_tokens"]
        assert after["cache_read_input_tokens"] == known
        assert after["input_tokens"] == 0


@pytest.mark.parametrize(
    ("diligence", "thinking", "effort"),
    [
        (Diligence(), {"type": "adaptive", "display": "summarized"}, None),
        (Diligence(effort="low", thinking="disabled"), {"type": "disabled"}, {"effort": "low"}),
        (Diligence(thinking="between_tools"), {"type": "between_tools"}, None),
    ],
)
async def test_effort_and_thinking_are_sent(
    diligence: Diligence, thinking: dict[str, str], effort: dict[str, str] | None
) -> None:
    async with asking(WHOLE) as (model, server):
        await model.turn(request(diligence=diligence))
        # Older models refuse both.
        await model.turn(request(diligence=diligence, model="claude-haiku-4-5"))
    assert server.requests[0]["thinking"] == thinking
    assert server.requests[0].get("output_config") == effort
    assert not {"thinking", "output_config"} & set(server.requests[1])


def test_a_refused_effort_names_its_setting() -> None:
    with pytest.raises(ModelRefusedRequestError) as refused:
        raise_by_status(400, "This model does not support the effort parameter.", None)
    assert "HONK_EFFORT_MAX" in str(refused.value.next_step)
