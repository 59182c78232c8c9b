"""What a repository tries against an engine that is a separate program, and from inside it."""

from __future__ import annotations

import asyncio
import functools
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.agent.engines.claude_code import cli
from app.agent.program import model_port
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.bubblewrap_flags import bubblewrap_flags
from app.sandbox.spec import Completed, SandboxSpec
from tests.security.attempts.inside import THROUGH, Parts, judged, without_flags
from tests.security.harness import Attempt, Outcome, outcome
from tests.support.claude_code import FINISH, claude_desk, is_installed, own
from tests.support.harness import script
from tests.support.model_api import KEY, ended

_STARTED = "touch /workspace/started"
_HOOK = {"type": "command", "command": _STARTED}
_EACH = [{"hooks": [_HOOK]}]
_HOOKS = {".claude/settings.json": {"hooks": {"SessionStart": _EACH, "UserPromptSubmit": _EACH}}}
_SERVER = {
    ".mcp.json": {"mcpServers": {"x": {"command": "touch", "args": ["/workspace/started"]}}},
    ".claude/settings.json": {"enableAllProjectMcpServers": True},
}


def _only_where_installed() -> str:
    return "" if is_installed() else "claude-agent-sdk is not installed"


def _without(*flags: str) -> Callable[..., list[str]]:
    """Claude Code's command line without some flags that take no value of their own."""

    def arguments(*given: Any, **named: Any) -> list[str]:
        words = cli.arguments(*given, **named)
        assert set(flags) <= set(words)
        return [word for word in words if word not in flags]

    return arguments


async def _starts(files: dict[str, Any], parts: dict[str, Any], folder: Path) -> Outcome:
    """Whether what the repository's files name is started by Claude Code."""
    plays = script([own("plan", items=[])], [FINISH])
    async with claude_desk(folder, plays, parts=parts) as (desk, _):
        for name, content in files.items():
            path = desk.workspace / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        await desk.run()
        started = (desk.workspace / "started").exists()
    return outcome(started, "it was started", "the run has ended, and nothing was started")


def _started(name: str, files: dict[str, Any], *flags: str) -> Attempt:
    run = functools.partial(_starts, files)
    return Attempt(
        name,
        "Claude Code runs without the repository's settings",
        functools.partial(run, {}),
        functools.partial(run, {"arguments": _without(*flags)}),
        _only_where_installed,
    )


_PORT_OF_ANOTHER = (
    "import socket\n"
    f"try: socket.create_connection(('127.0.0.1', {model_port.PORT}), 5); print({THROUGH!r})\n"
    "except OSError as problem: print(problem)"
)


async def _reaches_the_model_of_another_run(parts: Parts, folder: Path) -> Outcome:
    (folder / "one").mkdir()
    (folder / "other").mkdir()
    sandbox, spec = parts.made(folder / "one")
    other, other_spec = parts.made(folder / "other")
    async with sandbox.program(replace(spec, worker_port=model_port.PORT), ["sleep", "60"]):
        return judged(await other.run(other_spec, ["python3", "-c", _PORT_OF_ANOTHER]))


_LOOK_FOR_A_KEY = """#!/usr/bin/python3
import glob, json, os, sys
def say(**message): print(json.dumps(message), flush=True)
first = json.loads(sys.stdin.readline())
say(type="control_response", response={"subtype": "success",
    "request_id": first["request_id"], "response": {}})
found = [sys.stdin.readline()]
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline") + glob.glob("/run/**/*"):
    try: found.append(open(path, errors="replace").read())
    except OSError: pass
open("found", "w").write("".join(found))
"""


async def _finds_the_key(environment: Callable[[str], dict[str, str]], folder: Path) -> Outcome:
    path = folder / "claude"
    path.write_text(_LOOK_FOR_A_KEY)
    path.chmod(0o755)
    parts = {"environment": environment}
    async with claude_desk(folder, script([FINISH]), path=path, parts=parts) as (desk, _):
        await asyncio.gather(desk.run(), return_exceptions=True)
        found = (desk.workspace / "found").read_text(errors="replace")
    assert "ANTHROPIC_API_KEY" in found
    return outcome(
        KEY in found, "the model's key", f"{model_port.PLACEHOLDER_KEY} and no other key"
    )


def _with_the_key(model: str) -> dict[str, str]:
    return {**cli.environment(model), "ANTHROPIC_API_KEY": KEY}


class _OnTheWorker:
    """Serves an agent's file requests where the worker runs."""

    async def bash(self, command: str, *, seconds: float) -> Completed:
        done = await asyncio.to_thread(
            subprocess.run, ["/bin/bash", "-c", command], capture_output=True, timeout=seconds
        )
        return ended(done.stdout + done.stderr, done.returncode)


async def _reads_the_worker(serve: Callable[[Any], Any], folder: Path) -> Outcome:
    """An agent over ACP asks its client, which is the worker, for a file of the worker's."""
    from acp import RequestError

    from app.agent.engines.acp.client import SandboxClient

    secret, workspace = folder / "secret", folder / "workspace"
    secret.write_text(THROUGH)
    workspace.mkdir()
    sandbox = Bubblewrap.create(folder)
    sandbox.claim(workspace)
    async with sandbox.session(SandboxSpec(workspace)) as tools:
        programs: Any = None
        client = SandboxClient(serve(tools), programs, lambda: None)
        try:
            found = (await client.read_text_file("session", str(secret))).content
        except RequestError as refused:
            found = str(refused.data)
    return outcome(THROUGH in found, "what the file holds", "No such file or directory")


ATTEMPTS = (
    Attempt(
        "an agent over ACP asks for a file of the worker",
        "an agent's file requests are served in its sandbox",
        functools.partial(_reads_the_worker, lambda tools: tools),
        functools.partial(_reads_the_worker, lambda _: _OnTheWorker()),
    ),
    _started("hooks of the repository, for Claude Code", _HOOKS, "--setting-sources="),
    _started(
        "an MCP server of the repository, for Claude Code",
        _SERVER,
        "--setting-sources=",
        "--strict-mcp-config",
    ),
    Attempt(
        "uses the model at another run's expense",
        "each run's model answers only on the loopback of its own sandbox",
        functools.partial(_reaches_the_model_of_another_run, Parts(flags=bubblewrap_flags)),
        functools.partial(
            _reaches_the_model_of_another_run, Parts(flags=without_flags("--unshare-net"))
        ),
    ),
    Attempt(
        "looks for the model's key where Claude Code runs",
        "the worker adds the key to what it forwards",
        functools.partial(_finds_the_key, cli.environment),
        functools.partial(_finds_the_key, _with_the_key),
        _only_where_installed,
    ),
)
