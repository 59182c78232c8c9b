"""One engine at work, in a process whose CPU time another process counts.

`python -m benchmarks.agent_engines KIND URL TURNS FOLDER`. Everything is done once to be warm; then
it says `ready`, waits for a line, does the same again in a new workspace, and says `done`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path

import httpx

from app.agent.engine import (
    AgentEngine,
    AgentTask,
    Budget,
    Done,
    PersonMessage,
    Signals,
    WorkspaceActions,
)
from app.agent.engines.anthropic import ENGINE
from app.agent.engines.claude_code import ENGINE as CLAUDE_CODE
from app.domain.setup_plan import Choices
from app.git.checkout import Workspace
from app.git.snapshots import Snapshots, snapshots_of
from app.outgoing import Outgoing
from app.sandbox.spec import PATH, Mount, Program
from app.settings import Settings
from benchmarks import trajectory
from tests.support.model_api import MemoryTranscript, assignment
from tests.support.workspaces import World

MODEL = "claude-sonnet-5-5"
KEY = "sk-ant-key-of-nobody"
TASK = "add(2, 3) is -1. Fix it."


def main(kind: str, url: str, turns: str, folder: str) -> None:
    """Work twice, and count the second time."""
    if kind == "plain":
        _twice(lambda name: _plain(url, Path(folder, name)))
    else:
        asyncio.run(_engine(kind, url, int(turns), Path(folder)))


def _twice(work: Callable[[str], None]) -> None:
    work("warm")
    print("ready", flush=True)
    sys.stdin.readline()
    work("counted")
    print("done", flush=True)


# -- a minimal agent


def _plain(url: str, folder: Path) -> None:
    """A loop with one tool, prompt caching, and no prompt besides the task."""
    for name, content in trajectory.FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    schema = {"type": "object", "properties": {"command": {"type": "string"}}}
    tool = {"name": "bash", "description": "Run a command.", "input_schema": schema}
    messages: list[trajectory.Json] = [{"role": "user", "content": TASK}]
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    with httpx.Client(headers=headers) as client:
        while True:
            body = {"model": MODEL, "max_tokens": 8000, "tools": [tool], "messages": messages}
            body["cache_control"] = {"type": "ephemeral"}
            answer = client.post(f"{url}/v1/messages", json=body).raise_for_status().json()
            messages.append({"role": "assistant", "content": answer["content"]})
            results = [
                {
                    "type": "tool_result",
                    "tool_use_id": call["id"],
                    "content": _shell(call["input"]["command"], folder) or "(no output)",
                }
                for call in answer["content"]
                if call["type"] == "tool_use"
            ]
            if "COMPLETE_TASK" in json.dumps(results):
                return
            messages.append({"role": "user", "content": results})


def _shell(command: str, folder: Path) -> str:
    words = ["bash", "-c", command]
    given = {"PATH": PATH}
    done = subprocess.run(words, cwd=folder, env=given, capture_output=True, check=False)
    return done.stdout.decode() + done.stderr.decode()


# -- Honk's engines


async def _engine(kind: str, url: str, turns: int, folder: Path) -> None:
    world = World.make(folder)
    for name, content in trajectory.FILES.items():
        world.origin.write(name, content)
    world.origin.commit()
    settings = Settings(_env_file=None, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=url)
    spec = CLAUDE_CODE if kind.startswith("claude-code") else ENGINE
    engine = spec.create(settings, Outgoing.of(settings))
    await engine.warm()
    try:
        await _work(engine, world, kind, "warm", turns)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await _work(engine, world, kind, "counted", turns)
        print("done", flush=True)
    finally:
        await engine.aclose()


async def _work(engine: AgentEngine, world: World, kind: str, name: str, turns: int) -> None:
    workspace = await world.workspace(name)
    async with (
        world.sandbox.session(world.workspaces.spec(workspace)) as sandbox,
        snapshots_of(workspace, world.workspaces) as snapshots,
    ):
        kept = snapshots if kind.endswith("snapshots") else None
        task = AgentTask(
            assignment=assignment(),
            model=MODEL,
            sandbox=sandbox,
            workspace=_actions(kept),
            transcript=MemoryTranscript(),
            budget=Budget(usd=100, seconds=3600, turns=200),
            signals=Signals(_never, _nobody, _nothing, _nothing),
            programs=_programs(world, workspace),
        )
        ending = await engine.run(task)
    assert isinstance(ending, Done), ending
    assert ending.summary == trajectory.SUMMARY, ending


def _actions(snapshots: Snapshots | None) -> WorkspaceActions:
    async def verify() -> str:
        return "Nothing is measured here."

    async def set_up(_: tuple[Choices, ...]) -> str:
        return "Nothing is set up here."

    async def snapshot() -> str | None:
        return await snapshots.take() if snapshots is not None else None

    return WorkspaceActions(verify, set_up, snapshot)


def _programs(
    world: World, workspace: Workspace
) -> Callable[..., AbstractAsyncContextManager[Program]]:
    def program(
        argv: Sequence[str],
        *,
        mounts: tuple[Mount, ...] = (),
        environment: Mapping[str, str],
        worker_port: int | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        spec = world.workspaces.spec(workspace, environment=environment, mounts=mounts)
        return world.sandbox.program(replace(spec, worker_port=worker_port), argv)

    return program


async def _never() -> bool:
    return False


async def _nobody() -> list[PersonMessage]:
    return []


async def _nothing(_: object) -> None:
    pass


if __name__ == "__main__":
    main(*sys.argv[1:])
