"""The agent's tools over the real sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.engine import Done, SandboxTools, Stopped
from app.sandbox.bubblewrap import Bubblewrap, Unsandboxed, probe
from app.sandbox.spec import SandboxSpec
from tests.support.model_api import Desk, asking


@pytest.fixture
async def hands(tmp_path: Path) -> AsyncIterator[tuple[SandboxTools, str]]:
    """A session in a sandbox where one can be made, and the workspace's path inside."""
    isolated = (await probe()).ok
    sandbox = Bubblewrap.create(tmp_path) if isolated else Unsandboxed()
    workspace = tmp_path / "work"
    workspace.mkdir()
    sandbox.claim(workspace)
    async with sandbox.session(SandboxSpec(workspace=workspace)) as session:
        yield session, "/workspace" if isolated else str(workspace)


async def test_a_script_works_in_a_sandbox(hands: tuple[SandboxTools, str]) -> None:
    session, path = hands
    script = f"""
turns:
  - use:
      - str_replace_based_edit_tool:
          {{command: create, path: {path}/a.py, file_text: "x = 1 + 2\\n"}}
      - str_replace_based_edit_tool:
          {{command: str_replace, path: {path}/a.py, old_str: "+ 2", new_str: "+ 1"}}
      - str_replace_based_edit_tool: {{command: view, path: {path}/a.py, view_range: [1, 1]}}
      - search: {{pattern: "x ="}}
      - bash: {{command: "cat a.py && printf '\\\\033[31mred\\\\377'"}}
      - bash: {{command: "exit 3"}}
      - str_replace_based_edit_tool:
          {{command: str_replace, path: {path}/a.py, old_str: "none", new_str: ""}}
  - use: [{{finish: {{summary: "Done.", not_done: "", how_to_check: ""}}}}]
"""
    async with asking(script) as (model, _):
        desk = Desk(model, hands=session)
        assert await desk.run() == Done(summary="Done.")
    results: list[Any] = desk.transcript.turns[2].content
    shown = [result["content"][0]["text"] for result in results]
    assert [result["is_error"] for result in results] == [False] * 5 + [True, True]
    assert "x = 1 + 1" in shown[2]
    assert shown[3] == "a.py:1: x = 1 + 1"
    assert shown[4] == "x = 1 + 1\nred\ufffd"
    assert "3" in shown[5]


async def test_a_stop_ends_a_command_in_a_sandbox(hands: tuple[SandboxTools, str]) -> None:
    script = 'turns: [{use: [{bash: {command: "echo begun > a; sleep 60"}}]}]'
    async with asking(script) as (model, _):
        desk = Desk(model, hands=hands[0])
        task = asyncio.create_task(desk.run())
        await asyncio.sleep(0.5)
        desk.stop.set()
        # The command would take a minute.
        assert await asyncio.wait_for(task, 30) == Stopped()
    after = await hands[0].bash("cat a", seconds=10)
    assert after.output == b"begun\n"
