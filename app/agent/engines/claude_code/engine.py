"""The agent engine over Claude Code."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.program.upstream import Upstream
from app.domain.model_question import AnswerForm, ModelAnswer

_SESSION = "app.agent.engines.claude_code.session"


class ClaudeCodeEngine:
    """See `app.agent.engine.AgentEngine`. Single questions need no agent: they go to the API."""

    def __init__(self, upstream: Upstream, path: Path) -> None:
        """`path` is the CLI."""
        self._upstream = upstream
        self._questions = AnthropicEngine(upstream)
        self._path = path

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        # The SDK takes a second to import and 60 MB, which only this engine needs.
        from app.agent.engines.claude_code.session import ClaudeCodeSession

        session = ClaudeCodeSession(self._upstream, self._path, task)
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
