"""One run's session of Claude Code.

The CLI writes its own session file as it works. Its content at the end of a turn is stored with
that turn's results, so a resumed run continues in the same session.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    HookMatcher,
    ResultMessage,
    SystemMessage,
)

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic.recorded_session import cancelled
from app.agent.engines.anthropic.tools import ToolCall
from app.agent.engines.claude_code import cli
from app.agent.engines.claude_code.tools import own_tools
from app.agent.engines.claude_code.transport import SandboxTransport
from app.agent.program.model_port import PORT, ModelPort
from app.agent.program.own_tools import OWN, SERVER
from app.agent.program.records import Json, names_results, session_of
from app.agent.program.session import (
    RETRY,
    START_SECONDS,
    Failed,
    ProgramEnded,
    ProgramSession,
    StopAsked,
    TurnEnded,
    last_line,
    listener_of,
    shown,
)
from app.agent.program.upstream import Upstream
from app.agent.prompt import SYSTEM_PROMPT
from app.errors import RetryableError, UserError
from app.sandbox.spec import Program
from app.settings import Effort

SESSION_SECONDS = 20.0
"""How long the CLI may take to write its session after a turn."""

SESSION_BYTES = 64 << 20
"""The most that the CLI may write to its session in one turn."""

_TOUCHES_THE_TREE = frozenset({"Bash", "Edit", "Write", "verify", "setup"})
_HOOK_SECONDS = 86_400.0


class ClaudeCodeSession(ProgramSession):
    """See `ProgramSession`."""

    name = "Claude Code"

    def __init__(
        self,
        upstream: Upstream,
        path: Path,
        task: AgentTask,
        *,
        effort: Effort | None = None,
        arguments: Callable[..., list[str]] = cli.arguments,
        environment: Callable[[str], dict[str, str]] = cli.environment,
        **more: Any,
    ) -> None:
        """`path` is the CLI; `arguments` and `environment` make its command line and variables."""
        super().__init__(upstream, task, **more)
        self._path = path
        self._effort = effort
        self._arguments = arguments
        self._environment = environment
        self._entries: list[Any] = []
        self._entry_bytes = 0
        self._entered = asyncio.Event()
        self._session: str | None = None
        self._introduced = asyncio.Event()
        self._version = ""

    async def _work(self) -> Ending:
        """Start the CLI, new or from the recorded session, and serve it until an ending."""
        recorded = session_of(self._records)
        words = self._arguments(
            self._model_id,
            instructions=SYSTEM_PROMPT,
            own_tools=OWN,
            resume=recorded[0] if recorded else None,
            effort=self._effort,
        )
        stored = b""
        if recorded is not None:
            stored = "".join(json.dumps(each) + "\n" for each in recorded[1]).encode()
            words = cli.restoring(recorded[0], len(stored), words)
        async with (
            self._task.programs(
                words,
                mounts=(cli.mount(self._path),),
                environment=self._environment(self._model_id),
                worker_port=PORT,
            ) as program,
            ModelPort(listener_of(program), self._events),
        ):
            transport = SandboxTransport(program, stored, self._mirrored)
            client = ClaudeSDKClient(self._options(), transport)
            reader: asyncio.Task[None] | None = None
            try:
                await self._connect(client, program, transport)
                reader = asyncio.create_task(self._read(client))
                if recorded is None:
                    await client.query(self._opening())
                return await self._serve(program, lambda: transport.junk or last_line(program))
            finally:
                await cancelled(reader)
                await client.disconnect()

    def _options(self) -> ClaudeAgentOptions:
        """The SDK's options. The CLI's own options are on its command line."""
        return ClaudeAgentOptions(
            mcp_servers={SERVER: own_tools(self._execute)},
            hooks={"Stop": [HookMatcher(hooks=[self._may_stop], timeout=_HOOK_SECONDS)]},
            setting_sources=[],
            # The assignment contains other people's text: nothing in it is a command or a mention.
            verbatim_prompts=True,
        )

    async def _connect(
        self, client: ClaudeSDKClient, program: Program, transport: SandboxTransport
    ) -> None:
        # The SDK has no other setting for how long it waits for the CLI's first answer.
        os.environ.setdefault("CLAUDE_CODE_STREAM_CLOSE_TIMEOUT", f"{2000 * START_SECONDS:.0f}")
        connecting = asyncio.ensure_future(client.connect())
        await self._until_started(connecting, program, lambda: transport.junk)

    async def _opening(self) -> AsyncIterator[Json]:
        """The first message, with messages from people that came before the session."""
        yield {
            "type": "user",
            "message": {"role": "user", "content": list(self._records[0].content)},
            "parent_tool_use_id": None,
        }

    async def _read(self, client: ClaudeSDKClient) -> None:
        """Process the CLI's messages until its output ends."""
        try:
            async for message in client.receive_messages():
                self._last_sign = self._clock()
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    self._version = str(message.data.get("claude_code_version", ""))
                    self._introduced.set()
                elif isinstance(message, ResultMessage):
                    problem = str(message.result or message.subtype) if message.is_error else ""
                    self._events.put_nowait(TurnEnded(problem))
        except ClaudeSDKError as problem:
            words = shown(str(problem))
            self._events.put_nowait(
                Failed(
                    UserError(f"Claude Code sent an unreadable message{words}.", next_step=RETRY)
                )
            )
        except UserError as problem:
            self._events.put_nowait(Failed(problem))
        self._events.put_nowait(ProgramEnded())

    def _mirrored(self, path: str, entries: list[Any]) -> None:
        """Collect what the CLI wrote to its session."""
        if (session := cli.session_in(path)) is not None:
            self._session = session
            self._entries += entries
            self._entry_bytes += len(json.dumps(entries))
            self._entered.set()

    async def _introduce(self) -> None:
        """Check the CLI's version before the model is asked anything."""
        if not self._introduced.is_set():
            await self._interruptible(asyncio.wait_for(self._introduced.wait(), START_SECONDS))
        if self._version != cli.VERSION:
            raise UserError(
                f"This is Claude Code {self._version[:20] or 'of an unknown version'}; Honk works "
                f"with {cli.VERSION}.",
                next_step="Honk's operator must unset HONK_CLAUDE_CODE_PATH, or set it to that "
                "version.",
            )

    def _touching(self, calls: Sequence[ToolCall]) -> bool:
        return any(each.name in _TOUCHES_THE_TREE for each in calls)

    async def _session_written(self, calls: Sequence[ToolCall]) -> None:
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                while not names_results(self._entries, {each.id for each in calls}):
                    self._entered.clear()
                    await self._entered.wait()
        except TimeoutError:
            raise RetryableError("Claude Code did not write its session.") from None
        if self._entry_bytes > SESSION_BYTES:
            raise UserError(
                "Claude Code's session has become too large for Honk to store.", next_step=RETRY
            )

    def _kept_session(self) -> Json:
        kept = {"id": self._session, "entries": self._entries}
        self._entries, self._entry_bytes = [], 0
        return kept

    async def _may_stop(self, *_: object) -> dict[str, Any]:
        """The Stop hook, in a task of the SDK: the run decides."""
        asked = StopAsked()
        self._events.put_nowait(asked)
        reason = await asked.answer
        return {"decision": "block", "reason": reason} if reason else {}
