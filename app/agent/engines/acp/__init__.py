"""The engine `acp`: an agent of the operator's choice that supports the Agent Client Protocol."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.acp.engine import AcpEngine
from app.agent.engines.anthropic.providers import model_needs, provider_of, url_of
from app.agent.program.upstream import Upstream
from app.errors import UserError
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> AcpEngine:
    command, folder = settings.acp_words(), settings.acp_folder
    if folder is not None and not folder.is_dir():
        raise UserError(
            f"HONK_ACP_FOLDER is not a directory: {folder}.",
            next_step="Honk's operator must set it to the directory that has the agent.",
        )
    upstream = Upstream(provider_of(settings), outgoing=outgoing)
    return AcpEngine(upstream, command, folder.resolve() if folder else None)


ENGINE = EngineSpec(
    needs=lambda settings: {**model_needs(settings), "HONK_ACP_COMMAND": Settings.acp_words},
    url=url_of,
    create=_create,
)
