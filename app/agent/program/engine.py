"""The agent engine over a program that works in a sandbox."""

from __future__ import annotations

import asyncio
import importlib

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.program.session import ProgramSession
from app.agent.program.upstream import Upstream
from app.domain.model_question import AnswerForm, ModelAnswer


class ProgramEngine:
    """See `app.agent.engine.AgentEngine`. Single questions need no agent and go directly to the
    API.

    `session_module` is imported when a session is first needed: its library is large, and the other
    engines do not need it.
    """

    session_module: str

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._questions = AnthropicEngine(upstream)

    def _session(self, task: AgentTask) -> ProgramSession:
        """A session of the program for this task."""
        raise NotImplementedError

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        return await self._session(task).run(feedback, feedback_id=feedback_id)

    async def ask(self, model: str, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        return await self._questions.ask(model, system, question, form)

    async def probe(self, model: str) -> None:
        await self._questions.probe(model)

    async def warm(self) -> None:
        await self._questions.warm()
        await asyncio.to_thread(importlib.import_module, self.session_module)

    async def aclose(self) -> None:
        await self._questions.aclose()
