"""The engine `anthropic`: Honk's own loop over Anthropic's Messages API."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.engines.anthropic.model import AnthropicModel, Diligence
from app.agent.engines.anthropic.providers import model_needs, provider_of, url_of
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> AnthropicEngine:
    model = AnthropicModel(provider_of(settings), outgoing=outgoing)
    return AnthropicEngine(
        model,
        compact_at=settings.compact_at,
        usual=Diligence(effort=settings.effort, thinking=settings.thinking),
        stronger=Diligence(effort=settings.effort_max),
    )


ENGINE = EngineSpec(
    needs=model_needs,
    url=url_of,
    create=_create,
)
