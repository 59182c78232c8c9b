"""Honk's own tools as the SDK offers them, in this process, over Claude Code's stdin and stdout."""

from __future__ import annotations

from typing import Any

from claude_agent_sdk import McpSdkServerConfig, SdkMcpTool, create_sdk_mcp_server

from app.agent.program.own_tools import SERVER, Execute, definitions


def own_tools(execute: Execute) -> McpSdkServerConfig:
    """The MCP server of one run; `execute` handles a call by name and input."""
    return create_sdk_mcp_server(
        name=SERVER, version="1", tools=[_tool(each, execute) for each in definitions()]
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
