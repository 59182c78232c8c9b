"""The agent engine over Claude Code."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.program.upstream import Upstream
from app.domain.model_question import AnswerForm, ModelAnswer
from app.settings import Effort

_SESSION = "app.agent.engines.claude_code.session"


class ClaudeCodeEngine:
    """See `app.agent.engine.AgentEngine`. Single questions need no agent: they go to the API."""

    def __init__(
        self,
        upstream: Upstream,
        path: Path,
        *,
        effort: Effort | None = None,
        effort_max: Effort | None = None,
    ) -> None:
        """`path` is the CLI. `effort_max` is for tasks that ask for more than usual."""
        self._upstream = upstream
        self._questions = AnthropicEngine(upstream)
        self._path = path
        self._effort = effort
        self._effort_max = effort_max

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        # The SDK takes a second to import and 60 MB, which only this engine needs.
        from app.agent.engines.claude_code.session import ClaudeCodeSession

        effort = self._effort_max if task.stronger else self._effort
        session = ClaudeCodeSession(self._upstream, self._path, task, effort=effort)
        return await session.run(feedback, feedback_id=feedback_id)

    async def ask(self, model: str, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        return await self._questions.ask(model, system, question, form)

    async def probe(self, model: str) -> None:
        await self._questions.probe(model)

    async def warm(self) -> None:
        await self._questions.warm()
        await asyncio.to_thread(importlib.import_module, _SESSION)

    async def aclose(self) -> None:
        await self._questions.aclose()
