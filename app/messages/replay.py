"""What `honk replay` prints. Plain text."""

from __future__ import annotations

from typing import Any

from app.domain import sanitize
from app.domain.replay import ReplayComparison, ReplayDifference
from app.domain.values import short
from app.messages import runs
from app.messages.formatting import count

_ANSWERS_SHOWN = 3
_ANSWER = 1_500


def compared(found: ReplayComparison, run: str) -> str:
    """The result: the same, or the first difference."""
    if found.difference is not None:
        return _difference(found.difference, run)
    parts = [f"The replay matches: {count(found.turns, 'turn')} of the model"]
    parts += [f"{count(found.trees, 'tree')} compared"]
    parts += ["the same verdict" if found.verdict_compared else "no verdict to compare"]
    text = f"{', '.join(parts)}."
    if found.answers:
        text += (
            f" The output of {count(found.answers, 'call')} differed, for example in times and "
            "temporary names; no file differed."
        )
    return text


def _difference(difference: ReplayDifference, run: str) -> str:
    if difference.what == "verdict":
        verdicts = f"Then: {difference.then}\nNow:  {difference.now}"
        return f"The same files, but a different verdict.\n{verdicts}"
    calls = [f"  {runs.call_line(call)}" for call in difference.calls]
    if difference.what == "calls":
        head = f"The first difference is at turn {difference.turn}: {difference.now} instead of"
        return "\n".join([head, *(calls or ["  a text without a call"])])
    lines = [
        f"The first difference is after turn {difference.turn}: different files "
        f"(tree {short(difference.now)} instead of {short(difference.then)}). Its calls:",
        *calls,
    ]
    for answer in difference.answers[:_ANSWERS_SHOWN]:
        lines += [f"{answer.call.name}, then:", _indented(answer.then)]
        lines += ["now:", _indented(answer.now)]
    lines.append(f"The recorded turn: honk runs log {run}")
    return "\n".join(lines)


def _indented(text: str) -> str:
    shown = sanitize.printable(sanitize.fit_middle(text, _ANSWER)).strip("\n") or "(nothing)"
    return "\n".join(f"  {line}" for line in shown.split("\n"))


def as_json(found: ReplayComparison, run: str) -> dict[str, Any]:
    """The same for programs."""
    return {"run": run, "same": found.difference is None, **found.model_dump(mode="json")}
