"""Assembles one streamed answer from its events. Pure.

The SDK's own accumulator parses a tool's input as it arrives and rejects the whole answer if that
is not JSON; here one bad input affects only its call.
https://platform.claude.com/docs/en/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any, Literal

from app.agent.engines.anthropic.tools import UNREADABLE
from app.domain.safe_json import json_value

Block = dict[str, Any]

_UNREADABLE_CHARACTERS = 10_000


class Assembly:
    """A message as far as it has arrived. Events are plain JSON; unknown ones are skipped."""

    def __init__(self) -> None:
        self.usage: Block | None = None
        self.stop_reason: str | None = None
        self.stop_details: Block = {}
        self._blocks: list[Block] = []
        self._inputs: dict[int, str] = {}

    def add(self, event: Block) -> None:
        """Add the next event. Raises ValueError if it does not match the ones before."""
        try:
            self._add(event)
        except (KeyError, IndexError, TypeError) as problem:
            raise ValueError(f"the stream is out of order ({type(problem).__name__})") from None

    def _add(self, event: Block) -> None:
        match event["type"]:
            case "message_start":
                self.usage = dict(event["message"]["usage"])
            case "content_block_start":
                self._blocks.append(dict(event["content_block"]))
            case "content_block_delta":
                self._extend(event["index"], event["delta"])
            case "message_delta":
                self.stop_reason = event["delta"].get("stop_reason")
                self.stop_details = event["delta"].get("stop_details") or {}
                # Totals, not increments; missing fields have not changed.
                new = {name: value for name, value in event["usage"].items() if value is not None}
                self.usage = {**(self.usage or {}), **new}

    def _extend(self, index: int, delta: Block) -> None:
        block = self._blocks[index]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "input_json_delta":
                self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
            case "compaction_delta":
                block["content"] = (block.get("content") or "") + (delta.get("content") or "")
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or []), delta["citation"]]

    def content(self) -> tuple[Block, ...]:
        """The blocks in a form that can be stored and sent back."""
        return tuple(self._finished(index, block) for index, block in enumerate(self._blocks))

    def _finished(self, index: int, block: Block) -> Block:
        if index in self._inputs:
            block = {**block, "input": _input(self._inputs[index])}
        elif block["type"] == "tool_use" and not isinstance(block.get("input"), dict):
            block = {**block, "input": {UNREADABLE: str(block.get("input"))}}
        whole: Block = _encodable(block)
        if block["type"] == "thinking" and whole != block:
            # Its signature covers the original text, which cannot be stored.
            whole["signature"] = ""
        return whole


def _input(text: str) -> Block:
    """A tool's input: an object, or the invalid text under a special key."""
    try:
        value = json_value(_paired(text, "strict") or "{}")
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {UNREADABLE: text[:_UNREADABLE_CHARACTERS]}


def _encodable(value: Any) -> Any:
    """The same without lone surrogates, which no database and no request can contain."""
    if isinstance(value, str):
        return _paired(value, "replace")
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_encodable(part) for part in value]
    return value


def _paired(text: str, lone: Literal["strict", "replace"]) -> str:
    """The same with split surrogate pairs joined; `lone` is the error handler for lone surrogates.
    Raises ValueError if that is "strict".
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", lone)
