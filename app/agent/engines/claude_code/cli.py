"""The command line of Claude Code: where it is, and how it is started in a sandbox.

Flags and variables: https://code.claude.com/docs/en/cli-reference and `/settings`. Everything from
the repository is disabled: its settings, hooks, MCP servers, plugins and memory files. Its
maintainers' guidance is in the assignment, from the default branch.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Sequence
from pathlib import Path

from app.agent.program.model_port import VARIABLES
from app.agent.program.own_tools import SERVER
from app.errors import UserError
from app.sandbox.spec import HOME, WORKSPACE, Mount
from app.settings import Effort, Settings

VERSION = "2.1.332"
"""The version in the locked package, and the only one that Honk's tests ran with."""

BUILT_IN_TOOLS = ("Bash", "Read", "Edit", "Write", "Glob", "Grep")

_INSIDE = "/run/honk/claude"
_CONFIGURATION = f"{HOME}/.claude"
_SESSIONS = f"{_CONFIGURATION}/projects/" + WORKSPACE.replace("/", "-")
"""Claude Code names a project's folder after the project's path."""

_DAY_MILLISECONDS = "86400000"

# The recorded session comes first on stdin, then what the CLI reads.
_RESTORE = 'mkdir -p "${1%/*}" && head -c "$2" >"$1" && shift 2 && exec "$@"'


def find(settings: Settings) -> Path:
    """The CLI to use: the operator's, or the package's. Raises UserError when there is none."""
    found = importlib.util.find_spec("claude_agent_sdk")
    if found is None or found.origin is None:
        raise UserError(
            "The package of the engine `claude-code` is not installed.",
            next_step="Honk's operator must install it with "
            "`pip install -r requirements-claude-code.lock`, or choose another HONK_ENGINE.",
        )
    path = settings.claude_code_path or Path(found.origin).with_name("_bundled") / "claude"
    if not path.is_file():
        raise UserError(
            f"There is no Claude Code at {path}.",
            next_step="Honk's operator must set HONK_CLAUDE_CODE_PATH to the program `claude`, or "
            "unset it to use the package's one.",
        )
    return path.resolve()


def mount(path: Path) -> Mount:
    """The CLI, read-only inside."""
    return Mount(path, _INSIDE)


def environment(model: str) -> dict[str, str]:
    """Its variables inside."""
    off = (
        *("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"),
        *("CLAUDE_CODE_DISABLE_CLAUDE_MDS", "CLAUDE_CODE_DISABLE_AUTO_MEMORY"),
        *("CLAUDE_CODE_DISABLE_BACKGROUND_TASKS", "CLAUDE_CODE_DISABLE_MCP_TASK_BACKGROUND"),
        # Beta features of the API that a gateway or a cloud may not support.
        "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS",
        # Honk creates the commits, under its own name.
        *("CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS", "CLAUDE_CODE_SUPPRESS_SESSION_ATTRIBUTION"),
    )
    return {
        **dict.fromkeys(off, "1"),
        **VARIABLES,
        "ANTHROPIC_SMALL_FAST_MODEL": model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
        "CLAUDE_CONFIG_DIR": _CONFIGURATION,
        "CLAUDE_CODE_ENTRYPOINT": "sdk-py",
        "CLAUDE_CODE_SDK_READS_SESSION_STATE": "1",
        "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
        # A recorded session ends with tool results, and the CLI continues from them.
        "CLAUDE_CODE_RESUME_INTERRUPTED_TURN": "1",
        "SHELL": "/bin/bash",
        # Verification may take long, and the worker has its own time limits for the model.
        "MCP_TOOL_TIMEOUT": _DAY_MILLISECONDS,
        "API_TIMEOUT_MS": _DAY_MILLISECONDS,
    }


def arguments(
    model: str,
    *,
    instructions: str,
    own_tools: Sequence[str],
    resume: str | None,
    effort: Effort | None = None,
) -> list[str]:
    """The command line. `instructions` follow Claude Code's own; `resume` is a session's id."""
    allowed = [*BUILT_IN_TOOLS, *(f"mcp__{SERVER}__{name}" for name in own_tools)]
    servers = {"mcpServers": {SERVER: {"type": "sdk", "name": SERVER}}}
    return [
        *(_INSIDE, "--print", "--output-format", "stream-json", "--input-format", "stream-json"),
        *("--verbose", "--model", model, "--append-system-prompt", instructions),
        *("--tools", ",".join(BUILT_IN_TOOLS), "--allowedTools", ",".join(allowed)),
        *("--permission-mode", "dontAsk", "--setting-sources="),
        *("--mcp-config", json.dumps(servers), "--strict-mcp-config", "--session-mirror"),
        *(["--effort", effort] if effort is not None else []),
        *([f"--resume={resume}"] if resume is not None else []),
    ]


def restoring(session: str, size: int, words: Sequence[str]) -> list[str]:
    """The command line that first stores a recorded session of `size` bytes, read from stdin."""
    path = f"{_SESSIONS}/{session}.jsonl"
    return ["/bin/bash", "-c", _RESTORE, "restore", path, str(size), *words]


def session_in(path: str) -> str | None:
    """The id of the session whose file this is; None for other files of the CLI."""
    found = re.fullmatch(rf"{re.escape(_SESSIONS)}/([0-9a-f-]{{36}})\.jsonl", path)
    return found[1] if found else None
