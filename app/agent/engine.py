"""The agent engine's interface: it works on an assignment in a sandbox until an ending.

The steps of a run know this module and nothing of an engine's API. Each engine is a folder in
`app/agent/engines/`, which builds it by name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import Field

from app.agent.prompt import Assignment
from app.domain.model_question import AnswerForm, ModelAnswer
from app.domain.report import PlanItem
from app.domain.setup_plan import Choices
from app.domain.values import Value
from app.outgoing import Outgoing
from app.sandbox.spec import Completed, EditResult, Mount, Program
from app.settings import Settings

Json = dict[str, Any]


class TurnRecord(Value):
    """One recorded turn. `seq` counts from 0 without gaps.

    `content` and `usage` are the engine's own JSON. Other code reads only two fields of `usage`:
    `feedback_id` of a user's turn marks a message from outside, and `stop_reason` of an assistant's
    turn says why it ended. `cost_usd` includes answers that were lost. `snapshot` names the tree of
    the work tree after a user turn's tools ran; `seconds` is how long the turn took. `tokens` are
    what the turn used, by kind (`input`, `output`, `cache_write`, `cache_read`); they are counted
    when the turn is recorded, and are not part of the stored record.
    """

    seq: int
    role: Literal["user", "assistant"]
    content: list[Json]
    usage: Json | None = None
    cost_usd: float = 0.0
    snapshot: str | None = None
    seconds: float = 0.0
    tokens: dict[str, int] = Field(default_factory=dict, exclude=True)

    @property
    def stop_reason(self) -> str:
        """Why the model stopped; empty for a user's turn."""
        return str((self.usage or {}).get("stop_reason", ""))


def already_heard(records: Sequence[TurnRecord], feedback_id: str) -> bool:
    """Whether the feedback with this id was recorded."""
    return any((record.usage or {}).get("feedback_id") == feedback_id for record in records)


class Transcript(Protocol):
    """Where turns are stored. A turn is durable when `record` returns."""

    async def load(self) -> list[TurnRecord]:
        """All turns, in order of `seq`."""
        ...

    async def record(self, turn: TurnRecord) -> None:
        """Store one turn. Recording the same `seq` again changes nothing."""
        ...


class SandboxTools(Protocol):
    """What a sandbox offers to the agent: `app.sandbox.spec.SandboxSession` as it is."""

    async def bash(self, command: str, *, seconds: float) -> Completed: ...
    async def restart_bash(self) -> None: ...
    async def edit_file(self, request: Mapping[str, object]) -> EditResult: ...
    async def search(self, pattern: str, path: str) -> Completed: ...
    async def read_many(self, requests: Sequence[Mapping[str, object]]) -> list[EditResult]: ...
    async def background(self, request: Mapping[str, object]) -> Completed: ...


class Programs(Protocol):
    """Runs an engine's own program in a sandbox over the workspace, like those of the tools."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        mounts: tuple[Mount, ...] = (),
        environment: Mapping[str, str],
        worker_port: int | None = None,
    ) -> AbstractAsyncContextManager[Program]:
        """See `app.sandbox.spec.Sandbox.program`. `environment` is added to the workspace's."""
        ...


@dataclass(frozen=True)
class WorkspaceActions:
    """Operations on the workspace that run outside the agent's sandbox.

    `verify` and `set_up` return text for the model; `set_up` takes the model's choices for setup,
    which may be empty; `snapshot` stores the work tree and returns the id of its tree, or None if
    changes are not kept.
    """

    verify: Callable[[], Awaitable[str]]
    set_up: Callable[[tuple[Choices, ...]], Awaitable[str]]
    snapshot: Callable[[], Awaitable[str | None]]


class PersonMessage(Value):
    """A person's message to the run, identified by `id`."""

    id: str
    author: str
    text: str


class Progress(Value):
    """The progress that people see while the agent works. `seconds` is how long it has worked so
    far, `doing` names the tools of the latest turn, `saying` is the model's text with them
    (untrusted Markdown).
    """

    turns: int
    cost_usd: float
    seconds: float
    plan: tuple[PlanItem, ...] = ()
    doing: tuple[str, ...] = ()
    saying: str = ""


@dataclass(frozen=True)
class Signals:
    """Communication between an agent and people while it works.

    `should_stop` is called several times a second and must be cheap. `messages` returns all that
    people wrote to the run; the engine skips those that the transcript already has. `pause` is
    called between two turns with what completes the record; during a shutdown it awaits that and
    does not return.
    """

    should_stop: Callable[[], Awaitable[bool]]
    messages: Callable[[], Awaitable[Sequence[PersonMessage]]]
    progress: Callable[[Progress], Awaitable[None]]
    pause: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class Budget:
    """The limits of a whole run, including earlier attempts: US dollars, seconds of work, turns of
    the model. The transcript says what is already used.
    """

    usd: float
    seconds: float
    turns: int


class Picture(Value):
    """An image from the request; `media_type` is, for example, `image/png`."""

    media_type: str
    data: bytes


@dataclass(frozen=True)
class AgentTask:
    """One assignment, with everything that an engine needs to work on it. `model` is its id;
    `stronger` asks for more effort than usual."""

    assignment: Assignment
    model: str
    sandbox: SandboxTools
    workspace: WorkspaceActions
    transcript: Transcript
    budget: Budget
    signals: Signals
    programs: Programs
    pictures: tuple[Picture, ...] = ()
    stronger: bool = False


class Done(Value):
    """The agent finished, with the fields of `finish`: `look_first` is where a reviewer should
    begin, `lacked` what was missing in the request or the guidance.
    """

    kind: Literal["done"] = "done"
    summary: str
    not_done: str = ""
    how_to_check: str = ""
    risks: str = ""
    look_first: str = ""
    lacked: str = ""


class Question(Value):
    """The agent needs an answer; it comes back as `feedback`."""

    kind: Literal["question"] = "question"
    text: str


class Stopped(Value):
    """A person stopped the run."""

    kind: Literal["stopped"] = "stopped"


class BudgetSpent(Value):
    """A limit was reached."""

    kind: Literal["budget"] = "budget"
    which: Literal["money", "time", "turns"]


class Stuck(Value):
    """The agent made the same call with the same result, `times` in a row."""

    kind: Literal["stuck"] = "stuck"
    tool: str
    times: int


class ModelDeclined(Value):
    """The model declined to do this. `text` is its explanation, or empty."""

    kind: Literal["refused"] = "refused"
    text: str


Ending = Done | Question | Stopped | BudgetSpent | Stuck | ModelDeclined


class AgentEngine(Protocol):
    """Works on assignments. One instance serves a whole worker."""

    async def run(
        self, task: AgentTask, feedback: str | None = None, *, feedback_id: str = ""
    ) -> Ending:
        """Work until an ending. `feedback` continues an attempt that has ended.

        Feedback with a `feedback_id` that the transcript already has is not recorded again, so a
        resumed caller gets the ending that followed it. Without an id, it is recorded each time.

        Raises UserError (the operator or the requester must act), RetryableError (the model's
        service stayed unavailable; running again resumes), and the errors of a broken sandbox.
        """
        ...

    async def ask(self, model: str, system: str, question: str, form: AnswerForm) -> ModelAnswer:
        """Ask a model one question in a separate conversation. Raises as `run`."""
        ...

    async def probe(self, model: str) -> None:
        """Request the smallest possible answer from a model, once. Raises as `run`.

        Proves that the credentials are valid, the model exists and the account has credit.
        """
        ...

    async def warm(self) -> None:
        """Load what would otherwise delay the first assignment."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@dataclass(frozen=True)
class EngineSpec:
    """How an engine's folder declares it, as `ENGINE` in its `__init__.py`.

    `needs` has a reader for each required setting, by its name in the environment; a reader raises
    UserError while its setting is missing. `url` is the URL of its model, which doctor shows.
    """

    needs: Callable[[Settings], Mapping[str, Callable[[Settings], object]]]
    url: Callable[[Settings], str]
    create: Callable[[Settings, Outgoing], AgentEngine]
    """Builds the engine without any request. Raises UserError when a setting is missing."""
