"""A run's transcript, read for people and other programs. Pure.

Engines record blocks in the shapes of Anthropic's Messages API, whichever model they talk to. A
block of an unknown kind is kept as its JSON, so that nothing recorded is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeGuard

from pydantic import Field

from app.domain.values import Value

Json = dict[str, Any]


class RecordedCall(Value):
    """A tool call of the model. `arguments` is empty where they were no object."""

    id: str
    name: str
    arguments: Json = Field(default_factory=dict)


class RecordedResult(Value):
    """The result of the call `call`; `text` mentions images and unknown parts."""

    call: str
    text: str
    is_error: bool = False


class TokenCounts(Value):
    """Tokens that one answer used. `input` is neither read from the cache nor written to it."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0

    @property
    def prompt(self) -> int:
        """All tokens of the request, cached ones included."""
        return self.input + self.cache_read + self.cache_write


class RecordedTurn(Value):
    """One recorded turn: `seq` counts from 0; `at` is when it was stored, in Unix seconds.

    A "user" turn is the request, tool results, or what Honk or a person says to the model;
    `message` is the id of the person's message. `seconds` is how long the turn took, `snapshot` the
    tree of the work after it.
    """

    seq: int
    role: Literal["user", "assistant"]
    at: float = 0.0
    seconds: float = 0.0
    cost_usd: float = 0.0
    text: str = ""
    reasoning: str = ""
    calls: tuple[RecordedCall, ...] = ()
    results: tuple[RecordedResult, ...] = ()
    message: str = ""
    model: str = ""
    stop_reason: str = ""
    tokens: TokenCounts | None = None
    snapshot: str | None = None


def read_turn(record: Mapping[str, Any], at: float = 0.0) -> RecordedTurn:
    """A record as it is stored in the database. Missing fields count as empty."""
    content = record.get("content")
    blocks = [each for each in content if isinstance(each, dict)] if _is_list(content) else []
    usage = _object(record.get("usage"))
    is_model = record.get("role") == "assistant"
    return RecordedTurn(
        seq=_whole(record.get("seq")),
        role="assistant" if is_model else "user",
        at=at,
        seconds=_number(record.get("seconds")),
        cost_usd=_number(record.get("cost_usd")),
        text=_joined(_shown(each) for each in blocks if each.get("type") not in _OTHERS),
        reasoning=_joined(
            str(each.get("thinking") or "") for each in blocks if each.get("type") == "thinking"
        ),
        calls=tuple(_call(each) for each in blocks if each.get("type") == "tool_use"),
        results=tuple(_result(each) for each in blocks if each.get("type") == "tool_result"),
        message=str(usage.get("feedback_id") or ""),
        model=str(usage.get("model") or ""),
        stop_reason=str(usage.get("stop_reason") or ""),
        tokens=_tokens(usage) if usage and (is_model or usage.get("paid")) else None,
        snapshot=str(record["snapshot"]) if record.get("snapshot") else None,
    )


_OTHERS = frozenset({"thinking", "redacted_thinking", "tool_use", "tool_result"})


def _call(block: Json) -> RecordedCall:
    return RecordedCall(
        id=str(block.get("id") or ""),
        name=str(block.get("name") or ""),
        arguments=_object(block.get("input")),
    )


def _result(block: Json) -> RecordedResult:
    content = block.get("content")
    parts = content if _is_list(content) else [content]
    return RecordedResult(
        call=str(block.get("tool_use_id") or ""),
        text=_joined(_shown(each) for each in parts),
        is_error=bool(block.get("is_error")),
    )


def _shown(block: object) -> str:
    if not isinstance(block, dict):
        return "" if block is None else str(block)
    if block.get("type") == "text":
        return str(block.get("text") or "")
    source = _object(block.get("source"))
    if block.get("type") in ("image", "document"):
        return f"[{block['type']}: {source.get('media_type', 'unknown type')}]"
    return json.dumps(block, ensure_ascii=False)


def _tokens(usage: Mapping[str, Any]) -> TokenCounts:
    """The answer's tokens, and those of additional answers: lost ones, or a summary's."""
    others = [usage.get(name) for name in ("discarded", "paid")]
    all_of = [usage]
    for lost in others:
        all_of += [each for each in (lost if _is_list(lost) else ()) if isinstance(each, dict)]

    def total(name: str) -> int:
        return sum(_whole(each.get(name)) for each in all_of)

    return TokenCounts(
        input=total("input_tokens"),
        cache_read=total("cache_read_input_tokens"),
        cache_write=total("cache_creation_input_tokens"),
        output=total("output_tokens"),
    )


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip())


def _object(value: object) -> Json:
    return dict(value) if isinstance(value, dict) else {}


def _is_list(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
