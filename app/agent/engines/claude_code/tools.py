"""Honk's own tools, which run in the worker while Claude Code's run in the sandbox.

They are the same as those of the engine `anthropic`, with the same checks of what the model sends.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from claude_agent_sdk import McpSdkServerConfig, SdkMcpTool, create_sdk_mcp_server

from app.agent.engines.anthropic.tools import TOOLS, ToolResult
from app.agent.engines.claude_code.cli import SERVER

OWN = ("verify", "setup", "plan", "ask", "finish")

Execute = Callable[[str, dict[str, Any]], Awaitable[ToolResult]]


def own_tools(execute: Execute) -> McpSdkServerConfig:
    """The MCP server of one run; `execute` handles a call by name and input."""
    definitions = {each["name"]: each for each in TOOLS}
    return create_sdk_mcp_server(
        name=SERVER, version="1", tools=[_tool(definitions[name], execute) for name in OWN]
    )


def _tool(definition: dict[str, Any], execute: Execute) -> SdkMcpTool[Any]:
    async def handle(arguments: dict[str, Any]) -> dict[str, Any]:
        result = await execute(definition["name"], arguments)
        return {
            "content": [{"type": "text", "text": result.text}],
            "is_error": result.is_error,
        }

    return SdkMcpTool(
        name=definition["name"],
        description=definition["description"],
        input_schema=definition["input_schema"],
        handler=handle,
    )
