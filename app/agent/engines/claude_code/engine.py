"""The agent engine over Claude Code."""

from __future__ import annotations

from pathlib import Path

from app.agent.engine import AgentTask
from app.agent.program.engine import ProgramEngine
from app.agent.program.session import ProgramSession
from app.agent.program.upstream import Upstream
from app.settings import Effort


class ClaudeCodeEngine(ProgramEngine):
    """See `ProgramEngine`."""

    session_module = "app.agent.engines.claude_code.session"

    def __init__(
        self,
        upstream: Upstream,
        path: Path,
        *,
        effort: Effort | None = None,
        effort_max: Effort | None = None,
    ) -> None:
        """`path` is the CLI. `effort_max` is for tasks that ask for more than usual."""
        super().__init__(upstream)
        self._path = path
        self._effort = effort
        self._effort_max = effort_max

    def _session(self, task: AgentTask) -> ProgramSession:
        # The SDK takes a second to import and 60 MB.
        from app.agent.engines.claude_code.session import ClaudeCodeSession

        effort = self._effort_max if task.stronger else self._effort
        return ClaudeCodeSession(self._upstream, self._path, task, effort=effort)
