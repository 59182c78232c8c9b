"""The transcript of an agent that is a program. Pure.

An assistant's record is an answer of the model, with the names of our tools that every engine uses.
A user's record with results may contain, as `usage["session"]`, what the program had written to its
own session: together, these entries are the session from which a resumed run continues.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.agent.engine import TurnRecord
from app.agent.engines.anthropic.conversation import results_of
from app.agent.engines.anthropic.tools import ToolCall, cleaned, cut
from app.agent.program.own_tools import OWN

Json = dict[str, Any]

_REMINDER = re.compile(r"\s*<system-reminder>.*</system-reminder>\s*\Z", re.DOTALL)
_OURS = re.compile(r"(?:.*honk[^a-z]+)?(" + "|".join(OWN) + ")")
"""How agents name our tools: `mcp__honk__finish`, `honk_finish`, `honk/finish` or `finish`."""


def is_main(body: Mapping[str, Any]) -> bool:
    """Whether a request is a turn of the agent, not one of the program's own requests (such as for
    a title).
    """
    return any(_ours(str(tool.get("name"))) == "finish" for tool in _objects(body.get("tools")))


def named_as_ours(content: Iterable[Json]) -> list[Json]:
    """An answer's blocks, with the names of our tools without their server's."""
    return [
        {**block, "name": _ours(str(block["name"]))} if block.get("type") == "tool_use" else block
        for block in content
    ]


def _ours(name: str) -> str:
    found = _OURS.fullmatch(name)
    return found[1] if found else name


def main_turns(records: Sequence[TurnRecord]) -> list[TurnRecord]:
    """The records without the program's own requests."""
    return [each for each in records if not (each.usage or {}).get("aside")]


def results_in(body: Mapping[str, Any], calls: Sequence[ToolCall]) -> list[Json]:
    """The results of these calls in a request, in the order of the calls, as they are recorded."""
    found: dict[str, Json] = {}
    for message in reversed(_messages(body)):
        if message.get("role") == "assistant":
            break
        for block in _blocks(message):
            if block.get("type") == "tool_result":
                found[str(block.get("tool_use_id"))] = block
    return [_result(found[call.id]) for call in calls if call.id in found]


def _result(block: Json) -> Json:
    texts = [str(part.get("text", f"[{part.get('type')}]")) for part in _blocks(block)]
    text = cut(cleaned("\n".join(texts)))
    return {
        "type": "tool_result",
        "tool_use_id": str(block.get("tool_use_id")),
        "content": [{"type": "text", "text": text if text.strip() else "(empty)"}],
        "is_error": bool(block.get("is_error")),
    }


def without_reminders(records: Sequence[TurnRecord]) -> list[TurnRecord]:
    """The records with results as the tools gave them: Claude Code adds reminders to some."""
    return [
        each.model_copy(update={"content": [_without_reminder(block) for block in each.content]})
        for each in records
    ]


def _without_reminder(block: Json) -> Json:
    if block.get("type") != "tool_result":
        return block
    text = _REMINDER.sub("", str(block["content"][0]["text"]))
    return {**block, "content": [{"type": "text", "text": text}]}


def session_of(records: Sequence[TurnRecord]) -> tuple[str, list[Json]] | None:
    """The recorded session's id and entries; None before the first results."""
    usages = [record.usage or {} for record in records]
    kept = [usage["session"] for usage in usages if "session" in usage]
    if not kept:
        return None
    return str(kept[-1]["id"]), [entry for each in kept for entry in each["entries"]]


def names_results(entries: Iterable[Any], ids: Iterable[str]) -> bool:
    """Whether entries of a session hold the results of all these calls."""
    there = {
        block.get("tool_use_id")
        for entry in entries
        if isinstance(entry, dict) and entry.get("type") == "user"
        if isinstance(message := entry.get("message"), dict)
        for block in _blocks(message)
    }
    return there.issuperset(ids)


class Notes:
    """Messages that the worker adds to the conversation: from people, and its own.

    They are not in the program's own session, so each request gets them again at the same position:
    after the results that were the latest when a note was recorded, or in the first message.
    """

    def __init__(self, records: Sequence[TurnRecord]) -> None:
        """The notes of a run that resumes from these records."""
        self._notes: list[tuple[str, str]] = []
        self._anchor = ""
        recorded = max((r.seq for r in records if (r.usage or {}).get("session")), default=-1)
        for record in records[1:]:
            if results := results_of(record):
                self._anchor = str(results[-1]["tool_use_id"])
            elif record.role == "user" and not (
                (record.usage or {}).get("by_hook") and record.seq < recorded
            ):
                self._notes.append((self._anchor, str(record.content[0].get("text", ""))))

    def after(self, results: Sequence[Json]) -> None:
        """New notes follow these results."""
        if results:
            self._anchor = str(results[-1]["tool_use_id"])

    def add(self, text: str) -> None:
        """One more note, in its place from the next request on."""
        self._notes.append((self._anchor, text))

    def added_to(self, body: Json) -> Json:
        """The request's body with the notes in it."""
        messages = _messages(body)
        if not self._notes or not messages:
            return body
        places = {
            str(block.get("tool_use_id")): index
            for index, message in enumerate(messages)
            for block in _blocks(message)
            if block.get("type") == "tool_result"
        }
        for anchor, text in self._notes:
            index = 0 if anchor == "" else places.get(anchor)
            # The program's own summary already includes them.
            if index is not None:
                content = [*_blocks(messages[index]), {"type": "text", "text": text}]
                messages[index] = {**messages[index], "content": content}
        return {**body, "messages": messages}


def _messages(body: Mapping[str, Any]) -> list[Json]:
    return _objects(body.get("messages"))


def _blocks(message: Mapping[str, Any]) -> list[Json]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else _objects(content)


def _objects(value: object) -> list[Json]:
    """The objects in a list; the API refuses anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
