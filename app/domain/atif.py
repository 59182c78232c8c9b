"""A run as a trajectory in the Agent Trajectory Interchange Format, version 1.8. Pure.

The format is Harbor's: https://www.harborframework.com/docs/agents/trajectory-format. Its token
counts include cached tokens; Anthropic's are separate, so three counts are added. The format allows
no unknown keys, so everything without a field is in an `extra`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from app.domain.report import Report
from app.domain.run import Outcome, RunInput
from app.domain.transcript import RecordedResult, RecordedTurn
from app.domain.values import Value

VERSION = "ATIF-v1.8"

Json = dict[str, Any]


class ExportedRun(Value):
    """What an export says about a run; times are Unix seconds.

    `cost_usd` is the run's total cost, including the judge and choices for setup.
    """

    run: RunInput
    attempt: int
    outcome: Outcome | None
    base_sha: str | None
    commit_sha: str | None
    pull_url: str | None
    cost_usd: float
    created_at: float
    finished_at: float | None
    report: Report | None
    turns: tuple[RecordedTurn, ...]


def trajectory(exported: ExportedRun, honk: str) -> Json:
    """The run as a trajectory; `honk` is the version of Honk."""
    run = exported.run
    steps = [
        {"step_id": number, **step} for number, step in enumerate(_steps(exported.turns), start=1)
    ]
    return {
        "schema_version": VERSION,
        "session_id": run.id,
        "trajectory_id": f"{run.id}.{exported.attempt}",
        "agent": {
            "name": "honk",
            "version": honk,
            "model_name": run.model,
            "extra": {"engine": run.engine},
        },
        "steps": steps,
        "final_metrics": {**_totals(exported), "total_steps": len(steps)},
        "extra": _about(exported),
    }


def _steps(turns: Sequence[RecordedTurn]) -> Iterator[Json]:
    """One step for each answer of the model with the results of its calls; others by who spoke."""
    answered = {turn.seq + 1: turn for turn in turns if turn.role == "assistant"}
    by_seq = {turn.seq: turn for turn in turns}
    for turn in turns:
        if turn.role == "assistant":
            yield _agent_step(turn, by_seq.get(turn.seq + 1))
            continue
        called = {call.id for call in answered[turn.seq].calls} if turn.seq in answered else set()
        strays = [each for each in turn.results if each.call not in called]
        if turn.text or strays or not turn.results:
            yield _spoken_step(turn, strays)


def _agent_step(turn: RecordedTurn, answer: RecordedTurn | None) -> Json:
    step: Json = {**_common(turn, "agent"), "llm_call_count": 1}
    if turn.model:
        step["model_name"] = turn.model
    if turn.reasoning:
        step["reasoning_content"] = turn.reasoning
    if turn.calls:
        step["tool_calls"] = [
            {"tool_call_id": call.id, "function_name": call.name, "arguments": call.arguments}
            for call in turn.calls
        ]
    called = {call.id for call in turn.calls}
    results = [each for each in (answer.results if answer else ()) if each.call in called]
    if results:
        step["observation"] = {"results": [_result(each, each.call) for each in results]}
    if answer is not None and results:
        step["extra"] |= {"tools_seconds": answer.seconds}
        step["extra"] |= {"tree": answer.snapshot} if answer.snapshot else {}
    step["metrics"] = {"cost_usd": turn.cost_usd}
    if turn.tokens is not None:
        tokens = turn.tokens
        step["metrics"] |= {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.output,
            "cached_tokens": tokens.cache_read,
            "extra": {"cache_creation_tokens": tokens.cache_write},
        }
    return step


def _spoken_step(turn: RecordedTurn, strays: Iterable[RecordedResult]) -> Json:
    """The request, a person's message, or what Honk says to the model."""
    step = _common(turn, "user" if turn.seq == 0 or turn.message else "system")
    results = [_result(each, None) for each in strays]
    if results:
        step["observation"] = {"results": results}
    return step


def _common(turn: RecordedTurn, source: str) -> Json:
    step: Json = {
        "source": source,
        "message": turn.text,
        "extra": {"turn": turn.seq, "seconds": turn.seconds},
    }
    if turn.at:
        step["timestamp"] = _moment(turn.at)
    if turn.stop_reason:
        step["extra"]["stop_reason"] = turn.stop_reason
    return step


def _result(result: RecordedResult, call: str | None) -> Json:
    shown: Json = {"content": result.text}
    if call is not None:
        shown["source_call_id"] = call
    if result.is_error:
        shown["extra"] = {"is_error": True}
    return shown


def _totals(exported: ExportedRun) -> Json:
    counted = [turn.tokens for turn in exported.turns if turn.tokens is not None]
    return {
        "total_prompt_tokens": sum(each.prompt for each in counted),
        "total_completion_tokens": sum(each.output for each in counted),
        "total_cached_tokens": sum(each.cache_read for each in counted),
        "total_cost_usd": exported.cost_usd,
    }


def _about(exported: ExportedRun) -> Json:
    trigger, report = exported.run.trigger, exported.report
    return {
        "repository": str(trigger.repository),
        "number": trigger.number,
        "mode": exported.run.mode,
        "outcome": exported.outcome.value if exported.outcome else None,
        "verdict": report.verdict.kind.value if report and report.verdict else None,
        "verdict_title": report.verdict.title if report and report.verdict else None,
        "base_commit": exported.base_sha,
        "commit": exported.commit_sha,
        "pull_request": exported.pull_url,
        "created_at": _moment(exported.created_at),
        "finished_at": _moment(exported.finished_at) if exported.finished_at else None,
    }


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
