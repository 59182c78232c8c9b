"""The agent engines, by name. A new one is a folder here and an entry in `_ENGINES`."""

from __future__ import annotations

from collections.abc import Callable

from app.agent.engine import AgentEngine
from app.agent.engines.messages_api.engine import MessagesApiEngine
from app.agent.engines.messages_api.model import AnthropicModel
from app.outgoing import Outgoing
from app.settings import Settings

DEFAULT = "messages_api"


def _messages_api(settings: Settings, outgoing: Outgoing) -> AgentEngine:
    return MessagesApiEngine(
        AnthropicModel(
            settings.model_key().get_secret_value(),
            base_url=settings.anthropic_base_url,
            outgoing=outgoing,
        )
    )


_ENGINES: dict[str, Callable[[Settings, Outgoing], AgentEngine]] = {DEFAULT: _messages_api}


def build(name: str, settings: Settings, outgoing: Outgoing) -> AgentEngine:
    """The engine of that name. Raises KeyError without one, UserError without its credentials."""
    return _ENGINES[name](settings, outgoing)
