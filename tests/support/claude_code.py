"""Stories and tests with Claude Code, which `make test` installs, except with TOOLCHAINS=none."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.agent.engine import AgentTask, Budget
from app.agent.engines.anthropic.providers import anthropic_api
from app.agent.engines.claude_code import cli
from app.agent.program.upstream import Upstream
from app.playground.model import Responder, ScriptedModel
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import Mount, Program, Sandbox, SandboxSpec
from app.settings import Settings
from tests.support.harness import PROJECT
from tests.support.model_api import KEY, QUICK, Desk, serving

FILES = {**PROJECT, ".github/honk.yml": b"engine: claude-code\n"}
"""The project of the other stories, for the engine claude-code."""

EDIT = {
    "Edit": {
        "file_path": "/workspace/calc.py",
        "old_string": "return a - b",
        "new_string": "return a + b",
    }
}
FIX = [{"Read": {"file_path": "/workspace/calc.py"}}], [EDIT]
"""Two turns: Claude Code edits only what it has read."""


def own(name: str, **arguments: Any) -> dict[str, Any]:
    """A call of one of Honk's tools."""
    return {f"mcp__honk__{name}": arguments}


FINISH = own("finish", summary="add() now adds.", not_done="", how_to_check="Run pytest.")


def is_installed() -> bool:
    """Whether the engine's package is there."""
    return importlib.util.find_spec("claude_agent_sdk") is not None


def needs_claude_code() -> None:
    """Skip a test if that was requested; otherwise it fails without Claude Code."""
    if is_installed():
        return
    if os.environ.get("TOOLCHAINS") == "none":
        pytest.skip("left out with TOOLCHAINS=none: claude-code")
    pytest.fail("claude-agent-sdk is missing: run `make test`, or use TOOLCHAINS=none")


@dataclass
class ClaudeDesk(Desk):
    """The inputs of a session of Claude Code; its sandbox is real."""

    model: Upstream
    workspace: Path = Path("/nonexistent")
    path: Path = Path("/nonexistent")
    """The CLI."""
    budget: Budget = field(default_factory=lambda: Budget(usd=5, seconds=1200, turns=50))
    silent_seconds: float = 60.0
    parts: dict[str, Any] = field(default_factory=dict)
    """Parts of the session that replace the product's."""
    environments: list[Mapping[str, str]] = field(default_factory=list)

    def session(self, task: AgentTask) -> Any:
        from app.agent.engines.claude_code.session import ClaudeCodeSession

        parts: Any = {"silent_seconds": self.silent_seconds, **self.parts}
        return ClaudeCodeSession(self.model, self.path, task, **parts)


@asynccontextmanager
async def claude_desk(
    folder: Path,
    script: Responder,
    *,
    path: Path | None = None,
    sandbox: Sandbox | None = None,
    kind: type[ClaudeDesk] = ClaudeDesk,
    **given: Any,
) -> AsyncIterator[tuple[ClaudeDesk, ScriptedModel]]:
    """A desk for Claude Code, or for another program at `path`, and the model it talks with."""
    if path is None:
        needs_claude_code()
    found = path or cli.find(Settings(_env_file=None))
    sandboxes = sandbox or Bubblewrap.create(folder)
    workspace = folder / "workspace"
    workspace.mkdir()
    sandboxes.claim(workspace)
    server = ScriptedModel(default=script, api_key=KEY)
    async with serving(server.app) as url:
        upstream = Upstream(anthropic_api(KEY, url), rule=QUICK, read_timeout=5.0)
        desk = kind(upstream, workspace=workspace, path=found, **given)

        def programs(
            argv: Sequence[str],
            *,
            mounts: tuple[Mount, ...] = (),
            environment: Mapping[str, str],
            worker_port: int | None = None,
        ) -> AbstractAsyncContextManager[Program]:
            desk.environments.append(environment)
            spec = SandboxSpec(workspace, mounts=mounts, environment=environment)
            return sandboxes.program(replace(spec, worker_port=worker_port), argv)

        desk.programs = programs
        try:
            yield desk, server
        finally:
            await upstream.aclose()
