"""A scripted Messages API on a free port of this machine, and the agent's other parts in memory."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import uvicorn

from app import retrying
from app.agent.engine import (
    AgentTask,
    Budget,
    Ending,
    PersonMessage,
    Progress,
    Signals,
    TurnRecord,
    WorkspaceActions,
)
from app.agent.engines.anthropic.model import (
    AnthropicModel,
    Model,
    ModelRequest,
    ModelTurn,
    parameters_of,
    raise_by_status,
)
from app.agent.engines.anthropic.providers import anthropic_api
from app.agent.engines.anthropic.session import AgentSession
from app.agent.prompt import Assignment
from app.domain.setup_plan import Choices
from app.domain.values import RepoName
from app.playground.model import ModelScript, RequestRefusedError, Responder, ScriptedModel
from app.sandbox.spec import Completed, EditResult

QUICK = replace(retrying.MODEL, waits=(0.001,) * 5, longest_wait=1.0)
KEY = "sk-ant-a-key-that-must-not-be-seen"
SUBJECT = "octo/app#7"


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application on 127.0.0.1 with a real server; yields its address."""
    # Without the protocol named, asyncio leaves Nagle's algorithm on: 40 ms a request.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # As Server.serve does, without the sleeps of its main loop and of its shutdown.
    await server.startup(sockets=[listener])
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks, timeout=1)
        listener.close()


@asynccontextmanager
async def asking(
    script: str | Responder, *, window: int = 1_000_000, **options: Any
) -> AsyncIterator[tuple[AnthropicModel, ScriptedModel]]:
    """The true model client against a script; failures are tried again without waiting long."""
    responder = ModelScript.parse(script) if isinstance(script, str) else script
    server = ScriptedModel(default=responder, api_key=KEY, window=window)
    settings = {"rule": QUICK, "read_timeout": 5.0, **options}
    async with serving(server.app) as url:
        model = AnthropicModel(anthropic_api(KEY, url), **settings)
        try:
            yield model, server
        finally:
            await model.aclose()


class InProcess:
    """The scripted model without HTTP between: for conversations of hundreds of turns."""

    def __init__(self, server: ScriptedModel) -> None:
        self._server = server

    async def turn(self, request: ModelRequest) -> ModelTurn:
        """One turn; what the API refuses is raised as the true client raises it."""
        parameters = parameters_of(request)
        parameters.pop("extra_headers", None)
        parameters |= parameters.pop("extra_body", {})
        body = json.loads(json.dumps(parameters))
        try:
            _, _, message = self._server.reply({**body, "stream": True})
        except RequestRefusedError as refusal:
            raise_by_status(refusal.status, refusal.words, refusal.retry_after)
        return ModelTurn(
            content=tuple(message["content"]),
            stop_reason=message["stop_reason"],
            usage=message["usage"],
        )


def ended(output: bytes = b"", exit_code: int | None = 0, **more: Any) -> Completed:
    """A command's end."""
    given = {"dropped_bytes": 0, "timed_out": False, "killed": None, "seconds": 0.01, **more}
    return Completed(exit_code=exit_code, output=output, **given)


@dataclass
class MemoryHands:
    """A sandbox session with files in memory. `bash` understands `cat`, `sleep` and `fail`."""

    files: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    restarts: int = 0
    together: list[int] = field(default_factory=list)
    cancelled: int = 0
    answer: Callable[[str], Completed] | None = None

    async def bash(self, command: str, *, seconds: float) -> Completed:
        """Run one of the few commands there are."""
        self.commands.append(command)
        self.seconds.append(seconds)
        word, _, rest = command.partition(" ")
        if self.answer is not None:
            return self.answer(command)
        if word == "sleep":
            try:
                await asyncio.sleep(float(rest))
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if word == "fail":
            return ended(b"it failed\n", 2)
        return ended(self.files.get(rest, "").encode())

    async def restart_bash(self) -> None:
        """Count restarts."""
        self.restarts += 1

    async def edit_file(self, request: Mapping[str, object]) -> EditResult:
        """`view`, `create` and `str_replace`, on the files in memory."""
        path = str(PurePosixPath(str(request["path"])))
        if request["command"] == "view":
            return EditResult(self.files.get(path, ""), is_error=path not in self.files)
        if request["command"] == "create":
            self.files[path] = str(request["file_text"])
            return EditResult("created", is_error=False)
        old = str(request.get("old_str", ""))
        if old not in self.files.get(path, ""):
            return EditResult("old_str was not found", is_error=True)
        self.files[path] = self.files[path].replace(old, str(request.get("new_str", "")), 1)
        return EditResult("replaced", is_error=False)

    async def read_many(self, requests: Sequence[Mapping[str, object]]) -> list[EditResult]:
        """All at the same time: each begins before the first one ends."""
        self.together.append(len(requests))
        results = []
        for request in requests:
            if request["command"] == "search":
                found = await self.search(str(request["pattern"]), str(request["path"]))
                results.append(EditResult(found.text, is_error=not found.ok))
            else:
                results.append(await self.edit_file(request))
        return results

    async def background(self, request: Mapping[str, object]) -> Completed:
        """Say what was requested."""
        return ended(str(request["action"]).encode())

    async def search(self, pattern: str, path: str) -> Completed:
        """Plain text, in every file."""
        found = [name for name, text in self.files.items() if pattern in text]
        return ended(("\n".join(found) or "Nothing matches.").encode())


@dataclass
class MemoryTranscript:
    """Turns in memory. `fail_at` is the seq whose recording dies, once, before it is durable."""

    turns: list[TurnRecord] = field(default_factory=list)
    fail_at: int | None = None

    async def load(self) -> list[TurnRecord]:
        """All turns."""
        return list(self.turns)

    async def record(self, turn: TurnRecord) -> None:
        """Keep a turn, as JSON would keep it."""
        if turn.seq == self.fail_at:
            self.fail_at = None
            raise ConnectionError("the worker died here")
        assert turn.seq == len(self.turns)
        self.turns.append(TurnRecord.model_validate_json(turn.model_dump_json()))


@dataclass
class Desk:
    """The inputs of a session, for later inspection."""

    model: Model
    hands: Any = field(default_factory=MemoryHands)
    transcript: MemoryTranscript = field(default_factory=MemoryTranscript)
    budget: Budget = field(default_factory=lambda: Budget(usd=5, seconds=60, turns=50))
    model_id: str = "claude-sonnet-5-5"
    compact_at: int | None = None
    words: list[list[str]] = field(default_factory=list)
    heard: list[PersonMessage] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    snapshots: int = 0
    verified: int = 0
    programs: Any = None
    """What starts programs; only engines that run one need it."""

    async def run(self, feedback: str | None = None, *, feedback_id: str = "") -> Ending:
        """One attempt, by a new session each time, as after a restart."""
        task = AgentTask(
            assignment=assignment(),
            model=self.model_id,
            sandbox=self.hands,
            workspace=WorkspaceActions(self._verify, self._set_up, self._snapshot),
            transcript=self.transcript,
            budget=self.budget,
            signals=Signals(self._should_stop, self._messages, self._on_progress, self._pause),
            programs=self.programs,
        )
        ending: Ending = await self.session(task).run(feedback, feedback_id=feedback_id)
        return ending

    def session(self, task: AgentTask) -> Any:
        """The engine's session for a task."""
        return AgentSession(self.model, task, compact_at=self.compact_at)

    async def _verify(self) -> str:
        self.verified += 1
        return "3 passed"

    async def _set_up(self, choices: tuple[Choices, ...]) -> str:
        return "Installed."

    async def _snapshot(self) -> str:
        self.snapshots += 1
        return f"{self.snapshots:040x}"

    async def _messages(self) -> list[PersonMessage]:
        """All messages so far, like a store that forgets nothing."""
        for text in self.words.pop(0) if self.words else []:
            self.heard.append(PersonMessage(id=f"m{len(self.heard)}", author="alice", text=text))
        return self.heard

    async def _pause(self, complete_record: Callable[[], Awaitable[None]]) -> None:
        """No shutdown comes here."""

    async def _should_stop(self) -> bool:
        return self.stop.is_set()

    async def _on_progress(self, progress: Progress) -> None:
        self.progress.append(progress)


def assignment(**changes: Any) -> Assignment:
    """An ordinary assignment about `SUBJECT`."""
    given: dict[str, Any] = {
        "repo": RepoName(owner="octo", name="app"),
        "number": 7,
        "title": "Sum is wrong",
        "body": "add(1, 2) gives 4.",
        "author": "ada",
        "requester": "ada",
        "base_branch": "main",
        "test_commands": ("pytest -q",),
        **changes,
    }
    return Assignment(**given)
