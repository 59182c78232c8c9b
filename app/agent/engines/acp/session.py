"""One run of an agent that speaks the Agent Client Protocol.

An agent's own session is lost with its sandbox, and the protocol does not say how to move one. So
when a run resumes, the agent gets a new session, with the record of its turns so far in the first
message: its text, its calls and their results.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from acp import PROTOCOL_VERSION, Client, RequestError, connect_to_agent, schema

from app.agent.engine import AgentTask, Ending, TurnRecord
from app.agent.engines.acp.client import SandboxClient
from app.agent.engines.acp.mcp_server import answered
from app.agent.engines.anthropic.conversation import results_of, said, tool_calls
from app.agent.engines.anthropic.recorded_session import cancelled
from app.agent.engines.anthropic.tools import ToolCall, cut
from app.agent.program.lines import JsonLines
from app.agent.program.model_port import PORT, TOOLS_PATH, VARIABLES, ModelPort
from app.agent.program.own_tools import SERVER
from app.agent.program.records import Json, Notes
from app.agent.program.session import (
    RETRY,
    Failed,
    ProgramEnded,
    ProgramSession,
    TurnEnded,
    last_line,
    listener_of,
    shown,
)
from app.agent.program.upstream import Upstream
from app.agent.prompt import SYSTEM_PROMPT
from app.errors import UserError
from app.sandbox.spec import WORKSPACE, Mount, Program

AGENT_FOLDER = "/opt/agent"
"""Where the agent sees the operator's HONK_ACP_FOLDER."""

_RELAY = "/run/honk/tools_relay.py"
_PYTHON = "/usr/bin/python3"
_HISTORY_CHARACTERS = 120_000
_PART_CHARACTERS = 3_000
_RESUMED = (
    "You have worked on this before, and were interrupted. The work tree is as you left it. The "
    "record of your turns so far, the latest last:"
)


class AcpSession(ProgramSession):
    """See `ProgramSession`."""

    name = "The agent"

    def __init__(
        self,
        upstream: Upstream,
        command: Sequence[str],
        folder: Path | None,
        task: AgentTask,
        **more: Any,
    ) -> None:
        """`command` is the agent's, as seen inside; `folder` is bound there at `AGENT_FOLDER`."""
        super().__init__(upstream, task, **more)
        self._command = list(command)
        self._folder = folder
        self._prompts: asyncio.Queue[str] = asyncio.Queue()

    async def _work(self) -> Ending:
        """Start the agent with the conversation so far, and serve it until an ending."""
        opening = [*self._records[0].content, *_history(self._records)]
        self._notes = Notes(())
        async with (
            self._task.programs(
                self._command,
                mounts=self._mounts(),
                environment=environment(self._model_id),
                worker_port=PORT,
            ) as program,
            ModelPort(listener_of(program), self._events, self._own_tool),
            SandboxClient(self._task.sandbox, self._task.programs, self._sign) as client,
        ):
            lines = JsonLines(program)
            agent = connect_to_agent(cast("Client", client), lines)
            talking: asyncio.Task[None] | None = None
            try:
                session = await self._introduced_to(agent, program, lines)
                talking = asyncio.create_task(self._talk(agent, session, opening, program))
                return await self._serve(program, lambda: lines.junk or last_line(program))
            finally:
                await cancelled(talking)
                await agent.close()

    def _mounts(self) -> tuple[Mount, ...]:
        relay = Mount(Path(__file__).with_name("tools_relay.py"), _RELAY)
        return (relay, *([Mount(self._folder, AGENT_FOLDER)] if self._folder else []))

    async def _introduced_to(self, agent: Any, program: Program, lines: JsonLines) -> str:
        """Agree on the protocol and open a session; its id. Raises UserError if the agent does
        not.
        """

        async def introduce() -> str:
            await agent.initialize(
                protocol_version=PROTOCOL_VERSION,
                client_capabilities=schema.ClientCapabilities(
                    fs=schema.FileSystemCapabilities(read_text_file=True, write_text_file=True),
                    terminal=True,
                ),
                client_info=schema.Implementation(name="honk", version="1"),
            )
            tools = schema.McpServerStdio(
                name=SERVER,
                command=_PYTHON,
                args=["-I", _RELAY, f"http://127.0.0.1:{PORT}{TOOLS_PATH}"],
                env=[],
            )
            opened = await agent.new_session(cwd=WORKSPACE, mcp_servers=[tools])
            return str(opened.session_id)

        introducing = asyncio.ensure_future(introduce())
        try:
            await self._until_started(introducing, program, lambda: lines.junk)
            return introducing.result()
        except (RequestError, ConnectionError, ValueError) as problem:
            raise UserError(
                f"The agent did not start a session{shown(str(problem))}.", next_step=RETRY
            ) from problem

    async def _talk(
        self, agent: Any, session: str, opening: Sequence[Json], program: Program
    ) -> None:
        """Send the first message, then each message of the run, until the agent has ended."""
        blocks: list[Any] = [schema.TextContentBlock(type="text", text=SYSTEM_PROMPT)]
        blocks += map(_block, opening)
        try:
            while True:
                await agent.prompt(session_id=session, prompt=blocks)
                self._events.put_nowait(TurnEnded(""))
                blocks = [schema.TextContentBlock(type="text", text=await self._prompts.get())]
        except RequestError as problem:
            self._events.put_nowait(TurnEnded(str(problem) or "an error without a message"))
        except ConnectionError:
            await program.ended()
            self._events.put_nowait(ProgramEnded())
        except ValueError as problem:
            words = shown(str(problem))
            self._events.put_nowait(
                Failed(UserError(f"The agent sent an unreadable message{words}.", next_step=RETRY))
            )

    async def _turn_ended(self, event: TurnEnded) -> Ending | None:
        if event.problem or self._refused:
            return await super()._turn_ended(event)
        words = await self._why_not_stop()
        if not words:
            return await super()._turn_ended(event)
        self._prompts.put_nowait(words)
        return None

    async def _own_tool(self, message: Json) -> Json | None:
        return await answered(message, self._execute)

    def _sign(self) -> None:
        self._last_sign = self._clock()

    def _touching(self, calls: Sequence[ToolCall]) -> bool:
        """The tools of an unknown agent are unknown, so each of them may change the work tree."""
        return any(each.name not in ("plan", "ask", "finish") for each in calls)


def environment(model: str) -> dict[str, str]:
    """The agent's variables."""
    return {**VARIABLES, "ANTHROPIC_MODEL": model}


def _block(block: Mapping[str, Any]) -> Any:
    if block["type"] == "image":
        source = block["source"]
        return schema.ImageContentBlock(
            type="image", data=source["data"], mime_type=source["media_type"]
        )
    return schema.TextContentBlock(type="text", text=str(block["text"]))


def _history(records: Sequence[TurnRecord]) -> list[Json]:
    """The record so far, for a resumed run; empty for a new one."""
    parts = [text for record in records[1:] if (text := _told(record))]
    if not parts:
        return []
    kept: list[str] = []
    room = _HISTORY_CHARACTERS
    for part in reversed(parts):
        room -= len(part)
        if room < 0:
            kept.append("[earlier turns are left out]")
            break
        kept.append(part)
    text = "\n\n".join([_RESUMED, *reversed(kept)])
    return [{"type": "text", "text": text}]


def _told(record: TurnRecord) -> str:
    if record.role == "assistant":
        calls = [f"You called {c.name}: {json.dumps(c.input)}" for c in tool_calls(record)]
        lines = [said(record), *calls]
    elif results := results_of(record):
        lines = ["Result: " + str(each["content"][0]["text"]) for each in results]
    else:
        lines = ["You were told: " + str(each.get("text", "")) for each in record.content]
    return "\n".join(cut(line, _PART_CHARACTERS) for line in lines if line.strip())
