"""The acp engine: agents that break the protocol, and the responses of its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.agent import engines
from app.agent.engine import AgentTask, Done
from app.agent.engines.acp.mcp_server import answered
from app.agent.engines.anthropic.tools import ToolResult
from app.errors import UserError
from app.outgoing import DIRECT
from app.sandbox.bubblewrap import Bubblewrap
from app.sandbox.spec import SandboxSpec
from app.settings import Settings
from tests.support import claude_code
from tests.support.harness import script
from tests.support.model_api import KEY

AGENT = Path(__file__).parents[2] / "support" / "acp_agent_folder"
FINISH = {"finish": {"summary": "It is done.", "not_done": "", "how_to_check": ""}}


@dataclass
class AcpDesk(claude_code.ClaudeDesk):
    """What a session of an ACP agent receives."""

    agent: Path = AGENT

    def session(self, task: AgentTask) -> Any:
        from app.agent.engines.acp.session import AcpSession

        command = ["python3", "-I", "/opt/agent/agent"]
        return AcpSession(self.model, command, self.agent, task, silent_seconds=self.silent_seconds)


@asynccontextmanager
async def acp_desk(folder: Path, *turns: Any, **given: Any) -> AsyncIterator[tuple[AcpDesk, Any]]:
    sandbox = Bubblewrap.create(folder)
    opened = claude_code.claude_desk(
        folder, script(*turns), path=AGENT, sandbox=sandbox, kind=AcpDesk, **given
    )
    async with opened as (desk, server), sandbox.session(SandboxSpec(desk.workspace)) as hands:
        assert isinstance(desk, AcpDesk)
        desk.hands = hands
        yield desk, server


async def _fails(folder: Path, agent: str, **given: Any) -> UserError:
    """The run's result when the operator's agent is this program."""
    own = folder / "own"
    own.mkdir()
    (own / "agent").write_text(f"import json, sys, time\n{agent}\n")
    async with acp_desk(folder, [FINISH], agent=own, **given) as (desk, _):
        with pytest.raises(UserError) as failed:
            await desk.run()
    return failed.value


@pytest.mark.slow
async def test_files_terminals_and_tools_are_served(tmp_path: Path) -> None:
    turns: tuple[Any, ...] = (
        [{"shell": {"command": "echo out; echo err >&2; exit 3"}}],
        [{"write": {"path": "/workspace/a.txt", "content": "one\n"}}],
        [{"write": {"path": "/etc/passwd", "content": "x"}}],
        [{"verify": {}}],
        [FINISH],
    )
    async with acp_desk(tmp_path, *turns) as (desk, server):
        assert isinstance(await desk.run(), Done)
        results = [t.content[0] for t in desk.transcript.turns if t.content[0].get("tool_use_id")]
        assert [each["is_error"] for each in results] == [True, False, True, False, False]
        assert results[0]["content"][0]["text"] == "out\nerr\n"
        assert (desk.workspace / "a.txt").read_text() == "one\n"
        assert KEY not in str(desk.environments)
        assert {request["model"] for request in server.requests} == {"claude-sonnet-5-5"}


@pytest.mark.slow
async def test_an_agent_that_exits(tmp_path: Path) -> None:
    failed = await _fails(tmp_path, "sys.exit('no licence')")
    assert failed.message == (
        "The agent ended before the work did: it exited with code 1 (no licence)."
    )


@pytest.mark.slow
async def test_an_agent_that_refuses_a_session(tmp_path: Path) -> None:
    agent = (
        "for line in sys.stdin:\n"
        "    error = {'code': -32000, 'message': 'Please log in.'}\n"
        "    answer = {'jsonrpc': '2.0', 'id': json.loads(line)['id'], 'error': error}\n"
        "    print(json.dumps(answer), flush=True)"
    )
    failed = await _fails(tmp_path, agent)
    assert failed.message == "The agent did not start a session (Please log in)."


@pytest.mark.slow
async def test_an_agent_that_says_nothing_more(tmp_path: Path) -> None:
    agent = (
        "results = [{'protocolVersion': 1, 'agentCapabilities': {}}, {'sessionId': 's'}]\n"
        "for result in results:\n"
        "    answer = {'jsonrpc': '2.0', 'id': json.loads(sys.stdin.readline())['id']}\n"
        "    print(json.dumps({**answer, 'result': result}), flush=True)\n"
        "print('starting up ...', flush=True)\ntime.sleep(600)"
    )
    failed = await _fails(tmp_path, agent, silent_seconds=1.0)
    assert failed.message.startswith("The agent has said nothing for ")
    assert "(starting up)" in failed.message


def _message(method: str, **parameters: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}


async def _told(message: dict[str, Any]) -> Any:
    async def execute(name: str, arguments: dict[str, Any]) -> ToolResult:
        return ToolResult(f"{name} {arguments}")

    return await answered(message, execute)


async def test_the_tools_are_listed_and_called() -> None:
    listed = (await _told(_message("tools/list")))["result"]["tools"]
    assert [each["name"] for each in listed] == ["verify", "setup", "plan", "ask", "finish"]
    done = (await _told(_message("tools/call", name="plan", arguments={"items": []})))["result"]
    assert done == {
        "content": [{"type": "text", "text": "plan {'items': []}"}],
        "isError": False,
    }


async def test_what_the_server_does_not_have_is_an_error() -> None:
    assert (await _told(_message("resources/list")))["error"]["code"] == -32601
    assert (await _told(_message("tools/call", name="bash")))["error"]["code"] == -32602
    assert (await _told({**_message("tools/call"), "params": 7}))["error"]["code"] == -32602
    assert await _told({"jsonrpc": "2.0", "method": "notifications/initialized"}) is None


def test_a_command_and_a_folder_are_needed(tmp_path: Path) -> None:
    spec = engines.spec("acp")
    given: dict[str, Any] = {"_env_file": None, "anthropic_api_key": "key"}
    with pytest.raises(UserError, match="HONK_ACP_COMMAND is not set"):
        spec.create(Settings(**given), DIRECT)
    with pytest.raises(UserError, match="HONK_ACP_COMMAND is not a command"):
        spec.create(Settings(**given, HONK_ACP_COMMAND="agent 'x"), DIRECT)
    with pytest.raises(UserError, match="HONK_ACP_FOLDER is not a directory"):
        spec.create(
            Settings(**given, HONK_ACP_COMMAND="agent", HONK_ACP_FOLDER=tmp_path / "no"), DIRECT
        )
