"""`honk export`: a recorded run as ATIF, by the format's own schema, and as Markdown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from app.cli import honk
from app.domain.run import Outcome, RunInput
from app.store.database import Database
from app.store.runs import Runs
from app.store.turns import Turns
from tests.support.runs import open_run

# Made from Harbor's models (Apache-2.0), version 0.26.0: `Trajectory.model_json_schema()`.
_SCHEMA = json.loads((Path(__file__).parents[2] / "support/atif-1.8.json").read_text())
_SECRET = "sk-ant-0123456789abcdefghij"

_USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 30,
    "output_tokens": 4,
    "model": "claude-sonnet-5-5",
    "stop_reason": "tool_use",
}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _used(call: str, name: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call, "name": name, "input": arguments}


def _back(call: str, text: str, *, bad: bool = False) -> dict[str, Any]:
    content = [_text(text)]
    return {"type": "tool_result", "tool_use_id": call, "content": content, "is_error": bad}


RECORDS: list[dict[str, Any]] = [
    {
        "role": "user",
        "content": [_text("Subject: o/r#1. <!-- hidden --> ![x](https://e.vil/x.png)")],
    },
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "s"},
            _text("I look."),
            _used("t1", "bash", command="cat key"),
            _used("t2", "edit", path="a.py", text="one\n```\ntwo"),
        ],
        "usage": _USAGE,
        "cost_usd": 0.25,
        "seconds": 2.0,
    },
    {
        "role": "user",
        "content": [
            _back("t1", f"\x1b[31m{_SECRET}\x1b[0m\n" + "line\n" * 40),
            _back("t2", "no such file", bad=True),
        ],
        "snapshot": "a" * 40,
        "seconds": 1.0,
    },
    {"role": "user", "content": [_text("walter wrote: stop")], "usage": {"feedback_id": "IC_1"}},
    {"role": "assistant", "content": [_text("Done.")], "usage": None, "cost_usd": 0.0},
    {"role": "user", "content": [_text("You called no tool.")]},
    {"role": "user", "content": [_back("of nobody", "stray")]},
]


@pytest.fixture
async def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunInput]:
    """A finished run in the database of a HONK_HOME."""
    monkeypatch.setenv("HONK_HOME", str(tmp_path))
    database = Database(f"sqlite:///{tmp_path}/honk.db")
    database.migrate()
    run = await open_run(database, "aaaaaaaaaa", "o/r", 1)
    turns = Turns(database, run.id)
    for seq, record in enumerate(RECORDS):
        whole = {"seq": seq, "usage": None, **record}
        by_model = record["role"] == "assistant"
        cost = record.get("cost_usd", 0.0)
        await turns.record(seq, whole, cost_usd=cost, snapshot=None, by_model=by_model)
    await Runs(database).finish(run.id, Outcome.STOPPED)
    yield run
    database.engine.dispose()


async def _honk(*arguments: str) -> Result:
    runner = CliRunner()
    return await asyncio.to_thread(runner.invoke, honk, arguments, catch_exceptions=False)


def _checked(text: str) -> Mapping[str, Any]:
    whole: Mapping[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(_SCHEMA).validate(whole)
    assert [step["step_id"] for step in whole["steps"]] == list(range(1, len(whole["steps"]) + 1))
    for step in whole["steps"]:
        # What Harbor's models check besides the schema.
        called = {each["tool_call_id"] for each in step.get("tool_calls", ())}
        results = step.get("observation", {"results": []})["results"]
        assert {each["source_call_id"] for each in results if "source_call_id" in each} <= called
        only = {"model_name", "reasoning_content", "tool_calls", "metrics"} & set(step)
        assert not only or step["source"] == "agent"
    return whole


async def test_the_trajectory_follows_the_schema_and_adds_up(run: RunInput) -> None:
    done = await _honk("export", run.id, "--format", "atif", "-o", "-")
    whole = _checked(done.stdout)
    sources = [(step["source"], step["extra"]["turn"]) for step in whole["steps"]]
    assert sources == [
        ("user", 0),
        ("agent", 1),
        ("user", 3),
        ("agent", 4),
        ("system", 5),
        ("system", 6),
    ]
    acted = whole["steps"][1]
    assert acted["reasoning_content"] == "Hm."
    assert acted["metrics"]["prompt_tokens"] == 240
    assert acted["metrics"]["cached_tokens"] == 200
    assert acted["extra"]["tree"] == "a" * 40
    assert [each["source_call_id"] for each in acted["observation"]["results"]] == ["t1", "t2"]
    assert acted["observation"]["results"][1]["extra"] == {"is_error": True}
    assert whole["final_metrics"] == {
        "total_prompt_tokens": 240,
        "total_completion_tokens": 4,
        "total_cached_tokens": 200,
        "total_cost_usd": 0.25,
        "total_steps": 6,
    }
    assert whole["extra"]["outcome"] == "stopped"


async def test_both_files_are_written_without_secrets(run: RunInput, tmp_path: Path) -> None:
    done = await _honk("export", run.id, "-o", str(tmp_path / "out"))
    assert done.exit_code == 0
    atif, markdown = (tmp_path / "out" / f"{run.id}{end}" for end in (".atif.json", ".md"))
    _checked(atif.read_text())
    text = markdown.read_text()
    assert _SECRET not in text + atif.read_text()
    assert "| State | stopped |" in text
    # Nothing is loaded, hidden or left open.
    assert "![" not in text
    assert "<!--" not in text
    assert "\x1b" not in text
    assert "````" in text
    assert "<details><summary>Output: 41 lines</summary>" in text


async def test_a_failed_export_is_reported(run: RunInput, tmp_path: Path) -> None:
    assert "no run 'nowhere'" in (await _honk("export", "nowhere")).output
    assert (await _honk("export", run.id, "-o", "-")).exit_code == 2
    (tmp_path / "file").write_text("")
    refused = await _honk("export", run.id, "-o", str(tmp_path / "file"))
    assert (refused.exit_code, "cannot be written" in refused.output) == (1, True)
    database = Database(f"sqlite:///{tmp_path}/honk.db")
    await open_run(database, "bbbbbbbbbb", "o/r", 2)
    assert "no turns of a model" in (await _honk("export", "bbbbbbbbbb")).output
    database.engine.dispose()
