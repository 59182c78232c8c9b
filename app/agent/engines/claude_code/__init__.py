"""The engine `claude-code`: Claude Code in Honk's sandbox, over claude-agent-sdk."""

from __future__ import annotations

from app.agent.engine import EngineSpec
from app.agent.engines.anthropic.providers import model_needs, provider_of, url_of
from app.agent.engines.claude_code import cli
from app.agent.engines.claude_code.engine import ClaudeCodeEngine
from app.agent.program.upstream import Upstream
from app.outgoing import Outgoing
from app.settings import Settings


def _create(settings: Settings, outgoing: Outgoing) -> ClaudeCodeEngine:
    upstream = Upstream(provider_of(settings), outgoing=outgoing)
    return ClaudeCodeEngine(
        upstream,
        cli.find(settings),
        effort=settings.effort,
        effort_max=settings.effort_max,
    )


ENGINE = EngineSpec(
    needs=lambda settings: {**model_needs(settings), "HONK_CLAUDE_CODE_PATH": cli.find},
    url=url_of,
    create=_create,
)
