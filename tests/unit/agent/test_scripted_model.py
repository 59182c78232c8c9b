"""The stand-in for the Messages API refuses what the real one refuses, and reads scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from app.agent.prompt import _WANTED
from app.domain.run import Mode
from app.errors import UserError
from app.playground.model import ModelScript, ScriptedModel, ScriptedTurn, subject_of
from tests.support.model_api import KEY, serving

HEADERS = {"x-api-key": KEY, "anthropic-version": "2026-10-21"}
CALL = {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "a.py"}
MARK = {"cache_control": {"type": "ephemeral"}}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str = "Hello.", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def body(**changes: Any) -> dict[str, Any]:
    given = {"model": "claude-sonnet-5-5", "max_tokens": 1000, "messages": [user(text())]}
    return {k: v for k, v in {**given, **changes}.items() if v is not None}


@pytest.fixture
async def server() -> AsyncIterator[tuple[ScriptedModel, httpx2.AsyncClient]]:
    scripted = ScriptedModel(default=lambda _: ScriptedTurn(say="Hello, you."), api_key=KEY)
    async with serving(scripted.app) as url, httpx2.AsyncClient(base_url=url) as client:
        client.headers.update(HEADERS)
        yield scripted, client


Server = tuple[ScriptedModel, httpx2.AsyncClient]


async def test_a_whole_answer_without_a_stream(server: Server) -> None:
    response = await server[1].post("/v1/messages", json=body())
    answer = response.json()
    assert response.status_code == 200
    assert response.headers["request-id"].startswith("req_")
    assert answer["content"] == [text("Hello, you.")]
    assert (answer["type"], answer["role"], answer["stop_reason"]) == (
        "message",
        "assistant",
        "end_turn",
    )
    assert answer["usage"]["input_tokens"] > 0
    assert server[0].requests == [body()]


async def test_the_operator_may_speak_in_the_middle_of_a_conversation(server: Server) -> None:
    between = {"role": "system", "content": "Be brief."}
    for messages in (
        [user(text()), between],
        [user(text()), assistant(CALL), between, user(RESULT)],
    ):
        response = await server[1].post("/v1/messages", json={**body(), "messages": messages})
        assert response.status_code == 200, response.text


async def test_a_tool_is_called_by_the_name_that_it_is_offered_under(server: Server) -> None:
    server[0].default = lambda _: ScriptedTurn(use=({"finish": {}}, {"bash": {}}, {"plan": {}}))
    names = ("bash", "mcp__honk__finish", "a__plan", "b__plan")
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
    answer = (await server[1].post("/v1/messages", json=body(tools=tools))).json()
    assert [each["name"] for each in answer["content"]] == ["mcp__honk__finish", "bash", "plan"]


async def test_the_sdk_reads_both_ways_alike(server: Server) -> None:
    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=str(server[1].base_url))
    asked: Any = body()
    whole = await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    await client.close()
    different = {"id"}
    assert whole.model_dump(exclude=different, exclude_unset=True) == streamed.model_dump(
        exclude=different, exclude_unset=True
    )


def talk(*turns: Any) -> dict[str, Any]:
    """A conversation that begins with a greeting; turns alternate from the assistant on."""
    roles = (assistant, user)
    return {"messages": [user(text()), *(roles[i % 2](*t) for i, t in enumerate(turns))]}


UNSIGNED = {"type": "thinking", "thinking": "Hm.", "signature": ""}
EMPTY_RESULT = {**RESULT, "content": [text("")]}
MARKED = [text(str(i), **MARK) for i in range(4)]
BASH = {"type": "bash_20250124", "name": "bash"}
SCHEMA = {"input_schema": {"type": "object"}}
THINKING = {"type": "thinking", "thinking": "Hm.", "signature": "made-up"}
SYSTEM_CALL = {"role": "system", "content": [CALL]}
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("no messages", {"messages": []}, "at least one"),
    ("first is the assistant's", {"messages": [assistant(text())]}, "first message must use"),
    ("prefill", talk([text("I")]), "prefill"),
    ("role", {"messages": [user(text()), {"role": "tool", "content": "x"}]}, "role"),
    ("first is the system's", {"messages": [{"role": "system", "content": "x"}]}, "first message"),
    ("call by the system", {"messages": [user(text()), SYSTEM_CALL]}, "not a block of the system"),
    ("empty content", {"messages": [user()]}, "no content"),
    ("empty text", {"messages": [user(text(" "))]}, "non-empty"),
    ("empty result", talk([CALL], [EMPTY_RESULT]), "non-empty"),
    ("no result", talk([CALL], [text()]), "without `tool_result`"),
    ("no call", {"messages": [user(RESULT)]}, "unexpected `tool_use_id`"),
    ("result twice", talk([CALL], [RESULT, RESULT]), "unexpected"),
    ("text before results", talk([CALL], [text(), RESULT]), "come first"),
    ("id twice", talk([CALL, CALL], [RESULT]), "unique"),
    ("call by the user", {"messages": [user(CALL)]}, "is not a block of the user"),
    ("unsigned", talk([UNSIGNED, text()], [text()]), "signature: Field required"),
    ("signature", talk([THINKING, text()], [text()]), "Invalid `signature`"),
    ("no model", {"model": None}, "model: Field required"),
    ("no max_tokens", {"max_tokens": None}, "max_tokens"),
    ("max_tokens of no number", {"max_tokens": "many"}, "max_tokens"),
    ("too many tokens", {"max_tokens": 200_000, "stream": True}, "max_tokens"),
    ("too many without a stream", {"max_tokens": 30_000}, "Streaming is required"),
    ("unknown key", {"temprature": 1}, "temprature: Extra inputs"),
    ("gone key", {"temperature": 0.5}, "temperature: Extra inputs"),
    ("thinking", {"thinking": {"type": "hard"}}, "thinking.type"),
    ("forced tool", {"tool_choice": {"type": "any"}}, "forced tool use"),
    ("empty system", {"system": [text("")]}, "system.0"),
    ("tool type", {"tools": [{"type": "bash_20991231", "name": "bash"}]}, "unknown tool type"),
    ("tool name", {"tools": [{"type": "bash_20250124", "name": "shell"}]}, "should be another"),
    ("bad tool name", {"tools": [{"name": "a b", **SCHEMA}]}, "not a name"),
    ("no schema", {"tools": [{"name": "x"}]}, "input_schema"),
    ("tool twice", {"tools": [BASH, BASH]}, "unique"),
    ("five marks", {"messages": [user(*MARKED, MARKED[0])]}, "maximum of 4"),
    ("five with the automatic one", {"messages": [user(*MARKED)], **MARK}, "Found 5"),
    ("mark", {"messages": [user(text(cache_control={"type": "forever"}))]}, "cache_control"),
]


@pytest.mark.parametrize(("changes", "words"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
async def test_what_the_api_refuses_is_refused(
    server: Server, changes: dict[str, Any], words: str
) -> None:
    response = await server[1].post("/v1/messages", json=body(**changes))
    answer = response.json()
    assert response.status_code == 400
    assert answer["type"] == "error"
    assert answer["error"]["type"] == "invalid_request_error"
    assert words in answer["error"]["message"]
    assert answer["request_id"] == response.headers["request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": "", "authorization": "Bearer wrong"}, 401),
        ({"x-api-key": "", "authorization": f"Bearer {KEY}"}, 200),
        ({"anthropic-version": ""}, 400),
    ],
)
async def test_headers_are_checked(server: Server, headers: dict[str, str], status: int) -> None:
    response = await server[1].post("/v1/messages", json=body(), headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff"])
async def test_what_is_no_json_object_is_refused(server: Server, raw: bytes) -> None:
    response = await server[1].post("/v1/messages", content=raw)
    assert response.status_code == 400


async def test_each_subject_has_its_own_script(server: Server) -> None:
    scripted, client = server
    scripted.scripts["octo/app#7"] = ModelScript.parse("turns: [{say: seven}]")
    said = []
    for words in ("Subject: octo/app#7\nMore.", "Subject: octo/app#8", "No Subject: octo/app#7"):
        answer = await client.post("/v1/messages", json=body(messages=[user(text(words))]))
        said.append(answer.json()["content"][0]["text"])
    assert said == ["seven", "Hello, you.", "Hello, you."]


def test_the_first_subject_counts() -> None:
    words = "Subject: octo/app#7\n\nSubject: evil/app#1"
    assert subject_of(body(messages=[user(text(words))])) == "octo/app#7"
    assert subject_of(body(messages=[{"role": "user", "content": words}])) == "octo/app#7"


def test_after_the_script_comes_a_finish_that_says_so() -> None:
    script = ModelScript.parse("turns: [{say: a}]")
    messages = [user(text()), assistant(text()), user(text())]
    turn = script(body(messages=messages))
    summary = turn.use[0]["finish"]["summary"]
    assert "has done all that it knows here" in summary
    assert "merge the pull request" in summary
    assert script(body()).say == "a"


def test_a_script_has_turns_of_its_own_for_plans_and_questions() -> None:
    script = ModelScript.parse("turns: [{say: work}]\nplan: [{say: plan}]\nask: [{say: answer}]")
    expected: tuple[tuple[Mode, str, str], ...] = (
        ("plan", "plan", "work"),
        ("ask", "answer", ""),
        ("work", "work", ""),
    )
    for mode, first, then in expected:
        opening = user(text(_WANTED[mode]))
        assert script(body(messages=[opening])).say == first
        again = script(body(messages=[opening, assistant(text()), user(text())]))
        assert again.say == then


@pytest.mark.parametrize(
    ("written", "line", "words"),
    [
        ("turns:\n  - say: a\n  - sai: b\n", 3, "turns.1.sai: Extra inputs"),
        ("turns:\n  - say: a\n    fault: burn\n", 3, "turns.0.fault"),
        ("turns:\n  - say: a\n    fault: cut\n    times: 0\n", 4, "turns.0.times"),
        ("turns:\n  - use:\n      - bash: {}\n        verify: {}\n", 2, "exactly one tool"),
        ("turns:\n  - use: [{verify: 3}]\n", 2, "turns.0.use.0.verify"),
        ("turn: []\n", 1, "turns: Field required"),
        ("turns: []\n", 1, "turns"),
        ("", 1, "the whole file"),
        ("- a\n", 1, "the whole file"),
        ("turns:\n  - say: [\n", 3, "not YAML"),
        ("turns: &a [*a]\n", 1, "turns.0"),
    ],
)
def test_a_wrong_script_is_refused_with_its_line(written: str, line: int, words: str) -> None:
    with pytest.raises(UserError) as raised:
        ModelScript.parse(written, name="demo.yml")
    assert f"demo.yml, line {line}: " in str(raised.value)
    assert words in str(raised.value)


def test_a_script_comes_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.yml"
    with pytest.raises(UserError, match="cannot be read"):
        ModelScript.load(path)
    path.write_text("turns: [{say: hello, use: [{verify: {}}], seconds: 0.5}]")
    [turn] = ModelScript.load(path).turns
    assert (turn.say, turn.use, turn.seconds) == ("hello", ({"verify": {}},), 0.5)
    assert turn.stop_reason == "tool_use"


async def test_without_a_configured_key_any_key_will_do() -> None:
    scripted = ScriptedModel(default=lambda _: ScriptedTurn(say="Hi."))
    async with serving(scripted.app) as url, httpx2.AsyncClient(base_url=url) as client:
        client.headers.update({**HEADERS, "x-api-key": "anything"})
        assert (await client.post("/v1/messages", json=body())).status_code == 200


async def test_the_cache_looks_back_twenty_blocks_and_no_further(server: Server) -> None:
    async def read(count: int) -> int:
        blocks = [text(f"Block {i}.") for i in range(count)]
        blocks[-1].update(MARK)
        answer = await server[1].post("/v1/messages", json=body(messages=[user(*blocks)]))
        return int(answer.json()["usage"]["cache_read_input_tokens"])

    assert await read(1) == 0
    assert await read(20) > 0
    assert await read(60) == 0
