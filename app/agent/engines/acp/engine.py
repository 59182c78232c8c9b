"""The agent engine over the Agent Client Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.agent.engine import AgentTask
from app.agent.program.engine import ProgramEngine
from app.agent.program.session import ProgramSession
from app.agent.program.upstream import Upstream


class AcpEngine(ProgramEngine):
    """See `ProgramEngine`."""

    session_module = "app.agent.engines.acp.session"

    def __init__(self, upstream: Upstream, command: Sequence[str], folder: Path | None) -> None:
        """`command` starts the agent inside; `folder` is bound there."""
        super().__init__(upstream)
        self._command = command
        self._folder = folder

    def _session(self, task: AgentTask) -> ProgramSession:
        # The protocol's schema takes a second to import.
        from app.agent.engines.acp.session import AcpSession

        return AcpSession(self._upstream, self._command, self._folder, task)
