"""Answers assembled from a stream, whatever the model put into them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.agent.engines.anthropic.stream import Assembly
from app.agent.engines.anthropic.tools import ToolCall, understood


def assembled(*blocks: tuple[dict[str, Any], list[dict[str, Any]]]) -> tuple[dict[str, Any], ...]:
    answer = Assembly()
    answer.add({"type": "message_start", "message": {"usage": {"input_tokens": 3}}})
    for index, (begun, deltas) in enumerate(blocks):
        answer.add({"type": "content_block_start", "index": index, "content_block": begun})
        for delta in deltas:
            answer.add({"type": "content_block_delta", "index": index, "delta": delta})
    return answer.content()


def called(*pieces: str) -> dict[str, Any]:
    begun = {"type": "tool_use", "id": "t1", "name": "bash", "input": {}}
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    (block,) = assembled((begun, deltas))
    return block


def test_an_input_is_read_once_it_is_whole() -> None:
    assert called('{"comm', 'and": "ls \\ud83e', '\\udd86"}')["input"] == {"command": "ls 🦆"}
    assert called('{"command": "ls \ud83e', '\udd86"}')["input"] == {"command": "ls 🦆"}
    assert called()["input"] == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"command": "echo \\ud99c"}',
        '{"command": "echo \\udc00"}',
        '{"\\ud99c": "ls"}',
        '{"command": "echo \ud99c"}',
        '{"seconds": 1e999}',
        '{"seconds": NaN}',
        '{"command": ["' + "[" * 50_000,
        '{"command": "ls',
        '["ls"]',
        '"ls"',
        "null",
        "ls",
    ],
)
def test_an_input_that_is_none_costs_one_call(text: str) -> None:
    block = called(text[:7], text[7:])
    json.dumps(block, ensure_ascii=False, allow_nan=False).encode()
    wrong = understood(ToolCall(block["id"], block["name"], block["input"]))
    assert isinstance(wrong, str)
    assert "not a JSON object" in wrong


def test_an_unpaired_surrogate_is_replaced() -> None:
    said, thought = assembled(
        ({"type": "text", "text": ""}, [{"type": "text_delta", "text": "So \ud99c it is"}]),
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": "\ud99c"},
                {"type": "signature_delta", "signature": "sig"},
            ],
        ),
    )
    assert said["text"] == "So \ufffd it is"
    # What was signed is no longer there: it is left out later, as an unsigned one is.
    assert thought["signature"] == ""


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_delta", "index": 3, "delta": {"type": "text_delta", "text": "x"}},
        {"type": "message_start"},
        {"type": "content_block_delta", "index": 0},
        {},
    ],
)
def test_a_stream_out_of_order_is_one_kind_of_error(event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="out of order"):
        Assembly().add(event)


def test_events_of_tomorrow_are_skipped() -> None:
    answer = Assembly()
    answer.add({"type": "ping"})
    answer.add({"type": "something_new", "index": 4})
    assert answer.content() == ()
