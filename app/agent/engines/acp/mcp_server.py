"""Honk's own tools as an MCP server, one message at a time.

https://modelcontextprotocol.io/specification: only what a server of tools without state needs.
"""

from __future__ import annotations

from typing import Any

from app.agent.program.own_tools import SERVER, Execute, definitions

Json = dict[str, Any]

_PROTOCOL = "2025-06-18"
_NO_METHOD, _WRONG_PARAMETERS = -32601, -32602


async def answered(message: Json, execute: Execute) -> Json | None:
    """The answer to one message; None for a notification. `execute` handles the calls."""
    if "id" not in message:
        return None
    parameters = message.get("params")
    given = parameters if isinstance(parameters, dict) else {}
    match message.get("method"):
        case "initialize":
            result = _introduction(given)
        case "ping":
            result = {}
        case "tools/list":
            result = {"tools": [_listed(each) for each in definitions()]}
        case "tools/call":
            names = {each["name"] for each in definitions()}
            if given.get("name") not in names:
                return _error(message, _WRONG_PARAMETERS, "There is no such tool.")
            done = await execute(str(given["name"]), given.get("arguments") or {})
            result = {
                "content": [{"type": "text", "text": done.text}],
                "isError": done.is_error,
            }
        case _:
            return _error(message, _NO_METHOD, "There is no such method.")
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def _introduction(given: Json) -> Json:
    return {
        "protocolVersion": given.get("protocolVersion") or _PROTOCOL,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": SERVER, "version": "1"},
    }


def _listed(tool: Json) -> Json:
    return {
        "name": tool["name"],
        "description": tool["description"],
        "inputSchema": tool["input_schema"],
    }


def _error(message: Json, code: int, words: str) -> Json:
    return {"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": words}}
