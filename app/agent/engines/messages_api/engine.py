"""The agent engine over Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Sequence

from app.agent.engine import AgentTask, Ending, Json, ModelAnswer
from app.agent.engines.messages_api import pricing
from app.agent.engines.messages_api.model import AnthropicModel, ModelRequest
from app.agent.engines.messages_api.session import AgentSession


class MessagesApiEngine:
    """See `app.agent.engine.AgentEngine`."""

    def __init__(self, model: AnthropicModel) -> None:
        self._model = model

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        return await AgentSession(self._model, task).run(feedback, feedback_id=feedback_id)

    async def ask(
        self, model: str, system: str, messages: Sequence[Json], tool: Json
    ) -> ModelAnswer:
        turn = await self._model.turn(
            ModelRequest(model=model, system=system, tools=(tool,), messages=tuple(messages))
        )
        return ModelAnswer(content=turn.content, usage=(turn.usage, *turn.discarded))

    def cost(self, model: str, usage: Json) -> float:
        return pricing.cost(model, usage).usd

    async def warm(self) -> None:
        await self._model.warm()

    async def aclose(self) -> None:
        await self._model.aclose()
