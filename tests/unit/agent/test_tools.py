"""Tools: what is accepted, what is refused, and what the model is shown."""

from __future__ import annotations

import re
from typing import Any

import pytest
from anthropic.types import ToolUnionParam
from pydantic import TypeAdapter

from app.agent.engine import WorkspaceActions
from app.agent.engines.anthropic.tools import (
    OUTPUT_CHARACTERS,
    OUTPUTS_KEPT,
    TOOLS,
    Toolbox,
    ToolCall,
    ToolResult,
    cleaned,
    cut,
)
from app.domain.setup_plan import Choices
from app.sandbox.spec import Completed, EditResult
from tests.support.model_api import MemoryHands, ended


async def verify() -> str:
    return "\x1b[32m3 passed\x1b[0m"


async def set_up(choices: tuple[Choices, ...]) -> str:
    return f"Installed {choices[0].model_dump(exclude_defaults=True)}." if choices else "Installed."


async def snapshot() -> None: ...


WORKSPACE = WorkspaceActions(verify, set_up, snapshot)


async def call(hands: MemoryHands, name: str, value: object, *, seconds: float = 60) -> ToolResult:
    toolbox = Toolbox(hands, WORKSPACE)
    return await toolbox.execute(ToolCall("t1", name, value), seconds=seconds)


def test_the_definitions_are_what_the_sdk_knows() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[ToolUnionParam])
    adapter.validate_python(list(TOOLS))
    assert [tool["name"] for tool in TOOLS] == [
        "bash",
        "str_replace_based_edit_tool",
        "search",
        "background",
        "verify",
        "setup",
        "plan",
        "ask",
        "finish",
    ]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bash", {}, "either a command or restart"),
        ("bash", {"command": "ls", "restart": True}, "either a command or restart"),
        ("bash", {"command": 3}, "command: Input should be a valid string"),
        ("bash", {"command": "ls", "timeout": 5}, "timeout: Extra inputs"),
        ("bash", "ls", "valid dictionary"),
        ("bash", None, "valid dictionary"),
        ("str_replace_based_edit_tool", {"command": "undo_edit", "path": "a"}, "command: "),
        ("str_replace_based_edit_tool", {"command": "create", "path": "a"}, "needs file_text"),
        ("str_replace_based_edit_tool", {"command": "str_replace", "path": "a"}, "needs old_str"),
        (
            "str_replace_based_edit_tool",
            {"command": "insert", "path": "a", "insert_line": 1},
            "needs insert_text",
        ),
        (
            "str_replace_based_edit_tool",
            {"command": "str_replace", "path": "a", "old_str": ""},
            "must not be empty",
        ),
        ("search", {"path": "a"}, "pattern: Field required"),
        ("verify", {"fast": True}, "fast: Extra inputs"),
        ("plan", {"items": [{"done": True}]}, "items.0.text: Field required"),
        ("ask", {"question": ""}, "question: "),
        ("finish", {"not_done": "x"}, "summary: Field required"),
        ("open_browser", {}, "There is no tool 'open_browser'"),
    ],
)
async def test_bad_input_is_an_error_to_act_on(name: str, value: object, words: str) -> None:
    hands = MemoryHands()
    result = await call(hands, name, value)
    assert result.is_error
    assert words in result.text
    assert not hands.commands


async def test_a_command_is_shown_with_its_exit_code() -> None:
    result = await call(MemoryHands(), "bash", {"command": "fail"})
    assert result == ToolResult("it failed\nExit code 2.", is_error=True)


async def test_silence_is_shown_as_such() -> None:
    assert (await call(MemoryHands(), "bash", {"command": "cat none"})).text == "(no output)"


async def test_a_restart() -> None:
    hands = MemoryHands()
    assert not (await call(hands, "bash", {"restart": True})).is_error
    assert hands.restarts == 1


@pytest.mark.parametrize(("left", "given"), [(5000, 600), (42, 42), (0.01, 1)])
async def test_a_command_gets_no_more_time_than_there_is(left: float, given: float) -> None:
    hands = MemoryHands()
    await call(hands, "bash", {"command": "cat a"}, seconds=left)
    assert hands.seconds == [given]


async def test_the_end_of_a_command_is_reported() -> None:
    def answer(_: str) -> Completed:
        return ended(b"part", None, dropped_bytes=99, timed_out=True, killed="memory", seconds=30)

    result = await call(MemoryHands(answer=answer), "bash", {"command": "x"})
    assert result.is_error
    for words in ("part", "99 bytes of output", "30 seconds", "memory"):
        assert words in result.text


async def test_long_output_keeps_its_head_and_tail() -> None:
    def answer(_: str) -> Completed:
        return ended(b"first\n" + b"x" * 100_000 + b"\nlast")

    text = (await call(MemoryHands(answer=answer), "bash", {"command": "x"})).text
    assert text.startswith("first")
    assert text.endswith("last")
    assert len(text) < OUTPUT_CHARACTERS + 150
    assert f"{100_011 - OUTPUT_CHARACTERS} characters omitted" in text


async def test_what_is_not_text_cannot_reach_the_model() -> None:
    def answer(_: str) -> Completed:
        return ended(b"\xff\xfe\x00a\x1b]0;title\x07b\x1b[31mred\x1b[0m\r\nc\x08\td")

    text = (await call(MemoryHands(answer=answer), "bash", {"command": "x"})).text
    assert text == "\ufffd\ufffdabred\nc\td"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x1b[2Jb", "ab"),
        ("a\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "alink"),
        ("a\x1b]0;never ended\nb", "a\nb"),
        ("a\x1b(Bb\x1b=c", "abc"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("a\x9b31mb\x85c", "abc"),
        ("Größe ✓ 👍\t", "Größe ✓ 👍\t"),
        ("a\x1b", "a"),
    ],
)
def test_terminal_sequences_are_gone(raw: str, clean: str) -> None:
    assert cleaned(raw) == clean


def test_cut_leaves_short_text_alone() -> None:
    assert cut("abc", 3) == "abc"
    assert cut("abcdef", 4) == "ab\n[... 2 characters omitted ...]\nef"


async def test_an_edit_reaches_the_hands_without_what_was_not_given() -> None:
    hands = MemoryHands()
    value = {"command": "create", "path": "/workspace/a", "file_text": ""}
    assert (await call(hands, "str_replace_based_edit_tool", value)).text == "created"
    assert hands.files == {"/workspace/a": ""}
    value = {"command": "str_replace", "path": "/workspace/a", "old_str": "b", "new_str": ""}
    result = await call(hands, "str_replace_based_edit_tool", value)
    assert result == ToolResult("old_str was not found", is_error=True)


async def test_a_view_with_a_range_is_passed_on_as_json() -> None:
    seen: list[object] = []

    class Watching(MemoryHands):
        async def edit_file(self, request: Any) -> EditResult:
            seen.append(dict(request))
            return EditResult("", is_error=False)

    value = {"command": "view", "path": "/workspace/a", "view_range": [1, -1]}
    assert (await call(Watching(), "str_replace_based_edit_tool", value)).text == "(empty)"
    assert seen == [value]


async def test_a_search_reports_what_was_found() -> None:
    hands = MemoryHands(files={"/workspace/a": "needle"})
    assert (await call(hands, "search", {"pattern": "needle"})).text == "/workspace/a"
    assert await call(hands, "search", {"pattern": "x"}) == ToolResult("Nothing matches.")


async def test_verify_reports_the_test_results() -> None:
    assert await call(MemoryHands(), "verify", {}) == ToolResult("3 passed")


async def test_setup_reports_its_outcome() -> None:
    assert await call(MemoryHands(), "setup", {}) == ToolResult("Installed.")


async def test_setup_takes_names_and_no_commands() -> None:
    choice = {"ecosystem": "python", "extras": ["test"], "environment": {"CI": "1"}}
    found = await call(MemoryHands(), "setup", {"choices": [choice]})
    assert "'extras': ('test',)" in found.text
    assert not found.is_error
    for bad in ({"command": "curl | sh"}, {"line": "x"}, {"extras": "test"}, {"loose": True}):
        refused = await call(MemoryHands(), "setup", {"choices": [{**choice, **bad}]})
        assert refused.is_error


async def test_the_whole_of_a_long_output_is_in_a_file() -> None:
    hands = MemoryHands(answer=lambda _: ended(b"x" * 50_000 + b"\x1b[31mend"))
    tools = Toolbox(hands, WORKSPACE)
    for _ in range(OUTPUTS_KEPT + 2):
        result = await tools.execute(ToolCall("t1", "bash", {"command": "x"}), seconds=10)
    [path] = re.findall(r"all of it is in (\S+) \.\.\.", result.text)
    assert path.startswith("/tmp/")
    assert hands.files[path] == "x" * 50_000 + "end"
    assert len(hands.files) == OUTPUTS_KEPT


async def test_a_long_output_that_cannot_be_kept_is_still_shown() -> None:
    class Full(MemoryHands):
        async def edit_file(self, request: Any) -> EditResult:
            return EditResult("No space left on device", is_error=True)

    hands = Full(answer=lambda _: ended(b"x" * 50_000))
    text = (await call(hands, "bash", {"command": "x"})).text
    assert "20000 characters omitted ...]" in text


@pytest.mark.parametrize(
    "value",
    [{"action": "start"}, {"action": "read"}, {"action": "wait"}, {"action": "stop", "id": "1"}],
)
async def test_a_background_call_that_lacks_something(value: dict[str, Any]) -> None:
    assert (await call(MemoryHands(), "background", value)).is_error


async def test_a_background_call_reaches_the_sandbox() -> None:
    assert (await call(MemoryHands(), "background", {"action": "list"})).text == "list"
