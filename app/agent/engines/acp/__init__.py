"""The engine `acp`: an agent of the operator's that speaks the Agent Client Protocol."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.acp.engine import AcpEngine
from app.agent.engines.anthropic.model import DEFAULT_BASE_URL
from app.agent.program.upstream import Upstream
from app.errors import UserError
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> AcpEngine:
    key = settings.model_key().get_secret_value()
    command, folder = settings.acp_words(), settings.acp_folder
    if folder is not None and not folder.is_dir():
        raise UserError(
            f"HONK_ACP_FOLDER is not a directory: {folder}.",
            next_step="Honk's operator must set it to the directory that has the agent.",
        )
    upstream = Upstream(key, base_url=settings.anthropic_base_url, outgoing=outgoing)
    return AcpEngine(upstream, command, folder.resolve() if folder else None)


ENGINE = EngineSpec(
    needs={"ANTHROPIC_API_KEY": Settings.model_key, "HONK_ACP_COMMAND": Settings.acp_words},
    url=lambda settings: settings.anthropic_base_url or DEFAULT_BASE_URL,
    create=_create,
)
