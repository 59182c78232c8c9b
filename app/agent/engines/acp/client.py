"""Serves an agent's requests to its client: files and terminals inside the sandbox, and
permissions.

https://agentclientprotocol.com. An agent can do anything in its sandbox, so every permission that
it asks for is granted once; none of its requests is served outside.
"""

from __future__ import annotations

import asyncio
import itertools
import shlex
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from acp import RequestError, schema

from app.agent.engine import Programs, SandboxTools
from app.sandbox.pipes import Bounded
from app.sandbox.spec import WORKSPACE, Program

FILE_SECONDS = 60.0
TERMINALS = 16
OUTPUT_BYTES = 1 << 20
"""The maximum size of a terminal's output."""


class SandboxClient:
    """The client of one agent; `heard` is called at each of the agent's messages.

    Use it as a context manager: its terminals end with it.
    """

    def __init__(
        self, sandbox: SandboxTools, programs: Programs, heard: Callable[[], None]
    ) -> None:
        self._sandbox = sandbox
        self._programs = programs
        self._heard = heard
        self._terminals: dict[str, _Terminal] = {}
        self._numbers = itertools.count(1)

    async def __aenter__(self) -> SandboxClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        for terminal in list(self._terminals.values()):
            await terminal.end()

    def on_connect(self, conn: object) -> None:
        """Nothing to do."""

    async def session_update(self, session_id: str, update: object, **_: Any) -> None:
        """The agent's own updates are not recorded: the record is made at the model's port."""
        self._heard()

    async def request_permission(
        self,
        session_id: str,
        tool_call: object,
        options: list[schema.PermissionOption],
        **_: Any,
    ) -> schema.RequestPermissionResponse:
        """Allow it once."""
        self._heard()
        for kind in ("allow_once", "allow_always"):
            for option in options:
                if option.kind == kind:
                    chosen = schema.AllowedOutcome(outcome="selected", option_id=option.option_id)
                    return schema.RequestPermissionResponse(outcome=chosen)
        return schema.RequestPermissionResponse(outcome=schema.DeniedOutcome(outcome="cancelled"))

    async def read_text_file(
        self,
        session_id: str,
        path: str,
        line: int | None = None,
        limit: int | None = None,
        **_: Any,
    ) -> schema.ReadTextFileResponse:
        """Read it in the sandbox."""
        self._heard()
        cut = f" | tail -n +{max(line or 1, 1)}" + (f" | head -n {limit}" if limit else "")
        command = f"set -o pipefail; cat -- {shlex.quote(path)}{cut}; status=$?; set +o pipefail; "
        done = await self._sandbox.bash(command + "(exit $status)", seconds=FILE_SECONDS)
        if not done.ok:
            raise RequestError.invalid_params({"path": path, "details": done.text[-500:]})
        return schema.ReadTextFileResponse(content=done.text)

    async def write_text_file(
        self, session_id: str, path: str, content: str, **_: Any
    ) -> schema.WriteTextFileResponse:
        """Write it in the sandbox."""
        self._heard()
        request = {"command": "create", "path": path, "file_text": content}
        done = await self._sandbox.edit_file(request)
        if done.is_error:
            raise RequestError.invalid_params({"path": path, "details": done.text[-500:]})
        return schema.WriteTextFileResponse()

    async def create_terminal(
        self,
        session_id: str,
        command: str,
        args: list[str] | None = None,
        env: list[schema.EnvVariable] | None = None,
        cwd: str | None = None,
        output_byte_limit: int | None = None,
        **_: Any,
    ) -> schema.CreateTerminalResponse:
        """Start a command in a sandbox over the same workspace."""
        self._heard()
        if len(self._terminals) >= TERMINALS:
            raise RequestError.invalid_params({"details": "Release a terminal first."})
        words = [command, *(args or [])] if args else ["/bin/bash", "-c", command]
        where = ["/usr/bin/env", "-C", cwd or WORKSPACE]
        programs = self._programs(
            ["/bin/bash", "-c", 'exec "$@" 2>&1', "terminal", *where, *words],
            environment={each.name: each.value for each in env or ()},
        )
        stack = AsyncExitStack()
        program = await stack.enter_async_context(programs)
        limit = min(output_byte_limit or OUTPUT_BYTES, OUTPUT_BYTES)
        name = f"terminal-{next(self._numbers)}"
        self._terminals[name] = _Terminal(program, limit, stack.aclose)
        return schema.CreateTerminalResponse(terminal_id=name)

    async def terminal_output(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> schema.TerminalOutputResponse:
        """Its output so far, and how it ended if it has."""
        terminal = self._terminal(terminal_id)
        return schema.TerminalOutputResponse(
            output=terminal.output.value().decode("utf-8", "replace"),
            truncated=terminal.output.dropped > 0,
            exit_status=terminal.status,
        )

    async def wait_for_terminal_exit(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> schema.WaitForTerminalExitResponse:
        """Wait until the command has ended."""
        status = await self._terminal(terminal_id).ended()
        self._heard()
        return schema.WaitForTerminalExitResponse(exit_code=status.exit_code)

    async def kill_terminal(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> schema.KillTerminalResponse:
        """End the command; its output can still be read."""
        await self._terminal(terminal_id).end()
        return schema.KillTerminalResponse()

    async def release_terminal(
        self, session_id: str, terminal_id: str, **_: Any
    ) -> schema.ReleaseTerminalResponse:
        """End the command and forget it."""
        await self._terminal(terminal_id).end()
        del self._terminals[terminal_id]
        return schema.ReleaseTerminalResponse()

    def _terminal(self, name: str) -> _Terminal:
        if name not in self._terminals:
            raise RequestError.invalid_params({"terminalId": name})
        return self._terminals[name]


class _Terminal:
    def __init__(self, program: Program, limit: int, close: Callable[[], Awaitable[None]]) -> None:
        self.output = Bounded(limit)
        self.status: schema.TerminalExitStatus | None = None
        self._program = program
        self._close = close
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> schema.TerminalExitStatus:
        while part := await self._program.receive():
            self.output.add(part)
        done = await self._program.ended()
        self.status = schema.TerminalExitStatus(exit_code=done.exit_code)
        return self.status

    async def ended(self) -> schema.TerminalExitStatus:
        """Wait until the command has ended and all its output was read."""
        return await asyncio.shield(self._reading)

    async def end(self) -> None:
        """Kill what still runs. A second call has no effect."""
        await self._close()
        if self.status is None:
            self.status = schema.TerminalExitStatus(signal="SIGKILL")
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
