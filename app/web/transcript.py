"""A run's transcript as steps for its page: each answer of the model with the results of its calls.

Everything shown is bounded; a page of its own shows one step in full.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from markupsafe import Markup

from app import messages
from app.domain.sanitize import fit_middle
from app.domain.transcript import RecordedCall, RecordedResult, RecordedTurn
from app.store.messages import StoredMessage
from app.web.markdown import as_html

WORKSPACE = "/workspace/"
"""Where the agent sees the checkout."""

SHORT, FULL = 1_500, 200_000
"""Characters of one output or text: on the run's page, and on the step's own."""

_DIFF_ROWS = 60
_TITLE = 160

_COMPARED_LINES = 2_000
_CONTEXT_LINES = 3

RowKind = Literal["add", "del", "same", "hunk"]
_KINDS: Mapping[str, RowKind] = {"+": "add", "-": "del", " ": "same"}


@dataclass(frozen=True)
class DiffRow:
    """One line of a diff."""

    kind: RowKind
    text: str

    @property
    def sign(self) -> str:
        """The first character of the line in a patch."""
        return {"add": "+", "del": "-", "same": " ", "hunk": ""}[self.kind]


@dataclass(frozen=True)
class ShownCall:
    """One tool call and, once it has one, its result."""

    title: str
    is_command: bool = False
    rows: tuple[DiffRow, ...] = ()
    input: str = ""
    output: str = ""
    lines: int = 0
    failed: bool = False
    pending: bool = True


@dataclass(frozen=True)
class Step:
    """One step of the transcript. `key` is its first turn, `last` its last, `at` when that was
    stored (Unix)."""

    key: int
    last: int
    at: float
    who: str
    kind: Literal["model", "person", "honk"]
    text: Markup = field(default_factory=Markup)
    thinking: Markup = field(default_factory=Markup)
    actions: tuple[ShownCall, ...] = ()
    began: float = 0.0
    seconds: float = 0.0
    cost_usd: float = 0.0


@dataclass(frozen=True)
class StepReader:
    """Turns records into steps. `people` are the messages to the run by their id."""

    secrets: Collection[str]
    people: Mapping[str, StoredMessage]
    limit: int = SHORT

    def steps(self, turns: Iterable[RecordedTurn]) -> list[Step]:
        """The steps of consecutive turns. Results without their call in front are left out."""
        steps: list[Step] = []
        calls: dict[str, int] = {}
        for turn in turns:
            if turn.role == "assistant":
                calls = {call.id: number for number, call in enumerate(turn.calls)}
                steps.append(self._answer(turn))
                continue
            own = [each for each in turn.results if each.call in calls]
            if own and steps:
                steps[-1] = self._with_results(steps[-1], turn, own, calls)
            if turn.text or turn.message:
                steps.append(self._note(turn))
        return steps

    def _answer(self, turn: RecordedTurn) -> Step:
        return Step(
            key=turn.seq,
            last=turn.seq,
            at=turn.at,
            who="Model",
            kind="model",
            text=self._html(turn.text),
            thinking=self._html(turn.reasoning),
            actions=tuple(self._shown_call(call) for call in turn.calls),
            began=turn.at,
            seconds=turn.seconds,
            cost_usd=turn.cost_usd,
        )

    def _note(self, turn: RecordedTurn) -> Step:
        said = self.people.get(turn.message)
        return Step(
            key=turn.seq,
            last=turn.seq,
            at=turn.at,
            who=said.author if said else "Honk",
            kind="person" if said or turn.message else "honk",
            text=self._html(said.text if said else turn.text),
            began=turn.at,
        )

    def _with_results(
        self,
        step: Step,
        turn: RecordedTurn,
        results: Sequence[RecordedResult],
        calls: Mapping[str, int],
    ) -> Step:
        actions = list(step.actions)
        for result in results:
            number = calls[result.call]
            text = result.text.strip("\n")
            actions[number] = replace(
                actions[number],
                output=fit_middle(text, self.limit),
                lines=text.count("\n") + 1 if text.strip() else 0,
                failed=result.is_error,
                pending=False,
            )
        seconds = step.seconds + turn.seconds
        return replace(step, last=turn.seq, at=turn.at, actions=tuple(actions), seconds=seconds)

    def _html(self, text: str) -> Markup:
        return as_html(text, self.secrets, limit=2 * self.limit) if text.strip() else Markup()

    def _shown_call(self, call: RecordedCall) -> ShownCall:
        given = call.arguments
        command = given.get("command")
        path = _first(given, "path", "file_path", "filePath").removeprefix(WORKSPACE)
        rows = tuple(_edit_rows(given))
        if rows and path:
            word = "Created" if "file_text" in given or "content" in given else "Edited"
            added = sum(row.kind == "add" for row in rows)
            removed = sum(row.kind == "del" for row in rows)
            title = f"{word} {path} +{added} −{removed}"
            return ShownCall(fit_middle(title, _TITLE), rows=self._fitting(rows))
        if isinstance(command, str) and not path:
            first = command.strip().partition("\n")[0]
            is_long = first != command.strip() or len(first) > _TITLE
            shown = fit_middle(command, self.limit) if is_long else ""
            return ShownCall(fit_middle(first, _TITLE), is_command=True, input=shown)
        title = _own_title(call) or (f"Read {path}" if command == "view" and path else "")
        said = "" if title else self._input(given)
        return ShownCall(fit_middle(title or messages.runs.call_line(call), _TITLE), input=said)

    def _fitting(self, rows: tuple[DiffRow, ...]) -> tuple[DiffRow, ...]:
        most = _DIFF_ROWS if self.limit == SHORT else self.limit // 20
        shown = [replace(row, text=fit_middle(row.text, 300)) for row in rows[:most]]
        left = len(rows) - len(shown)
        return (*shown, DiffRow("hunk", f"… {left:,} more lines")) if left else tuple(shown)

    def _input(self, given: Mapping[str, Any]) -> str:
        is_short = all(isinstance(each, int | float | str) for each in given.values())
        if is_short and sum(len(str(each)) for each in given.values()) < _TITLE:
            return ""
        return fit_middle(json.dumps(given, ensure_ascii=False, indent=2), self.limit)


def _own_title(call: RecordedCall) -> str:
    """A call of one of Honk's own tools in a few words; empty for another tool."""
    items = call.arguments.get("items")
    if call.name == "plan" and isinstance(items, list):
        done = sum(isinstance(each, dict) and bool(each.get("done")) for each in items)
        return f"Updated the plan: {done} of {len(items)} done"
    return {"verify": "Ran the project's tests", "finish": "Finished the work"}.get(call.name, "")


def _edit_rows(given: Mapping[str, Any]) -> Iterable[DiffRow]:
    """The lines that an edit removes and adds, of any engine's tool."""
    edits = given.get("edits")
    for edit in [given, *(edits if isinstance(edits, list) else [])]:
        if not isinstance(edit, dict):
            continue
        before = _first(edit, "old_str", "old_string", "oldText")
        after = _first(edit, "new_str", "new_string", "newText", "insert_text")
        whole = _first(edit, "file_text", "content")
        yield from _compared(before, after) if before or after else _compared("", whole)


def _compared(before: str, after: str) -> Iterable[DiffRow]:
    old, new = before.splitlines(), after.splitlines()
    if len(old) + len(new) > _COMPARED_LINES:
        yield from (DiffRow("del", line) for line in old)
        yield from (DiffRow("add", line) for line in new)
        return
    # Without the two lines about files and the first hunk's numbers, which count from the edit.
    for line in list(difflib.unified_diff(old, new, n=_CONTEXT_LINES, lineterm=""))[3:]:
        yield DiffRow("hunk", "…") if line[0] == "@" else DiffRow(_KINDS[line[0]], line[1:])


def _first(given: Mapping[str, Any], *names: str) -> str:
    return next((given[name] for name in names if isinstance(given.get(name), str)), "")
