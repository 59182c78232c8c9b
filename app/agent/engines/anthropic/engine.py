"""The agent engine over Anthropic's Messages API."""

from __future__ import annotations

from app.agent.engine import AgentTask, Ending
from app.agent.engines.anthropic import pricing
from app.agent.engines.anthropic.model import (
    USUAL,
    AnthropicModel,
    Block,
    Diligence,
    ModelRequest,
)
from app.agent.engines.anthropic.session import AgentSession
from app.domain.model_question import AnswerForm, ModelAnswer


class AnthropicEngine:
    """See `app.agent.engine.AgentEngine`."""

    def __init__(
        self,
        model: AnthropicModel,
        *,
        compact_at: int | None = None,
        usual: Diligence = USUAL,
        stronger: Diligence = USUAL,
    ) -> None:
        """`compact_at` is the number of tokens at which a conversation is compacted; the model's
        default without it. `stronger` is for tasks that ask for it.
        """
        self._model = model
        self._compact_at = compact_at
        self._usual = usual
        self._stronger = stronger

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        diligence = self._stronger if task.stronger else self._usual
        session = AgentSession(self._model, task, compact_at=self._compact_at, diligence=diligence)
        return await session.run(feedback, feedback_id=feedback_id)

    async def ask(self, model: str, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        tool = {
            "name": form.name,
            "description": form.description,
            "input_schema": form.fields,
        }
        message = {"role": "user", "content": [{"type": "text", "text": question}]}
        turn = await self._model.turn(
            ModelRequest(model=model, system=system, tools=(tool,), messages=(message,))
        )
        paid = (turn.usage, *turn.discarded)
        return ModelAnswer(
            forms=tuple(block.get("input") for block in _of_type("tool_use", turn.content)),
            text="".join(str(block.get("text", "")) for block in _of_type("text", turn.content)),
            usd=sum(pricing.cost(model, usage).usd for usage in paid),
        )

    async def probe(self, model: str) -> None:
        await self._model.probe(model)

    async def warm(self) -> None:
        await self._model.warm()

    async def aclose(self) -> None:
        await self._model.aclose()


def _of_type(kind: str, content: tuple[Block, ...]) -> list[Block]:
    return [block for block in content if block.get("type") == kind]
