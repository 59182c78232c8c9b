"""Honk's own tools, for agents that are programs: they run in the worker, outside the sandbox.

They are those of the engine `anthropic`, with the same validation of the model's input. The agent
reaches them over MCP, from a server of this name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from app.agent.engines.anthropic.tools import TOOLS, ToolResult

SERVER = "honk"
OWN = ("verify", "setup", "plan", "ask", "finish")

Execute = Callable[[str, dict[str, Any]], Awaitable[ToolResult]]
"""Handles a call by name and input."""


def definitions() -> list[dict[str, Any]]:
    """The tools' names, descriptions and schemas, as the Messages API writes them."""
    found = {each["name"]: each for each in TOOLS}
    return [found[name] for name in OWN]
