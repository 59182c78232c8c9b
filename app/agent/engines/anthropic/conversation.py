"""The transcript, and the conversation with the model that follows from it.

Pure functions over records: which calls have no results yet, how the attempt ended, which messages
go to the API. They depend only on records, so a resumed run sees exactly what the interrupted one
saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.agent.engine import Done, Ending, Question, TurnRecord
from app.agent.engines.anthropic.compaction import (
    remembered,
    shortened,
    summary_of,
    without_media,
)
from app.agent.engines.anthropic.model import Block
from app.agent.engines.anthropic.tools import (
    AskInput,
    FinishInput,
    PlanInput,
    ToolCall,
    understood,
)
from app.domain.report import PlanItem
from app.domain.values import Value

NUDGE: Block = {
    "type": "text",
    "text": "You called no tool. Continue the work, call finish if it is done, or call ask if you "
    "need an answer.",
}

_THINKING = ("thinking", "redacted_thinking")


def tool_calls(record: TurnRecord) -> list[ToolCall]:
    """The calls of an assistant's turn, in order."""
    return [
        ToolCall(block["id"], block["name"], block.get("input"))
        for block in record.content
        if block["type"] == "tool_use"
    ]


def cut_off_call(record: TurnRecord) -> str | None:
    """The id of the call that the token limit cut short, and that must not be executed."""
    last = record.content[-1] if record.content else {}
    if record.stop_reason == "max_tokens" and last.get("type") == "tool_use":
        return str(last["id"])
    return None


def said(record: TurnRecord) -> str:
    """The text of a turn."""
    texts = (b["text"] for b in record.content if b["type"] == "text")
    return "\n\n".join(texts).strip()


def ending_of(calls: Sequence[ToolCall], results: Sequence[Block]) -> Ending | None:
    """The ending that these calls cause: the first accepted finish or ask."""
    accepted = {r["tool_use_id"] for r in results if not r.get("is_error")}
    for call in calls:
        if call.id not in accepted:
            continue
        match understood(call):
            case FinishInput() as finish:
                return Done(
                    summary=finish.summary,
                    not_done=finish.not_done,
                    how_to_check=finish.how_to_check,
                    risks=finish.risks,
                    look_first=finish.look_first,
                    lacked=finish.lacked,
                )
            case AskInput(question=question):
                return Question(text=question)
    return None


def recorded_ending(records: Sequence[TurnRecord]) -> Ending | None:
    """The ending recorded by the last turn, if that has tool results."""
    if len(records) < 2 or records[-1].role != "user":
        return None
    return ending_of(tool_calls(records[-2]), results_of(records[-1]))


def results_of(record: TurnRecord) -> list[Block]:
    """The tool results of a user's turn."""
    return [b for b in record.content if b["type"] == "tool_result"]


def texts_in_a_row(records: Sequence[TurnRecord]) -> int:
    """How many of the latest assistant turns called no tool, with only reminders in between."""
    count = 0
    for record in reversed(records):
        if record.role == "user":
            if record.content != [NUDGE] and not summary_of(record):
                break
        elif tool_calls(record) or record.stop_reason in ("max_tokens", "pause_turn"):
            break
        else:
            count += 1
    return count


def plan_in(record: TurnRecord) -> tuple[PlanItem, ...] | None:
    """The plan that a turn of the model's sent last; None if it sent none."""
    for call in reversed(tool_calls(record)):
        if call.name == "plan":
            match understood(call):
                case PlanInput(items=items):
                    return tuple(items)
    return None


def repeats(records: Sequence[TurnRecord]) -> int:
    """How many times in a row the latest call was made with the same result; 0 without any call."""
    latest: tuple[str, object, object] | None = None
    count = 0
    for each in _calls_backwards(records):
        if latest is None:
            latest = each
        if each != latest:
            break
        count += 1
    return count


def _calls_backwards(records: Sequence[TurnRecord]) -> Iterator[tuple[str, object, object]]:
    """Name, input and the result's first block of each answered call, the latest first."""
    for answer, asked in pairwise(reversed(records)):
        results = {r["tool_use_id"]: r["content"][0] for r in results_of(answer)}
        for call in reversed(tool_calls(asked)):
            if call.id in results:
                yield call.name, call.input, results[call.id]


class Omitted(Value):
    """What requests omit:

    thinking of turns before `thinking`, because the API refuses thinking if the turns before it
    were changed; images and documents of turns before `media`, because the API refused one of them.
    """

    thinking: int = 0
    media: int = 0


def omitted_at_end(records: Sequence[TurnRecord]) -> Omitted:
    """What is left out at the end of these records."""
    for record in reversed(records):
        if record.usage and "omitted" in record.usage:
            return Omitted.recorded(record.usage["omitted"])
    return Omitted()


def messages_of(records: Sequence[TurnRecord], model: str, omitted: Omitted) -> tuple[Block, ...]:
    """The conversation in the API's shape.

    Omits refused turns, what is `omitted`, and other models' thinking, which only its own model can
    read. Merges consecutive turns of one role, since some endpoints refuse two in a row.
    """
    messages: list[Block] = []
    for record, characters in remembered(records):
        content = _content(record, model, omitted)
        if characters is not None:
            content = [shortened(block, characters) for block in content]
        if record.stop_reason == "refusal" or not content:
            continue
        if messages and messages[-1]["role"] == record.role:
            content = [*messages.pop()["content"], *content]
        messages.append({"role": record.role, "content": content})
    return tuple(messages)


def _content(record: TurnRecord, model: str, omitted: Omitted) -> list[Block]:
    if record.role == "user":
        if record.seq < omitted.media:
            return [without_media(block) for block in record.content]
        return record.content
    thought_here = (record.usage or {}).get("model") == model
    if thought_here and record.seq >= omitted.thinking:
        return _unfinished(record)
    spoken = [b for b in _unfinished(record) if b["type"] not in _THINKING]
    return spoken or [{"type": "text", "text": "(thinking)"}]


def _unfinished(record: TurnRecord) -> list[Block]:
    """A turn's blocks. A paused turn ends the next request, where the API refuses trailing white
    space.
    """
    *before, last = record.content
    if record.stop_reason != "pause_turn" or last["type"] != "text" or not last["text"].strip():
        return record.content
    return [*before, {**last, "text": last["text"].rstrip()}]
