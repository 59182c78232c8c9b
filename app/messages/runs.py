"""What `honk runs` prints about a run: facts, phases, transcript. Plain text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from app.domain import sanitize
from app.domain.report import Report
from app.domain.run import Outcome, Phase, RunInput
from app.domain.transcript import RecordedCall, RecordedResult, RecordedTurn
from app.domain.values import short
from app.messages import verdict as verdicts
from app.messages.formatting import duration, state

OUTPUT_LINES = 12
"""Lines of a tool's output that are shown, unless all of it is asked for."""

_OUTPUT_CHARACTERS = 4_000
_ARGUMENT_CHARACTERS = 200

Fact = tuple[str, str]


def when(moment: float) -> str:
    """A Unix time as `2026-11-30 13:05:09`, UTC."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")


def status(phase: Phase, outcome: Outcome | None, mode: str) -> str:
    """A run's state or outcome, in a few words."""
    return state(phase, outcome, mode)


def money(usd: float) -> str:
    """US dollars; small amounts with enough digits to differ from zero."""
    return f"${usd:.4f}" if 0 < usd < 0.01 else f"${usd:.2f}"


def request(run: RunInput) -> list[Fact]:
    """The request, the requester, and the model and engine."""
    trigger = run.trigger
    kind = "pull request" if trigger.is_pull_request else "issue"
    facts = [
        (kind, f"{trigger.repository}#{trigger.number} {_line(trigger.title)}"),
        ("address", trigger.html_url),
        ("requested by", trigger.actor.login),
        ("mode", run.mode),
        ("base branch", run.base_branch),
    ]
    if run.mode not in ("test", "setup"):
        facts += [("engine", run.engine), ("model", run.model)]
        facts += [("budget", f"{money(run.policy.budget.usd)}, {run.policy.budget.turns} turns")]
    if run.request:
        facts.insert(3, ("request", _line(run.request)))
    return facts


def ending(report: Report) -> list[Fact]:
    """How it ended: verdict, problem, next step, and the agent's summary."""
    facts: list[Fact] = []
    if report.verdict is not None:
        title, *reasons = verdicts.terminal(report.verdict)
        facts += [("verdict", title), *(("", each) for each in reasons)]
    if report.publication is not None and report.publication.draft:
        facts += [("", "The pull request is a draft.")]
    facts += [("problem", _block(report.problem)), ("next step", _block(report.next_step))]
    facts += [("work saved at", report.kept_at)]
    if report.work is not None:
        name = "question" if report.work.ending == "question" else "agent's summary"
        facts += [(name, _block(report.work.text)), ("not done", _block(report.work.not_done))]
        facts += [("how to check", _block(report.work.how_to_check))]
        facts += [("risks", _block(report.work.risks))]
        facts += [("look at first", _block(report.work.look_first))]
        facts += [("not mentioned before", _block(report.work.lacked))]
    return [(name, value) for name, value in facts if value]


def phase_rows(phases: Sequence[tuple[Phase, float]], end: float) -> list[tuple[str, str, str]]:
    """Each phase in order: its name, when it began, how long it took (the last one until `end`)."""
    ends = [*(at for _, at in phases[1:]), end]
    return [
        (phase.value, when(began), duration(max(0.0, ended - began)))
        for (phase, began), ended in zip(phases, ends, strict=False)
        if phase is not Phase.FINISHED
    ]


def turn_head(turn: RecordedTurn) -> str:
    """One line about a turn: whose it is, when, how long it took, what it cost."""
    parts = [f"{turn.seq}", _speaker(turn)]
    parts += [when(turn.at)] if turn.at else []
    parts += [f"{turn.seconds:.1f} s"] if turn.seconds >= 0.05 else []
    parts += [money(turn.cost_usd)] if turn.cost_usd else []
    if turn.tokens is not None:
        parts.append(f"{turn.tokens.prompt:,} tokens in, {turn.tokens.output:,} out")
    if turn.stop_reason not in ("", "tool_use", "end_turn"):
        parts.append(f"stopped: {_line(turn.stop_reason)}")
    return " · ".join(parts)


def _speaker(turn: RecordedTurn) -> str:
    if turn.role == "assistant":
        return "model"
    if turn.results:
        return "results"
    return "message" if turn.message else "request" if turn.seq == 0 else "Honk"


def turn_lines(turn: RecordedTurn, *, whole: bool) -> Iterator[tuple[str, str]]:
    """A turn's content as pairs of a kind (`text`, `thinking`, `call`, `output`, `error`) and a
    line of text. Without `whole`, long texts are cut in the middle."""
    for kind, text in (("thinking", turn.reasoning), ("text", turn.text)):
        yield from ((kind, line) for line in _lines(text, whole=whole))
    for call in turn.calls:
        yield "call", call_line(call)
        yield from (("text", f"  {line}") for line in _long_arguments(call, whole=whole))
    for result in turn.results:
        yield from _result_lines(result, whole=whole)


def call_line(call: RecordedCall) -> str:
    """A tool call in one line: its name and its short arguments."""
    shown = [
        _line(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in call.arguments.values()
        if not _is_long(value)
    ]
    return sanitize.fit(" ".join([_line(call.name), *shown]), 2 * _ARGUMENT_CHARACTERS)


def _is_long(value: object) -> bool:
    return isinstance(value, str) and ("\n" in value.strip() or len(value) > _ARGUMENT_CHARACTERS)


def _long_arguments(call: RecordedCall, *, whole: bool) -> Iterator[str]:
    for name, value in call.arguments.items():
        if _is_long(value):
            yield f"{_line(name)}:"
            yield from (f"  {line}" for line in _lines(str(value), whole=whole))


def _result_lines(result: RecordedResult, *, whole: bool) -> Iterator[tuple[str, str]]:
    kind = "error" if result.is_error else "output"
    for line in _lines(result.text, whole=whole) or ["(no output)"]:
        yield kind, f"  {line}"


def _lines(text: str, *, whole: bool) -> list[str]:
    shown = sanitize.printable(text if whole else sanitize.fit_middle(text, _OUTPUT_CHARACTERS))
    lines = shown.strip("\n").split("\n") if shown.strip() else []
    if whole or len(lines) <= OUTPUT_LINES:
        return lines
    head = OUTPUT_LINES // 3
    left_out = len(lines) - OUTPUT_LINES
    return [*lines[:head], f"… {left_out:,} lines left out …", *lines[head - OUTPUT_LINES :]]


def commit(sha: str | None) -> str:
    """A commit's short SHA; empty without one."""
    return short(sha) if sha else ""


def asked(action: str, run: str) -> str:
    """The confirmation of `honk runs stop`, `continue` and `retry`."""
    done = {
        "stop": "Asked the run to stop. Its work so far is saved.",
        "continue": "Asked to continue the run.",
        "retry": "Asked for a new run of the same request.",
    }[action]
    return f"{done} Follow it: honk runs show {run} -f"


def _line(text: str) -> str:
    return sanitize.fit(" ".join(sanitize.printable(text).split()), 300)


def _block(text: str) -> str:
    return sanitize.printable(sanitize.fit_middle(text, _OUTPUT_CHARACTERS)).strip()
