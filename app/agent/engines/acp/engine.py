"""The agent engine over the Agent Client Protocol."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from pathlib import Path

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.program.upstream import Upstream
from app.domain.model_question import AnswerForm, ModelAnswer

_SESSION = "app.agent.engines.acp.session"


class AcpEngine:
    """See `app.agent.engine.AgentEngine`. Single questions need no agent: they go to the API."""

    def __init__(self, upstream: Upstream, command: Sequence[str], folder: Path | None) -> None:
        """`command` starts the agent inside; `folder` is bound there."""
        self._upstream = upstream
        self._questions = AnthropicEngine(upstream)
        self._command = command
        self._folder = folder

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        # The protocol's schema takes a second to import, which only this engine needs.
        from app.agent.engines.acp.session import AcpSession

        session = AcpSession(self._upstream, self._command, self._folder, task)
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
