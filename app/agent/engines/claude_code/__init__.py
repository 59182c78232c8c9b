"""The engine `claude-code`: Claude Code in Honk's sandbox, over claude-agent-sdk."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.anthropic.model import DEFAULT_BASE_URL
from app.agent.engines.claude_code import cli
from app.agent.engines.claude_code.engine import ClaudeCodeEngine
from app.agent.program.upstream import Upstream
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> ClaudeCodeEngine:
    key = settings.model_key().get_secret_value()
    upstream = Upstream(key, base_url=settings.anthropic_base_url, outgoing=outgoing)
    return ClaudeCodeEngine(
        upstream,
        cli.find(settings),
        effort=settings.effort,
        effort_max=settings.effort_max,
    )


ENGINE = EngineSpec(
    needs={"ANTHROPIC_API_KEY": Settings.model_key, "HONK_CLAUDE_CODE_PATH": cli.find},
    url=lambda settings: settings.anthropic_base_url or DEFAULT_BASE_URL,
    create=_create,
)
