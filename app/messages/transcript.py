"""A run's transcript as a Markdown document. What the run recorded cannot load or run anything."""

from __future__ import annotations

import json
from collections.abc import Iterator

from app.domain import sanitize
from app.domain.atif import ExportedRun
from app.domain.transcript import RecordedCall, RecordedResult, RecordedTurn
from app.messages import runs as texts
from app.messages import verdict as verdicts
from app.messages.formatting import duration, sentence

_TEXT = 100_000
"""Characters of one text or output; the middle of a longer one is left out."""

_FOLDED_LINES = 15
"""Outputs with more lines are folded."""


def as_markdown(exported: ExportedRun) -> str:
    """The whole run: what was asked, how it ended, and every turn."""
    parts = [*_head(exported), *_ending(exported), "## Transcript"]
    results = {
        result.call: result for turn in exported.turns for result in turn.results if result.call
    }
    shown: set[str] = set()
    for turn in exported.turns:
        parts += _turn(turn, results, shown)
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(exported: ExportedRun) -> Iterator[str]:
    run = exported.run
    yield f"# {sanitize.plain(run.trigger.title, limit=250) or run.id}"
    took = exported.finished_at - exported.created_at if exported.finished_at else None
    state = exported.outcome.value if exported.outcome else "at work"
    turns = sum(turn.role == "assistant" for turn in exported.turns)
    rows = [
        ("Run", f"{run.id}, attempt {exported.attempt}"),
        ("State", state),
        *((name.capitalize(), value) for name, value in texts.request(run)),
        ("Requested at", f"{texts.when(exported.created_at)} UTC"),
        ("Took", duration(took) if took is not None else ""),
        ("Cost", f"{texts.money(exported.cost_usd)}, {turns} model turns"),
        ("Base commit", exported.base_sha or ""),
        ("Commit", exported.commit_sha or ""),
        ("Pull request", exported.pull_url or ""),
    ]
    lines = [f"| {name} | {_cell(value)} |" for name, value in rows if value]
    yield "\n".join(["| | |", "|---|---|", *lines])


def _cell(value: str) -> str:
    return sanitize.plain(value, limit=400)


def _ending(exported: ExportedRun) -> Iterator[str]:
    report = exported.report
    if report is None:
        return
    yield "## Result"
    if report.verdict is not None:
        yield verdicts.statement(report.verdict)
        yield verdicts.table(report.verdict)
        yield verdicts.notes_list(report.verdict)
    for text in (report.problem, report.next_step):
        yield sentence(sanitize.markdown(text, limit=_TEXT)) if text else ""
    if report.work is not None:
        yield sanitize.markdown(report.work.text, limit=_TEXT)
        if report.work.not_done:
            yield f"Not done: {sanitize.markdown(report.work.not_done, limit=_TEXT)}"


def _turn(turn: RecordedTurn, results: dict[str, RecordedResult], shown: set[str]) -> Iterator[str]:
    """A turn; the results of a turn's calls are below the calls."""
    calls = [call.id for call in turn.calls]
    strays = [each for each in turn.results if each.call not in shown]
    if turn.role == "user" and not turn.text and not strays:
        return
    yield f"### {texts.turn_head(turn)}"
    if turn.reasoning:
        yield _folded("Thinking", sanitize.markdown(turn.reasoning, limit=_TEXT))
    yield sanitize.markdown(turn.text, limit=_TEXT)
    for call in turn.calls:
        yield from _call(call)
        if call.id in results:
            yield _output(results[call.id])
    shown.update(each for each in calls if each in results)
    for result in strays:
        yield _output(result)


def _call(call: RecordedCall) -> Iterator[str]:
    yield f"**{sanitize.plain(call.name, limit=100)}**"
    short = {}
    for name, value in call.arguments.items():
        if isinstance(value, str) and "\n" in value.strip():
            label = sanitize.plain(name, limit=100)
            yield f"{label}:\n\n{sanitize.fence(value, limit=_TEXT)}"
        else:
            short[name] = value
    if short:
        written = json.dumps(short, ensure_ascii=False, indent=None)
        yield sanitize.fence(written, limit=_TEXT, language="json")


def _output(result: RecordedResult) -> str:
    text = result.text.strip("\n")
    name = "Error" if result.is_error else "Output"
    if not text.strip():
        return f"{name}: nothing"
    block = sanitize.fence(text, limit=_TEXT)
    lines = text.count("\n") + 1
    if lines <= _FOLDED_LINES:
        return f"{name}:\n\n{block}"
    return _folded(f"{name}: {lines:,} lines", block)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{body}\n\n</details>" if body else ""
