"""The agent's tools: their definitions for the model, and the handling of its calls.

Input from the model is validated first; invalid input becomes an error message that the model
can act on, never an exception. The first two tools are the API's own types:
https://platform.claude.com/docs/en/agents-and-tools/tool-use/bash-tool and `/text-editor-tool`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.agent.engine import SandboxTools, WorkspaceActions
from app.domain.report import PlanItem
from app.domain.setup_plan import Choices
from app.recipes.setup_question import CHOICE_FIELDS, SetupChoice
from app.sandbox.spec import Completed, EditResult

BASH_SECONDS = 600.0
"""The longest one command may take."""

UNREADABLE = "not_json"
"""Key that holds the raw text of a tool input that is not a JSON object."""

OUTPUT_CHARACTERS = 30_000
"""Characters of one tool's output that the model sees."""


OUTPUTS = "/tmp/honk-output"  # noqa: S108 - the sandbox's own
OUTPUTS_KEPT = 20


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class BashInput(_Input):
    """Either a command or a restart of the shell."""

    command: str | None = Field(default=None, max_length=200_000)
    restart: bool = False

    @model_validator(mode="after")
    def _one_of_two(self) -> BashInput:
        if self.restart == bool(self.command and self.command.strip()):
            raise ValueError("give either a command or restart: true")
        return self


class EditInput(_Input):
    """A command of the text editor, as the API's tool type defines them."""

    command: Literal["view", "create", "str_replace", "insert"]
    path: str = Field(min_length=1, max_length=4096)
    view_range: tuple[int, int] | None = Field(default=None, strict=False)
    file_text: str | None = None
    old_str: str | None = None
    new_str: str | None = None
    insert_line: int | None = Field(default=None, ge=0)
    insert_text: str | None = None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> EditInput:
        needed = {
            "view": (),
            "create": ("file_text",),
            "str_replace": ("old_str",),
            "insert": ("insert_line", "insert_text"),
        }[self.command]
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.command} needs {' and '.join(missing)}")
        if self.old_str == "":
            raise ValueError("old_str must not be empty")
        return self


class SearchInput(_Input):
    """A regular expression and the paths to search."""

    pattern: str = Field(min_length=1, max_length=2000)
    path: str = Field(default=".", min_length=1, max_length=4096)


class BackgroundInput(_Input):
    """One action on a background command."""

    action: Literal["start", "list", "read", "stop"]
    command: str = Field(default="", max_length=200_000)
    id: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> BackgroundInput:
        if self.action == "start" and not self.command.strip():
            raise ValueError("start needs command")
        if self.action in ("read", "stop") and not self.id:
            raise ValueError(f"{self.action} needs id")
        return self


class VerifyInput(_Input):
    """verify takes no arguments."""


class SetupInput(_Input):
    """Without choices, setup runs as planned."""

    choices: list[SetupChoice] = Field(default=[], max_length=5)

    @property
    def chosen(self) -> tuple[Choices, ...]:
        return tuple(each.chosen for each in self.choices)


class PlanInput(_Input):
    """The complete plan; each call replaces the previous one."""

    items: list[PlanItem] = Field(max_length=50)


class AskInput(_Input):
    """The question that ends the attempt; an answer starts the next one."""

    question: str = Field(min_length=1, max_length=10_000)


class FinishInput(_Input):
    """The report that ends the work."""

    summary: str = Field(min_length=1, max_length=20_000)
    not_done: str = Field(default="", max_length=20_000)
    how_to_check: str = Field(default="", max_length=20_000)
    risks: str = Field(default="", max_length=5_000)
    look_first: str = Field(default="", max_length=2_000)
    lacked: str = Field(default="", max_length=5_000)


def _custom(name: str, description: str, properties: dict[str, Any], *required: str) -> Any:
    return {
        "name": name,
        "description": description,
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": list(required),
            "additionalProperties": False,
        },
    }


_TEXT = {"type": "string"}

TOOLS: tuple[dict[str, Any], ...] = (
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    _custom(
        "search",
        "Search file contents with a regular expression (Python's); returns path:line: text. "
        "Faster than reading files. path is a file or folder; default: the whole checkout.",
        {"pattern": _TEXT, "path": _TEXT},
        "pattern",
    ),
    _custom(
        "background",
        "Commands that run in the background while you work, such as a server. start runs command "
        "and returns an id; read returns the new output of id, stop ends it, list shows all.",
        {
            "action": {"enum": ["start", "list", "read", "stop"]},
            "command": _TEXT,
            "id": {"type": "integer"},
        },
        "action",
    ),
    _custom(
        "verify",
        "Run the project's tests the way the pull request will be verified. Call it before finish.",
        {},
    ),
    _custom(
        "setup",
        "Run the project's setup commands again, with the network access that its maintainers "
        "allow; bash has none. Call it after you changed the project's dependencies. If setup "
        "failed, choices (at most three calls with them) name what Honk should do "
        "differently in a folder: recipe or manager (uv, pip, poetry, npm, pnpm, yarn, ...), "
        "version, dependency groups, extras, packages, variables. Honk builds the commands; "
        "packages must be named by the repository.",
        {
            "choices": {
                "type": "array",
                "items": CHOICE_FIELDS,
            }
        },
    ),
    _custom(
        "plan",
        "Show people your plan and what is done. Send the whole plan each time.",
        {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"text": _TEXT, "done": {"type": "boolean"}},
                    "required": ["text", "done"],
                    "additionalProperties": False,
                },
            }
        },
        "items",
    ),
    _custom(
        "ask",
        "Ask the requester one question and stop until it is answered. Use it only if the answer "
        "changes the result and cannot be found in the repository.",
        {"question": _TEXT},
        "question",
    ),
    _custom(
        "finish",
        "End the work. summary: what you changed and why. not_done: what was requested and is "
        "missing, untested or uncertain; empty if nothing. how_to_check: how a reviewer can see "
        "that it works. risks: what could break, and for whom. look_first: the file or decision "
        "that a reviewer should see first. lacked: what the request or the repository's guidance "
        "did not say and you had to find out or guess. Omit the last three if there is nothing.",
        {
            **dict.fromkeys(("summary", "not_done", "how_to_check"), _TEXT),
            **dict.fromkeys(("risks", "look_first", "lacked"), _TEXT),
        },
        "summary",
        "not_done",
        "how_to_check",
    ),
)
"""The definitions sent to the API. Keep their order: the prompt cache depends on it."""

_INPUTS: dict[str, type[_Input]] = {
    "bash": BashInput,
    "str_replace_based_edit_tool": EditInput,
    "search": SearchInput,
    "background": BackgroundInput,
    "verify": VerifyInput,
    "setup": SetupInput,
    "plan": PlanInput,
    "ask": AskInput,
    "finish": FinishInput,
}


@dataclass(frozen=True)
class ToolCall:
    """One `tool_use` block. `input` comes from the model and is not validated."""

    id: str
    name: str
    input: object


@dataclass(frozen=True)
class ToolResult:
    """The result of one call, as the model sees it. `media` is the type of `data`, an image or PDF
    that comes with the text.
    """

    text: str
    is_error: bool = False
    media: str = ""
    data: bytes = b""


def understood(call: ToolCall) -> _Input | str:
    """Return the validated input, or an error message for the model."""
    if isinstance(call.input, dict) and set(call.input) == {UNREADABLE}:
        return (
            f"The input of {call.name[:100]} is not a JSON object in valid Unicode (an unpaired "
            "surrogate is not). Nothing was executed; send the call again."
        )
    kind = _INPUTS.get(call.name)
    if kind is None:
        return f"There is no tool {call.name[:100]!r}. The tools are: {', '.join(_INPUTS)}."
    try:
        return kind.model_validate(call.input)
    except ValidationError as error:
        return f"The input of {call.name} is invalid: {_summary(error)}"


_TOUCHING = frozenset({"bash", "str_replace_based_edit_tool", "background", "verify", "setup"})


def reading(call: ToolCall) -> dict[str, Any] | None:
    """The request to the sandbox for a read-only call; None for all others."""
    match understood(call):
        case EditInput(command="view") as view:
            return view.model_dump(mode="json", exclude_none=True)
        case SearchInput(pattern=pattern, path=path):
            return {"command": "search", "pattern": pattern, "path": path}
    return None


def touches_the_tree(call: ToolCall) -> bool:
    """Whether the call may have changed the work tree, or shows what goes on in the background."""
    return call.name in _TOUCHING and reading(call) is None


class Toolbox:
    """Runs tool calls in a sandbox and on its workspace.

    Of an output with more than `characters`, the model sees both ends. All of it is in a file in
    the sandbox's /tmp, which is in no commit; only the files of the latest outputs are kept.
    """

    def __init__(
        self,
        sandbox: SandboxTools,
        workspace: WorkspaceActions,
        *,
        characters: int = OUTPUT_CHARACTERS,
    ) -> None:
        self._sandbox = sandbox
        self._workspace = workspace
        self._characters = min(characters, OUTPUT_CHARACTERS)
        self._kept = 0

    async def read_together(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """Run calls for which `reading` is not None concurrently. Raises as `execute`."""
        requests = [request for request in map(reading, calls) if request is not None]
        results = await self._sandbox.read_many(requests)
        return [
            await self._read(request, result)
            for request, result in zip(requests, results, strict=True)
        ]

    async def execute(self, call: ToolCall, *, seconds: float) -> ToolResult:
        """Run one call. `seconds` limits the tools that can take long.

        Raises the sandbox's own errors when it is broken.
        """
        match understood(call):
            case str() as wrong:
                return ToolResult(wrong, is_error=True)
            case BashInput(restart=True):
                await self._sandbox.restart_bash()
                return ToolResult("The shell was restarted.")
            case BashInput(command=str() as command):
                allowed = max(min(BASH_SECONDS, seconds), 1.0)
                return await self._outcome(await self._sandbox.bash(command, seconds=allowed))
            case EditInput() as edit:
                request = edit.model_dump(mode="json", exclude_none=True)
                return await self._read(request, await self._sandbox.edit_file(request))
            case SearchInput(pattern=pattern, path=path):
                return await self._outcome(await self._sandbox.search(pattern, path))
            case BackgroundInput() as background:
                request = background.model_dump(mode="json")
                return await self._outcome(await self._sandbox.background(request))
            case VerifyInput():
                return ToolResult(await self._shown(await self._workspace.verify()))
            case SetupInput() as setup:
                return ToolResult(await self._shown(await self._workspace.set_up(setup.chosen)))
            case PlanInput():
                return ToolResult("The plan was updated.")
            case AskInput():
                return ToolResult("The requester was asked.")
            case _:
                return ToolResult("The work is finished.")

    async def _read(self, request: Mapping[str, Any], result: EditResult) -> ToolResult:
        if result.media:
            return ToolResult(str(request["path"]), media=result.media, data=result.data)
        # A viewed file already exists in full.
        shown = cut(cleaned(result.text), self._characters)
        return ToolResult(shown or "(empty)", is_error=result.is_error)

    async def _outcome(self, done: Completed) -> ToolResult:
        """Describe how a command ended."""
        text = await self._shown(done.output.decode("utf-8", errors="replace").rstrip())
        notes = []
        if done.dropped_bytes:
            notes.append(f"[{done.dropped_bytes} bytes of output were dropped]")
        if done.timed_out:
            notes.append(f"The command timed out after {done.seconds:.0f} seconds.")
        if done.killed:
            notes.append(f"The command was killed: {done.killed}.")
        if done.exit_code:
            notes.append(f"Exit code {done.exit_code}.")
        failed = bool(done.exit_code) or done.timed_out or bool(done.killed)
        return ToolResult("\n".join([text or "(no output)", *notes]), is_error=failed)

    async def _shown(self, text: str) -> str:
        """The part of an output that the model sees. If it is cut, a file has all of it."""
        text = cleaned(text)
        if len(text) <= self._characters:
            return text
        path = f"{OUTPUTS}/{self._kept % OUTPUTS_KEPT}.txt"
        self._kept += 1
        request = {"command": "create", "path": path, "file_text": text}
        kept = await self._sandbox.edit_file(request)
        return cut(text, self._characters, "" if kept.is_error else f"; all of it is in {path}")


_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # colors, cursor movements
    r"|\x1b[\]PX^_].*?(?:\x1b\\|\x07|$)"  # titles, links, and other strings
    r"|\x1b[ -/]*[0-~]?"
    r"|\x9b[0-?]*[ -/]*[@-~]",
    re.MULTILINE,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def cleaned(text: str) -> str:
    """Remove terminal sequences and control characters; normalize line endings to `\n`."""
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", text)


def cut(text: str, characters: int = OUTPUT_CHARACTERS, where: str = "") -> str:
    """Keep the head and tail of a long text, with a line between them that counts the omitted
    characters and says `where` they are.
    """
    if len(text) <= characters:
        return text
    half = characters // 2
    dropped = len(text) - 2 * half
    return f"{text[:half]}\n[... {dropped} characters omitted{where} ...]\n{text[-half:]}"


def _summary(error: ValidationError) -> str:
    """Summarize Pydantic's errors in one line, without repeating the input."""
    findings = []
    for each in error.errors(include_url=False, include_input=False, include_context=False)[:5]:
        where = ".".join(str(part) for part in each["loc"])
        findings.append(f"{where}: {each['msg']}" if where else each["msg"])
    return "; ".join(findings)
