"""Reading recorded turns, whatever is in them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.transcript import RecordedCall, RecordedResult, TokenCounts, read_turn


def test_a_turn_of_the_model_is_read_with_its_costs() -> None:
    turn = read_turn(
        {
            "seq": 3,
            "role": "assistant",
            "seconds": 2.5,
            "cost_usd": 0.25,
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}},
                {"type": "of_tomorrow", "value": 1},
            ],
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 200,
                "cache_creation_input_tokens": 30,
                "output_tokens": 4,
                "model": "claude-sonnet-5-5",
                "stop_reason": "tool_use",
                "discarded": [{"input_tokens": 1, "output_tokens": 2}],
            },
        },
        1000.0,
    )
    assert (turn.reasoning, turn.at, turn.model) == ("Hm.", 1000.0, "claude-sonnet-5-5")
    assert turn.text == 'I look.\n\n{"type": "of_tomorrow", "value": 1}'
    assert turn.calls == (RecordedCall(id="t1", name="bash", arguments={"command": "ls"}),)
    assert turn.tokens == TokenCounts(input=11, cache_read=200, cache_write=30, output=6)
    assert turn.tokens.prompt == 241


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\n\nb"),
        ("plain", "plain"),
        (
            [{"type": "image", "source": {"media_type": "image/png", "data": "x"}}],
            "[image: image/png]",
        ),
        (None, ""),
    ],
)
def test_results_are_read_in_every_shape_of_the_api(content: Any, text: str) -> None:
    block = {"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": True}
    turn = read_turn({"seq": 4, "role": "user", "content": [block], "snapshot": "abc"})
    assert turn.results == (RecordedResult(call="t1", text=text, is_error=True),)
    assert turn.snapshot == "abc"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
_KEYS = st.sampled_from(["type", "text", "id", "name", "input", "content", "source", "thinking"])
_KINDS = st.sampled_from(["text", "thinking", "tool_use", "tool_result", "image", "x"])
_BLOCK = st.builds(
    lambda kind, rest: {**rest, "type": kind},
    _KINDS,
    st.dictionaries(_KEYS, _JSON, max_size=4),
)


@given(st.lists(_BLOCK | _JSON, max_size=4), _JSON)
def test_no_record_breaks_the_reader(content: list[Any], usage: Any) -> None:
    read_turn({"seq": 0, "role": "assistant", "content": content, "usage": usage})
