"""Asks the run's model outside of its conversation."""

from __future__ import annotations

from app.domain.model_question import AnswerForm, ModelAnswer
from app.domain.run import RunInput
from app.runs.services import Services


class RunModel:
    """The run's model in a separate conversation."""

    def __init__(self, services: Services, run: RunInput) -> None:
        self._services = services
        self._run = run

    async def ask(self, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        """See `AskModel`. The cost is added to the run's."""
        engine = self._services.engines.get(self._run.engine)
        answer = await engine.ask(self._run.model, system, question, form)
        await self._services.runs.add_cost(self._run.id, answer.usd)
        return answer
