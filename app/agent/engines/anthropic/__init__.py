"""The engine `anthropic`: Honk's own loop over Anthropic's Messages API."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.anthropic.engine import AnthropicEngine
from app.agent.engines.anthropic.model import DEFAULT_BASE_URL, AnthropicModel, Diligence
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> AnthropicEngine:
    key = settings.model_key().get_secret_value()
    model = AnthropicModel(key, base_url=settings.anthropic_base_url, outgoing=outgoing)
    return AnthropicEngine(
        model,
        compact_at=settings.compact_at,
        usual=Diligence(effort=settings.effort, thinking=settings.thinking),
        stronger=Diligence(effort=settings.effort_max),
    )


ENGINE = EngineSpec(
    needs={"ANTHROPIC_API_KEY": Settings.model_key},
    url=lambda settings: settings.anthropic_base_url or DEFAULT_BASE_URL,
    create=_create,
)
