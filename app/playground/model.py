"""A server for the Messages API that plays a script instead of a model.

It checks requests like the real API and answers in its format, streamed or not, so that the
product's own code runs unchanged. Outside contract:
https://platform.claude.com/docs/en/api/messages and `/api/errors`; the wording of refusals is close
to the real one, not the same.

A script is YAML:

    turns:
      - say: "Looking around."
        use:
          - bash: {command: "ls"}
      - use: [{verify: {}}]
        seconds: 0.2
      - use: [{finish: {summary: "...", not_done: "", how_to_check: "..."}}]
        fault: cut
        times: 2

`plan` and `ask` have the turns that a run of `/honk plan` or `/honk ask` begins with; `/honk go`
then plays `turns`.

Which turn is played follows from the request alone (the number of assistant messages in it and in
its summary), so a client that comes back after a crash gets the same answer again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from app.errors import UserError

Json = dict[str, Any]

Fault = Literal[
    "cut",  # the connection breaks in the middle of the answer
    "early_end",  # the stream ends cleanly before the answer is whole
    "error_event",  # an `event: error` inside a stream that began with status 200
    "silence",  # the stream begins and then stays silent
    "prompt_too_long",
    "stale_thinking",
    "no_credit",
    "status_400",
    "status_401",
    "status_403",
    "status_404",
    "status_408",
    "status_413",
    "status_429",
    "status_500",
    "status_502",
    "status_503",
    "status_529",
]

StopReason = Literal[
    "end_turn", "tool_use", "max_tokens", "refusal", "pause_turn", "model_context_window_exceeded"
]

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}

_FAULT_ANSWERS: dict[str, tuple[int, str]] = {
    "prompt_too_long": (400, "prompt is too long: 1200000 tokens > 1000000 maximum"),
    "stale_thinking": (400, "messages.1.content.0: Invalid `signature` in `thinking` block"),
    "no_credit": (400, "Your credit balance is too low to access the Anthropic API."),
    "status_400": (400, "The scripted request is not accepted."),
    "status_401": (401, "invalid x-api-key"),
    "status_403": (403, "Your key has no permission to use this model."),
    "status_404": (404, "model: not found"),
    "status_408": (408, "Request timeout"),
    "status_413": (413, "Request exceeds the maximum size"),
    "status_429": (429, "This request would exceed your rate limit."),
    "status_500": (500, "Internal server error"),
    "status_502": (502, "Bad gateway"),
    "status_503": (503, "Service unavailable"),
    "status_529": (529, "Overloaded"),
}


def script_schema() -> str:
    """The JSON Schema of script files, as the text of docs/script.schema.json."""
    return json.dumps(ScriptFile.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


class ScriptedTurn(BaseModel):
    """One turn of the model.

    `think` and `say` come first, then the tools in `use`, each a mapping of one tool's name to its
    input. `seconds` passes between the beginning of the answer and its content. `fault` happens the
    first `times` times that this turn is requested; `retry_after` goes with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    say: str = ""
    """What the model says."""
    think: str = ""
    """What it thinks before that."""
    use: tuple[dict[str, Json], ...] = ()
    """The tools that it calls: each entry is a tool's name with its input."""
    seconds: float = Field(default=0.0, ge=0)
    """How long it takes to answer."""
    stop: StopReason | None = None
    """Why the answer ends; by default what follows from its content."""
    fault: Fault | None = None
    """How the request fails, the first `times` times."""
    times: int = Field(default=1, ge=1)
    """How often the request fails."""
    retry_after: float | None = Field(default=None, ge=0)
    """Seconds in the header `Retry-After` of a failure."""

    @field_validator("use")
    @classmethod
    def _one_tool_each(cls, use: tuple[dict[str, Json], ...]) -> tuple[dict[str, Json], ...]:
        if any(len(each) != 1 for each in use):
            raise ValueError("each entry names exactly one tool")
        return use

    @property
    def stop_reason(self) -> StopReason:
        """The script's value, or one derived from the content."""
        return self.stop or ("tool_use" if self.use else "end_turn")


class ScriptFile(BaseModel):
    """What the model does: the file of `honk playground --script` and `honk try --script`."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    turns: tuple[ScriptedTurn, ...] = Field(min_length=1)
    """The turns of the work, in order."""
    plan: tuple[ScriptedTurn, ...] = ()
    """The turns of `/honk plan`."""
    ask: tuple[ScriptedTurn, ...] = ()
    """The turns of `/honk ask`."""


@dataclass(frozen=True)
class ModelScript:
    """Turns that are played in order; after the last one comes a `finish` that says so.

    A conversation that begins with a request for a plan, or with a question, begins with the turns
    for that.
    """

    turns: tuple[ScriptedTurn, ...]
    plan: tuple[ScriptedTurn, ...] = ()
    ask: tuple[ScriptedTurn, ...] = ()

    @classmethod
    def parse(cls, text: str, *, name: str = "script") -> ModelScript:
        """Read YAML. Raises UserError that names the line for anything that is not a script."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            content = yaml.safe_load(text)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "it cannot be read"
            raise UserError(f"{name}{where}: this is not YAML: {problem}.") from None
        try:
            file = ScriptFile.model_validate(content)
            return cls(file.turns, file.plan, file.ask)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(part) for part in first["loc"]) or "the whole file"
            raise UserError(
                f"{name}, line {_line(node, first['loc'])}: {path}: {first['msg']}.",
                next_step=f"A turn has the keys {', '.join(ScriptedTurn.model_fields)}.",
            ) from None

    @classmethod
    def load(cls, path: Path) -> ModelScript:
        """Read a file. Raises UserError when there is none or it is not a script."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The script {path} cannot be read: {error}.") from None
        return cls.parse(text, name=str(path))

    def __call__(self, request: Json) -> ScriptedTurn:
        """The turn that comes after the assistant's messages in the request.

        For a summary request, the model answers with the script's text, or with the number of
        played turns: a conversation that begins with that summary continues after them.
        """
        turns, index = self._conversation(request), _turns_summarized(request)
        for message in request["messages"]:
            if message["role"] == "assistant":
                index = self._after(turns, index, _blocks(message["content"]))
        if _asks_for_summary(request):
            return ScriptedTurn(say=f"Summary of the work. [{index} turns of the script]")
        return turns[index] if index < len(turns) else _SCRIPT_ENDED

    def _conversation(self, request: Json) -> tuple[ScriptedTurn, ...]:
        """All turns of the conversation, by what its first message asks for."""
        opening = " ".join(
            str(block.get("text", "")) for block in _blocks(request["messages"][0]["content"])
        )
        if _PLAN_WANTED in opening:
            return self.plan + self.turns
        return self.ask or self.turns if _ANSWER_WANTED in opening else self.turns

    @staticmethod
    def _after(turns: Sequence[ScriptedTurn], index: int, blocks: list[Json]) -> int:
        """The turn after one message: those that paused are one message with what followed them."""
        shown = sum(block["type"] in ("text", "tool_use") for block in blocks)
        while index < len(turns):
            turn = turns[index]
            shown -= bool(turn.say) + len(turn.use)
            index += 1
            if turn.stop_reason != "pause_turn" or shown <= 0:
                return index
        return index + 1


_SCRIPT_ENDED = ScriptedTurn(
    use=(
        {
            "finish": {
                "summary": "The scripted model of this demo has done all that it knows here. What "
                "still works: review and merge the pull request, `/honk test`, `/honk undo`, "
                "`/honk retry`, or the label `honk` on another issue. With `ANTHROPIC_API_KEY` "
                "set, the real model goes on.",
                "not_done": "What was asked after the script's last turn.",
                "how_to_check": "",
            }
        },
    )
)

_PLAN_WANTED = "asked for a plan to review before any work"
_ANSWER_WANTED = "asked a question about the project"
"""How the first message asks for a plan, or an answer."""

SUMMARY_REQUEST = "Summarize the conversation so far"
"""How a request for a summary begins."""

_BETA = "compact-2026-09-04"
_SUMMARIZED = re.compile(r"\[(\d+) turns of the script\]")


def _asks_for_summary(request: Json) -> bool:
    if "compaction" in request:
        return True
    last = _blocks(request["messages"][-1]["content"])[-1]
    return str(last.get("text", "")).startswith(SUMMARY_REQUEST)


def _turns_summarized(request: Json) -> int:
    """The turns in the summary that the conversation begins with; 0 without one."""
    texts = (str(each.get("text", "")) for each in _blocks(request["messages"][0]["content"]))
    return max((int(n) for text in texts for n in _SUMMARIZED.findall(text)), default=0)


Responder = Callable[[Json], ScriptedTurn]
"""A Script, or any function from the request's body to the turn to play."""


def _line(node: yaml.Node | None, location: Sequence[int | str]) -> int:
    """The line, from 1, of the innermost part of the document that a location leads to."""
    if node is None:
        return 1
    line = node.start_mark.line + 1
    for part in location:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == part:
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part] if part < len(node.value) else None
            line = found.start_mark.line + 1 if found else line
        if found is None:
            break
        node = found
    return line


_SUBJECT = re.compile(r"^Subject: (\S+#\d+)\s*$", re.MULTILINE)


def subject_of(request: Json) -> str:
    """The `owner/name#number` in the first user message, or an empty string."""
    for message in request["messages"][:1]:
        for block in _blocks(message["content"]):
            if found := _SUBJECT.search(str(block.get("text", ""))):
                return found.group(1)
    return ""


@dataclass
class ScriptedModel:
    """The server: `app` is the ASGI application, `requests` every body it was sent, in order,
    `usages` what each answer cost.

    `scripts` has a responder for a subject (`owner/name#number`), `default` is for all others.
    With `api_key` set, any other key is refused; without, any key will do. `window` is the most
    tokens that a request may have.
    """

    default: Responder = ModelScript(())
    scripts: dict[str, Responder] = field(default_factory=dict)
    api_key: str | None = None
    window: int = 1_000_000
    requests: list[Json] = field(default_factory=list)
    usages: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._faults: Counter[tuple[str, int]] = Counter()
        self._cache: set[str] = set()
        self._paused: set[str] = set()
        self._ids = itertools.count(1)
        self.app = Starlette(routes=[Route("/v1/messages", self._messages, methods=["POST"])])

    async def _messages(self, request: Request) -> Response:
        request_id = f"req_{next(self._ids):08d}"
        try:
            _check_headers(request.headers, self.api_key)
            body = _parsed(await request.body())
            if "compaction" in body:
                betas = request.headers.get("anthropic-beta", "")
                _refuse_unless(_BETA in betas, "compaction: Extra inputs are not permitted")
            turn, fault, message = self.reply(body)
            streamed = bool(body.get("stream"))
            return _StreamedAnswer(message, turn, fault, streamed=streamed, id=request_id)
        except RequestRefusedError as refusal:
            return refusal.response(request_id)

    def reply(self, body: Json) -> tuple[ScriptedTurn, str, Json]:
        """The turn to play, the fault that is due, and the message, before any transport.

        Raises RequestRefusedError for what the API refuses.
        """
        self.requests.append(body)
        _check_body(body, self._paused)
        _check_length(body, self.window)
        subject = subject_of(body)
        turn = self.scripts.get(subject, self.default)(body)
        fault = self._fault(turn, subject, body)
        if fault in _FAULT_ANSWERS:
            raise RequestRefusedError(*_FAULT_ANSWERS[fault], retry_after=turn.retry_after)
        message = self._message(turn, body)
        self.usages.append(message["usage"])
        if turn.stop_reason == "pause_turn":
            self._paused.add(_digest(_trimmed(message["content"][-1])))
        return turn, fault, message

    def _fault(self, turn: ScriptedTurn, subject: str, body: Json) -> str:
        """The fault that is due now. Faults are counted for each subject and turn."""
        if turn.fault is None:
            return ""
        key = (subject, _assistant_turns(body))
        self._faults[key] += 1
        return turn.fault if self._faults[key] <= turn.times else ""

    def _message(self, turn: ScriptedTurn, body: Json) -> Json:
        content = _content(turn, body, self._ids)
        reason: str = turn.stop_reason
        if "compaction" in body:
            digest = _digest(turn.say)
            content = [{"type": "compaction", "content": turn.say, "signature": f"sig_{digest}"}]
            reason = "compaction"
        details = {"type": "refusal", "category": None, "explanation": turn.say or None}
        return {
            "id": f"msg_{next(self._ids):08d}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [] if turn.stop_reason == "refusal" else content,
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": details if turn.stop_reason == "refusal" else None,
            "usage": _usage(body, content, self._cache),
        }


# What the model says ------------------------------------------------------------------------


def _content(turn: ScriptedTurn, body: Json, ids: itertools.count[int]) -> list[Json]:
    content: list[Json] = []
    if turn.think:
        signature = _signature(_flat(body))
        content.append({"type": "thinking", "thinking": turn.think, "signature": signature})
    if turn.say:
        content.append({"type": "text", "text": turn.say})
    for each in turn.use:
        [(name, value)] = each.items()
        content.append(
            {
                "type": "tool_use",
                "id": f"toolu_{next(ids):08d}",
                "name": _offered(name, body),
                "input": value,
            }
        )
    return content


def _offered(name: str, body: Json) -> str:
    """The request's name for a tool: an MCP client adds the server's name as a prefix."""
    names = [str(tool.get("name")) for tool in body.get("tools", [])]
    ours = [each for each in names if each.endswith(f"__{name}")]
    return ours[0] if name not in names and len(ours) == 1 else name


def _trimmed(block: Json) -> Json:
    return {**block, "text": block["text"].rstrip()} if block["type"] == "text" else block


def _assistant_turns(body: Json) -> int:
    return sum(message["role"] == "assistant" for message in body["messages"])


def _blocks(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _flat(body: Json) -> list[Json]:
    """Everything the model reads, in order, one entry a block, cache marks included."""
    entries: list[Json] = [{"model": body["model"]}]
    entries += [{"tool": tool} for tool in body.get("tools", [])]
    entries += [{"system": block} for block in _blocks(body.get("system") or [])]
    for message in body["messages"]:
        entries += [{message["role"]: block} for block in _blocks(message["content"])]
    return entries


def _mark(entry: Json) -> Json | None:
    block = next(iter(entry.values()))
    return block.get("cache_control") if isinstance(block, dict) else None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _prefixes(entries: list[Json]) -> list[str]:
    """For each entry the digest of it and everything before it, cache marks left out."""
    digests, running = [], ""
    for entry in entries:
        running = _digest([running, _unmarked(entry)])
        digests.append(running)
    return digests


def _unmarked(entry: Json) -> Json:
    [(kind, block)] = entry.items()
    if isinstance(block, dict):
        block = {k: v for k, v in block.items() if k != "cache_control"}
        if isinstance(block.get("content"), str) and block.get("type") == "tool_result":
            # A text and a list with this one text are the same to the API.
            block["content"] = _blocks(block["content"])
    return {kind: block}


def _signature(before: list[Json]) -> str:
    """Thinking is signed with what came before it: the newer models' thinking is bound so."""
    return "sig_" + _prefixes(before)[-1]


_LOOK_BACK = 20


def _usage(body: Json, content: list[Json], cache: set[str]) -> Json:
    """Token counts, four characters a token, with the prompt cache simulated.

    At each mark the longest prefix that an earlier request wrote is looked for, 20 blocks back
    and no further; what stands at the marks is written.
    """
    entries = _flat(body)
    digests = _prefixes(entries)
    ends = list(itertools.accumulate(_tokens(_unmarked(entry)) for entry in entries))
    marks = [i for i, entry in enumerate(entries) if _mark(entry)]
    if body.get("cache_control"):
        marks.append(len(entries) - 1)
    hits = (
        position
        for mark in reversed(marks)
        for position in range(mark, max(mark - _LOOK_BACK, -1), -1)
        if digests[position] in cache
    )
    hit = next(hits, None)
    read = ends[hit] if hit is not None else 0
    written = max(ends[marks[-1]] - read, 0) if marks else 0
    cache.update(digests[mark] for mark in marks)
    return {
        "input_tokens": ends[-1] - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": max(sum(_tokens(block) for block in content), 1),
        "service_tier": "standard",
    }


def _tokens(value: object) -> int:
    return len(json.dumps(value)) // 4


# How it is sent -----------------------------------------------------------------------------


class _StreamedAnswer(Response):
    """Sends a message, whole or as a stream of events, with the script's faults."""

    def __init__(
        self, message: Json, turn: ScriptedTurn, fault: str, *, streamed: bool, id: str
    ) -> None:
        super().__init__()
        self._message = message
        self._turn = turn
        self._fault = fault
        self._streamed = streamed
        kind = b"text/event-stream; charset=utf-8" if streamed else b"application/json"
        self.raw_headers = [(b"content-type", kind), (b"request-id", id.encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, the fault, or until the client disconnects."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for chunk in self._chunks(receive):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if self._fault != "cut":
            # Without this last message, the server aborts the connection.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self, receive: Receive) -> AsyncIterator[bytes]:
        if not self._streamed:
            await _pause(self._turn.seconds, receive)
            whole = json.dumps(self._message).encode()
            yield whole[: len(whole) // 2] if self._fault in ("cut", "early_end") else whole
            return
        events = list(_events(self._message))
        yield _event(events[0])
        yield _event({"type": "ping"})
        if self._fault == "silence":
            await _pause(3600, receive)
            return
        await _pause(self._turn.seconds, receive)
        if self._fault:
            events = events[: max(len(events) // 2, 2)]
        for event in events[1:]:
            yield _event(event)
        if self._fault == "error_event":
            yield _event(_error_body("overloaded_error", "Overloaded"))


async def _pause(seconds: float, receive: Receive) -> None:
    """Wait, unless the client leaves first."""
    if seconds <= 0:
        return
    leaving = asyncio.ensure_future(_gone(receive))
    await asyncio.wait({leaving}, timeout=seconds)
    leaving.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(event: Json) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _events(message: Json) -> list[Json]:
    """The stream of a message, as https://platform.claude.com/docs/en/build-with-claude/streaming
    describes it."""
    begun = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_details": None,
        "usage": {**message["usage"], "output_tokens": 1},
    }
    events: list[Json] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(message["content"]):
        empty, deltas = _pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": d} for d in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    usage = {"output_tokens": message["usage"]["output_tokens"]}
    events.append({"type": "message_delta", "delta": delta, "usage": usage})
    events.append({"type": "message_stop"})
    return events


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """A block as it begins, and what is then added to it."""
    if block["type"] == "text":
        halves = _halves(block["text"])
        return {**block, "text": ""}, [{"type": "text_delta", "text": half} for half in halves]
    if block["type"] == "thinking":
        deltas: list[Json] = [
            {"type": "thinking_delta", "thinking": half} for half in _halves(block["thinking"])
        ]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    if block["type"] == "compaction":
        return {**block, "content": None}, [
            {"type": "compaction_delta", "content": half} for half in _halves(block["content"])
        ]
    halves = _halves(json.dumps(block["input"]))
    return {**block, "input": {}}, [
        {"type": "input_json_delta", "partial_json": half} for half in halves
    ]


def _halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


# Refusals ----------------------------------------------------------------------------------


class RequestRefusedError(Exception):
    """The API's answer to an invalid request."""

    def __init__(self, status: int, words: str, *, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.retry_after = retry_after

    def response(self, request_id: str) -> JSONResponse:
        headers = {"request-id": request_id}
        if self.retry_after is not None:
            headers["retry-after"] = f"{self.retry_after:g}"
        body = _error_body(_ERROR_TYPES.get(self.status, _default_type(self.status)), self.words)
        return JSONResponse({**body, "request_id": request_id}, self.status, headers)


def _default_type(status: int) -> str:
    return "api_error" if status >= 500 else "invalid_request_error"


def _error_body(kind: str, words: str) -> Json:
    return {"type": "error", "error": {"type": kind, "message": words}}


def _refuse_unless(good: object, words: str) -> None:
    if not good:
        raise RequestRefusedError(400, words)


def _check_headers(headers: Mapping[str, str], api_key: str | None) -> None:
    """The key may come in either header; the SDK uses `Authorization`."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ")
    key = headers.get("x-api-key") or bearer
    if not key:
        raise RequestRefusedError(401, "x-api-key header is required")
    if api_key is not None and key != api_key:
        raise RequestRefusedError(401, "invalid x-api-key")
    _refuse_unless(headers.get("anthropic-version"), "anthropic-version: header is required")


def _parsed(raw: bytes) -> Json:
    try:
        body = json.loads(raw)
    except ValueError:
        raise RequestRefusedError(400, "The request body is not valid JSON") from None
    _refuse_unless(isinstance(body, dict), "The request body is not a JSON object")
    return dict(body)


_KNOWN_KEYS = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "tools", "tool_choice", "stream"),
        *("metadata", "stop_sequences", "thinking", "output_config", "cache_control"),
        *("container", "context_management", "diagnostics", "inference_geo", "service_tier"),
        *("speed", "compaction"),
    }
)
_MAX_OUTPUT = 128_000
_MAX_OUTPUT_WHOLE = 21_333
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_TYPES = {
    "bash_20250124": "bash",
    "text_editor_20250728": "str_replace_based_edit_tool",
}
_THINKING_TYPES = ("adaptive", "enabled", "between_tools", "disabled")


def _check_body(body: Json, paused: set[str]) -> None:
    for key in body:
        _refuse_unless(key in _KNOWN_KEYS, f"{key}: Extra inputs are not permitted")
    model = body.get("model")
    _refuse_unless(isinstance(model, str) and model, "model: Field required")
    _check_max_tokens(body)
    _check_thinking(body)
    _check_effort(body)
    _check_system(body.get("system"))
    _check_tools(body.get("tools", []))
    _check_messages(body.get("messages"), paused)
    _check_compaction(body)
    _check_marks(body)
    _check_signatures(body)


def _check_length(body: Json, window: int) -> None:
    size = sum(_tokens(_unmarked(entry)) for entry in _flat(body))
    _refuse_unless(size <= window, f"prompt is too long: {size} tokens > {window} maximum")


def _check_max_tokens(body: Json) -> None:
    limit = body.get("max_tokens")
    _refuse_unless(
        isinstance(limit, int) and limit >= 1, "max_tokens: a positive integer is required"
    )
    _refuse_unless(int(body["max_tokens"]) <= _MAX_OUTPUT, f"max_tokens: {limit} > {_MAX_OUTPUT}")
    whole = not body.get("stream") and int(body["max_tokens"]) > _MAX_OUTPUT_WHOLE
    _refuse_unless(not whole, "Streaming is required for operations that may take long")


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking")
    if thinking is not None:
        known = isinstance(thinking, dict) and thinking.get("type") in _THINKING_TYPES
        _refuse_unless(known, "thinking.type: Input should be one of " + ", ".join(_THINKING_TYPES))
    choice = body.get("tool_choice") or {"type": "auto"}
    forced = choice.get("type") in ("any", "tool")
    _refuse_unless(not forced, "tool_choice: forced tool use is not supported for this model")


_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def _check_effort(body: Json) -> None:
    effort = (body.get("output_config") or {}).get("effort", "high")
    words = f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}"
    _refuse_unless(effort in _EFFORTS, words)
    old = str(body["model"]).startswith(("claude-haiku-4-5", "claude-sonnet-4-5"))
    refused = old and body.get("output_config")
    _refuse_unless(not refused, "This model does not support the effort parameter.")


def _check_compaction(body: Json) -> None:
    """https://platform.claude.com/docs/en/build-with-claude/compaction-on-demand"""
    if "compaction" not in body:
        return
    good = (body["compaction"] or {}).get("type") == "summarize"
    _refuse_unless(good, "compaction.type: Input should be 'summarize'")
    old = re.search(r"-4-[0-5]\b", str(body["model"]))
    _refuse_unless(not old, "This model does not support compaction.")
    words = "compaction cannot be combined with context_management"
    _refuse_unless("context_management" not in body, words)
    called = body["messages"][-1]["role"] == "assistant" and any(
        block["type"] == "tool_use" for block in _blocks(body["messages"][-1]["content"])
    )
    _refuse_unless(not called, "compaction: the last turn has tool calls without results")


def _check_system(system: Any) -> None:
    for i, block in enumerate(_blocks(system or [])):
        good = block.get("type") == "text" and str(block.get("text", ""))
        _refuse_unless(good, f"system.{i}: text content blocks must be non-empty")


def _check_tools(tools: list[Json]) -> None:
    for i, tool in enumerate(tools):
        kind = tool.get("type", "custom")
        name = str(tool.get("name", ""))
        _refuse_unless(_TOOL_NAME.fullmatch(name), f"tools.{i}.name: not a name of a tool")
        if kind == "custom":
            schema = tool.get("input_schema")
            good = isinstance(schema, dict) and schema.get("type") == "object"
            _refuse_unless(good, f"tools.{i}.custom.input_schema: Field required")
        else:
            _refuse_unless(kind in _TOOL_TYPES, f"tools.{i}: unknown tool type {kind!r}")
            _refuse_unless(_TOOL_TYPES[kind] == name, f"tools.{i}.name: should be another")
    names = [tool["name"] for tool in tools]
    _refuse_unless(len(names) == len(set(names)), "tools: Tool names must be unique.")


def _check_messages(messages: Any, paused: set[str]) -> None:
    _refuse_unless(isinstance(messages, list) and messages, "messages: at least one is required")
    for i, message in enumerate(messages):
        known = isinstance(message, dict) and message.get("role") in _BLOCKS_OF
        _refuse_unless(known, f"messages.{i}.role: Input should be 'user', 'assistant' or 'system'")
        content = message.get("content")
        _refuse_unless(isinstance(content, (str, list)) and content, f"messages.{i}: no content")
        for j, block in enumerate(_blocks(content)):
            _check_block(block, message["role"], f"messages.{i}.content.{j}")
        # The API itself merges them; other endpoints with the same API refuse them.
        twice = i > 0 and messages[i - 1]["role"] == message["role"] == "assistant"
        _refuse_unless(not twice, f"messages.{i}: two assistant messages in a row")
    _refuse_unless(messages[0]["role"] == "user", "messages: first message must use the user role")
    _check_pairs(_combined(messages))
    last = messages[-1]
    if last["role"] == "assistant":
        ending = _blocks(last["content"])[-1]
        spaced = ending["type"] == "text" and ending["text"] != ending["text"].rstrip()
        _refuse_unless(
            not spaced, "messages: final assistant content cannot end with trailing whitespace"
        )
        prefill = _digest(ending) not in paused
        _refuse_unless(not prefill, "This model does not support assistant message prefill.")


_BLOCKS_OF = {
    "user": {"text", "image", "document", "tool_result", "search_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
    # An instruction of the operator's in the middle of a conversation.
    "system": {"text"},
}


def _check_block(block: Any, role: str, where: str) -> None:
    kind = block.get("type") if isinstance(block, dict) else None
    _refuse_unless(kind in _BLOCKS_OF[role], f"{where}: {kind!r} is not a block of the {role}")
    if kind == "text":
        good = isinstance(block.get("text"), str) and block["text"].strip()
        _refuse_unless(good, f"{where}: text content blocks must be non-empty")
    _check_media(block, where)
    if kind == "thinking":
        _refuse_unless(block.get("signature"), f"{where}.thinking.signature: Field required")
    if kind == "tool_use":
        good = isinstance(block.get("input"), dict) and block.get("id") and block.get("name")
        _refuse_unless(good, f"{where}.tool_use: id, name and input are required")
    if kind == "tool_result":
        _refuse_unless(block.get("tool_use_id"), f"{where}.tool_result.tool_use_id: Field required")
        for inner in _blocks(block.get("content") or []):
            _check_media(inner, where)
            empty = inner.get("type") == "text" and not str(inner.get("text", "")).strip()
            _refuse_unless(not empty, f"{where}: text content blocks must be non-empty")


_MEDIA = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF-",
}
_MOST_MEDIA = 5 << 20


def _check_media(block: Json, where: str) -> None:
    """Images and PDFs are validated; a broken one causes the whole request to be refused."""
    if block.get("type") not in ("image", "document"):
        return
    source = block.get("source") or {}
    magic = _MEDIA.get(str(source.get("media_type")))
    _refuse_unless(magic and source.get("type") == "base64", f"{where}: unknown media type")
    encoded = str(source.get("data", ""))
    _refuse_unless(len(encoded) <= _MOST_MEDIA, f"{where}: image exceeds 5 MB maximum")
    whole = base64.b64decode(encoded)
    good = whole.startswith(magic or b"") and b"broken" not in whole
    _refuse_unless(good, f"{where}: Could not process {block['type']}")


def _combined(messages: list[Json]) -> list[tuple[str, list[Json]]]:
    """Messages of one role that follow each other count as one; those of the system are between."""
    said = [message for message in messages if message["role"] != "system"]
    return [
        (role, [block for message in group for block in _blocks(message["content"])])
        for role, group in itertools.groupby(said, key=lambda message: str(message["role"]))
    ]


def _check_pairs(turns: list[tuple[str, list[Json]]]) -> None:
    """Each tool_use must have its tool_result at the beginning of the next message, and vice
    versa.
    """
    seen: set[str] = set()
    for i, (role, blocks) in enumerate(turns):
        asked = {b["id"] for b in turns[i - 1][1] if b["type"] == "tool_use"} if i else set()
        if role == "assistant":
            ids = [b["id"] for b in blocks if b["type"] == "tool_use"]
            unique = len(ids) == len(set(ids)) and not seen.intersection(ids)
            _refuse_unless(unique, f"messages.{i}: `tool_use` ids must be unique")
            seen.update(ids)
            continue
        answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        missing = ", ".join(sorted(asked.difference(answered)))
        _refuse_unless(
            not missing, f"messages.{i}: `tool_use` ids without `tool_result` blocks: {missing}"
        )
        known = asked.issuperset(answered) and len(answered) == len(set(answered))
        _refuse_unless(known, f"messages.{i}: unexpected `tool_use_id` in `tool_result` blocks")
        leading = all(b["type"] == "tool_result" for b in blocks[: len(answered)])
        _refuse_unless(leading, f"messages.{i}: tool_result blocks must come first")


def _check_marks(body: Json) -> None:
    entries = _flat(body)
    marked = [entry for entry in entries if _mark(entry)]
    count = len(marked) + bool(body.get("cache_control"))
    _refuse_unless(
        count <= 4, f"A maximum of 4 blocks with cache_control may be provided. Found {count}."
    )
    for entry in marked:
        [block] = entry.values()
        mark = block["cache_control"]
        good = mark.get("type") == "ephemeral" and mark.get("ttl", "5m") in ("5m", "1h")
        _refuse_unless(good, "cache_control: type must be ephemeral, ttl 5m or 1h")
        thinking = block.get("type") in ("thinking", "redacted_thinking")
        _refuse_unless(not thinking, "cache_control cannot be set on thinking blocks")


def _check_signatures(body: Json) -> None:
    entries = _flat(body)
    digests = _prefixes(entries)
    for i, entry in enumerate(entries):
        block = entry.get("assistant", {})
        if block.get("type") == "thinking":
            good = block["signature"] == "sig_" + digests[i - 1]
            _refuse_unless(good, "Invalid `signature` in `thinking` block: other conversation")
