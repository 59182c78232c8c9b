"""Compacts long conversations: a summary replaces all but the latest turns.

Pure functions over records. A summary is a record of the transcript like any other, so a resumed
run sends exactly what the interrupted one sent, with another model too. The API's own compaction
writes the text if the model supports it, otherwise the model in an ordinary turn; both read the
conversation from the cache. The API's signed block is not sent back: it would come before the
assignment, which would then have to be written to the cache again, and only its own API can read
it. https://platform.claude.com/docs/en/build-with-claude/compaction-on-demand
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from app.agent.engine import TurnRecord
from app.agent.engines.anthropic.tools import cut
from app.agent.prompt import summary_message
from app.domain.values import Value

Block = dict[str, Any]

CHARACTERS_PER_TOKEN = 4
MEDIA_TOKENS = {"image": 1_600, "document": 20_000}
"""The approximate tokens of an image, and of a PDF with the most pages that the sandbox shows."""

_KEPT = 8
"""The latest turns are kept up to this fraction of the threshold, and so are people's messages."""
_GROWN = 4
"""Nothing is compacted before the conversation has grown by this fraction of the threshold."""
_TIGHTER = 4
LEAST_CHARACTERS = 200
_THINKING = ("thinking", "redacted_thinking")


class Compacted(Value):
    """A summary's record, besides its text.

    Of the turns before it, only those from `keep_from` on are sent, and of their long texts
    (results and inputs of tools) at most `characters` of each, from both ends.
    """

    keep_from: int
    characters: int


def summary_of(record: TurnRecord) -> Compacted | None:
    """The summary of a record; None for other records."""
    found = (record.usage or {}).get("summary")
    return None if found is None else Compacted.recorded(found)


def latest_summary(records: Sequence[TurnRecord]) -> TurnRecord | None:
    """The summary in force at the end of these records."""
    return next((each for each in reversed(records) if summary_of(each)), None)


def remembered(records: Sequence[TurnRecord]) -> Iterator[tuple[TurnRecord, int | None]]:
    """The records that a request contains, each with the most characters that a text of it may
    have: the assignment, the summary, the turns that it kept, and everything since."""
    latest = latest_summary(records)
    if latest is None:
        yield from ((each, None) for each in records)
        return
    summary = summary_of(latest)
    assert summary is not None
    yield records[0], None
    yield latest, None
    for each in records[summary.keep_from : latest.seq]:
        if summary_of(each) is None:
            yield each, summary.characters
    yield from ((each, None) for each in records[latest.seq + 1 :])


def shortened(block: Block, characters: int) -> Block:
    """A block without its middle. Text from people is kept as it is."""
    match block["type"]:
        case "tool_result":
            content = [_shortened_part(part, characters) for part in block["content"]]
            return {**block, "content": content}
        case "tool_use":
            return {**block, "input": _shortened_value(block.get("input"), characters)}
    return block


def _shortened_part(part: Block, characters: int) -> Block:
    if part["type"] == "text":
        return {**part, "text": cut(part["text"], characters)}
    return without_media(part)


def without_media(block: Block) -> Block:
    """A block with each image and document replaced with a line."""
    if block["type"] == "tool_result":
        return {**block, "content": [without_media(part) for part in block["content"]]}
    if block["type"] in MEDIA_TOKENS:
        return {"type": "text", "text": f"[{block['type']} omitted; view it again if you need it]"}
    return block


def has_media(records: Sequence[TurnRecord]) -> bool:
    """Whether any of these turns shows the model an image or document."""
    return any(
        without_media(b) != b for each in records if each.role == "user" for b in each.content
    )


def _shortened_value(value: Any, characters: int) -> Any:
    if isinstance(value, str):
        return cut(value, characters)
    if isinstance(value, dict):
        return {name: _shortened_value(part, characters) for name, part in value.items()}
    if isinstance(value, list):
        return [_shortened_value(part, characters) for part in value]
    return value


def estimated_tokens(block: Block) -> int:
    """The approximate number of tokens of a block, without a request."""
    if block["type"] in MEDIA_TOKENS:
        return MEDIA_TOKENS[block["type"]]
    if block["type"] == "tool_result":
        return sum(map(estimated_tokens, block["content"]))
    return len(json.dumps(block)) // CHARACTERS_PER_TOKEN


def is_due(records: Sequence[TurnRecord], mark: int) -> bool:
    """Whether the next request would reach `mark` tokens, and a summary would help."""
    now = _context_tokens(records)
    return now >= mark and now - _first_context(records) >= mark // _GROWN


def _context_tokens(records: Sequence[TurnRecord]) -> int:
    """The API's count at the latest turn, plus an estimate for what followed it."""
    since = 0
    for record in reversed(records):
        if summary_of(record):
            break
        if record.role == "assistant":
            usage = record.usage or {}
            return since + _input_tokens(usage) + int(usage.get("output_tokens") or 0)
        since += sum(map(estimated_tokens, record.content))
    return 0


def _first_context(records: Sequence[TurnRecord]) -> int:
    """The tokens of the first request since the latest summary."""
    latest = latest_summary(records)
    since = records[latest.seq + 1 :] if latest else records
    first = next((each for each in since if each.role == "assistant"), None)
    return _input_tokens(first.usage or {}) if first else 0


def _input_tokens(usage: Block) -> int:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(int(usage.get(name) or 0) for name in names)


def planned(records: Sequence[TurnRecord], mark: int) -> Compacted | None:
    """The turns that a summary at the end of these records keeps; None if there are none.

    The latest turn is always kept; its texts are cut until they fit.
    """
    most = mark // _KEPT
    starts = list(_turn_starts(records))
    if not starts:
        return None
    summary = _fitted(records, Compacted(keep_from=starts[0], characters=mark // 2), most)
    for start in starts[1:]:
        wider = Compacted(keep_from=start, characters=summary.characters)
        if _kept_tokens(records, wider) > most:
            break
        summary = wider
    return summary


def tightened(record: TurnRecord, records: Sequence[TurnRecord]) -> Compacted | None:
    """A summary of the same turns that keeps less; None if it already keeps the minimum."""
    summary = summary_of(record)
    assert summary is not None
    before = records[: record.seq]
    start = next(iter(_turn_starts(before, since_summary=False)), summary.keep_from)
    if (start, summary.characters) <= (summary.keep_from, LEAST_CHARACTERS):
        return None
    fewer = max(summary.characters // _TIGHTER, LEAST_CHARACTERS)
    return Compacted(keep_from=max(start, summary.keep_from), characters=fewer)


def _turn_starts(records: Sequence[TurnRecord], *, since_summary: bool = True) -> Iterator[int]:
    """Where the model's turns begin, the latest first."""
    for index in range(len(records) - 1, 0, -1):
        if summary_of(records[index]):
            if since_summary:
                return
        elif records[index].role == "assistant" and records[index - 1].role == "user":
            yield index


def _fitted(records: Sequence[TurnRecord], summary: Compacted, most: int) -> Compacted:
    while _kept_tokens(records, summary) > most and summary.characters > LEAST_CHARACTERS:
        fewer = max(summary.characters // 2, LEAST_CHARACTERS)
        summary = Compacted(keep_from=summary.keep_from, characters=fewer)
    return summary


def _kept_tokens(records: Sequence[TurnRecord], summary: Compacted) -> int:
    return sum(
        estimated_tokens(shortened(block, summary.characters))
        for record in records[summary.keep_from :]
        for block in record.content
        if block["type"] not in _THINKING
    )


def summary_text(records: Sequence[TurnRecord], said: str, mark: int) -> str:
    """The text that replaces these records for the model: its own summary (`said`), or one made
    from the records if there is none, and the latest messages from people.
    """
    characters = mark * CHARACTERS_PER_TOKEN // _KEPT
    return summary_message(
        cut(said.strip() or _from_records(records), characters), _words(records, characters)
    )


def _words(records: Sequence[TurnRecord], characters: int) -> list[str]:
    """Messages from people and test results since the assignment, in order; the oldest are cut
    first.
    """
    kept: list[str] = []
    for record in reversed(records[1:]):
        if (record.usage or {}).get("feedback_id"):
            text = "\n\n".join(block["text"] for block in record.content)
            kept.append(cut(text, max(characters, LEAST_CHARACTERS)))
            characters -= len(kept[-1])
    return kept[::-1]


_EDITS = ("create", "str_replace", "insert")
_SHOWN = 30


def _from_records(records: Sequence[TurnRecord]) -> str:
    """A summary that no model wrote: the one before it, the files edited, the latest commands."""
    calls = [
        block
        for record in records
        if record.role == "assistant"
        for block in record.content
        if block["type"] == "tool_use" and isinstance(block.get("input"), dict)
    ]
    edited = [
        str(each["input"].get("path", ""))[:200]
        for each in calls
        if each["input"].get("command") in _EDITS
    ]
    ran = [str(each["input"].get("command", ""))[:200] for each in calls if each["name"] == "bash"]
    lines = [f"- edited {path}" for path in list(dict.fromkeys(edited))[-_SHOWN:]]
    lines += [f"- ran {command}" for command in ran[-_SHOWN:]]
    earlier = latest_summary(records)
    before = [str(earlier.content[0]["text"])] if earlier else []
    return "\n".join([*before, *lines]) or "(nothing was edited and no command was run)"
