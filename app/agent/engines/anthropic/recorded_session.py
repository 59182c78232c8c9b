"""The common base of all agents' sessions: its records, and the limits that depend on them.

Honk's own loop and agents that are programs differ in how a turn is made. They share how it is
recorded, priced, reported and interrupted.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from app.agent.engine import (
    AgentTask,
    BudgetSpent,
    Ending,
    PersonMessage,
    Picture,
    Progress,
    Stopped,
    Stuck,
    TurnRecord,
    already_heard,
)
from app.agent.engines.anthropic import pricing
from app.agent.engines.anthropic.conversation import plan_in, said, tool_calls
from app.agent.engines.anthropic.model import Block
from app.agent.engines.anthropic.tools import ToolCall
from app.agent.prompt import first_message
from app.domain.rendered_markdown import visible_text
from app.domain.report import PlanItem

POLL_SECONDS = 0.2
"""Seconds between checks for a stop and the time limit during a wait."""

NUDGES = 2
"""How many times an agent that calls no tool, or stops without finish, is sent back."""

REPEATS_WARNED = 3
REPEATS_ENDED = 6
"""Consecutive calls with the same input and result before a warning, and before the end."""

EMPTY_ANSWER = "(empty answer)"
"""The recorded text of an empty answer."""

_CANCEL_SECONDS = 5.0

# https://docs.claude.com/en/api/messages#response-usage
_KINDS_OF_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_write": "cache_creation_input_tokens",
    "cache_read": "cache_read_input_tokens",
}

_REPEATED = (
    "You have made the same call several times in a row with the same result. Try something else, "
    "or call finish and say what is missing."
)

T = TypeVar("T")


class InterruptedRunError(Exception):
    """A stop or a limit came first."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class Answered(Protocol):
    """The metadata of a model's answer: a `ModelTurn` or a `Forwarded`."""

    @property
    def usage(self) -> Block: ...
    @property
    def discarded(self) -> Sequence[Block]: ...
    @property
    def stop_reason(self) -> str: ...
    @property
    def refusal(self) -> str: ...


class RecordedSession:
    """The transcript and limits of one agent that works on one task."""

    def __init__(
        self,
        task: AgentTask,
        *,
        clock: Callable[[], float] = time.monotonic,
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        """`boundary` makes the random fence of the first message."""
        self._task = task
        self._budget = task.budget
        self._signals = task.signals
        self._model_id = task.model
        self._clock = clock
        self._boundary = boundary
        self._records: list[TurnRecord] = []
        self._plan: tuple[PlanItem, ...] = ()
        self._turns = 0
        self._cost_usd = 0.0
        self._started = 0.0
        self._seconds_before = 0.0
        self._storing: asyncio.Task[None] | None = None

    # The records

    async def _load(self) -> None:
        """Read the transcript, and begin it with the assignment if it is empty."""
        self._started = self._clock()
        self._records = await self._task.transcript.load()
        self._seconds_before = sum(record.seconds for record in self._records)
        for record in self._records:
            self._count(record)
        if not self._records:
            words = text_block(first_message(self._task.assignment, self._boundary()))
            content = [words, *map(_image, self._task.pictures)]
            await self._record(TurnRecord(seq=0, role="user", content=content))

    async def _record(self, record: TurnRecord) -> None:
        await self._stored()
        await self._task.transcript.record(record)
        self._records.append(record)
        self._count(record)

    async def _record_with_snapshot(
        self, record: TurnRecord, stored: Callable[[TurnRecord], None] = lambda _: None
    ) -> None:
        """Record a turn with the work tree as it is now, beside what comes next.

        The two become durable together, so the transcript never says more than the files do. All
        that is recorded later waits for it, and a tool runs only after the answer that calls it is
        recorded: so no tool changes files during the snapshot. `stored` is called with the record.
        """
        await self._stored()
        self._records.append(record)
        self._count(record)
        self._storing = asyncio.create_task(self._store(record, stored))

    async def _store(self, record: TurnRecord, stored: Callable[[TurnRecord], None]) -> None:
        tree = await self._task.workspace.snapshot()
        whole = record.model_copy(update={"snapshot": tree})
        await self._task.transcript.record(whole)
        self._records[record.seq] = whole
        stored(whole)

    async def _stored(self) -> None:
        """Wait until all that was recorded is durable. Raises what prevented it, once."""
        storing, self._storing = self._storing, None
        if storing is not None:
            await storing

    def _count(self, record: TurnRecord) -> None:
        """Update the totals that progress and budget need after each turn: rereading the whole
        record would be slow.
        """
        self._turns += record.role == "assistant"
        self._cost_usd += record.cost_usd
        plan = plan_in(record)
        self._plan = self._plan if plan is None else plan

    async def _record_text(
        self, text: str, feedback_id: str = "", more: Mapping[str, Any] | None = None
    ) -> None:
        """Record a text for the agent; `more` is stored with it."""
        usage = {**({"feedback_id": feedback_id} if feedback_id else {}), **(more or {})}
        content = [text_block(text)]
        await self._record(
            TurnRecord(seq=len(self._records), role="user", content=content, usage=usage or None)
        )

    async def _note(self, text: str) -> None:
        """Send the agent a message of Honk's own."""
        await self._record_text(text)

    async def _record_answer(
        self,
        answer: Answered,
        content: list[Block],
        seconds: float,
        more: Mapping[str, Any] | None = None,
    ) -> TurnRecord:
        """Record the model's answer and its cost, and report it."""
        usages = (answer.usage, *answer.discarded)
        costs = [pricing.cost(self._model_id, each) for each in usages]
        usage = {
            **answer.usage,
            "model": self._model_id,
            "stop_reason": answer.stop_reason,
            "refusal": answer.refusal,
            "price_known": all(each.known for each in costs),
            "discarded": list(answer.discarded),
            **(more or {}),
        }
        record = TurnRecord(
            seq=len(self._records),
            role="assistant",
            content=content,
            usage=usage,
            cost_usd=sum(each.usd for each in costs),
            seconds=seconds,
            tokens=tokens_in(usages),
        )
        await self._record(record)
        await self._report()
        return record

    # People

    async def _unheard(self) -> list[PersonMessage]:
        """Messages from people that the transcript does not have yet."""
        await self._signals.pause(self._stored)
        heard = await self._signals.messages()
        return [each for each in heard if not already_heard(self._records, each.id)]

    async def _report(self) -> None:
        latest = self._last_answer()
        await self._signals.progress(
            Progress(
                turns=self._turns,
                cost_usd=self._cost_usd,
                seconds=self._budget.seconds - self._seconds_left(),
                plan=self._plan,
                doing=tuple(call.name for call in tool_calls(latest)) if latest else (),
                saying=said(latest) if latest else "",
            )
        )

    def _last_answer(self) -> TurnRecord | None:
        """The agent's latest turn."""
        return next((each for each in reversed(self._records) if each.role == "assistant"), None)

    # Limits

    def _check_budget(self) -> None:
        if self._cost_usd >= self._budget.usd:
            raise InterruptedRunError(BudgetSpent(which="money"))
        if self._seconds_left() <= 0:
            raise InterruptedRunError(BudgetSpent(which="time"))
        if self._turns >= self._budget.turns:
            raise InterruptedRunError(BudgetSpent(which="turns"))

    async def _end_of_loop(self, latest: ToolCall, repeated: int) -> Ending | None:
        """Warn an agent that repeats its latest call, and finally stop it."""
        if repeated >= REPEATS_ENDED:
            return Stuck(tool=latest.name, times=repeated)
        if repeated >= REPEATS_WARNED:
            await self._note(_REPEATED)
        return None

    def _seconds_left(self) -> float:
        used = self._seconds_before + self._clock() - self._started
        return self._budget.seconds - used

    async def _check_interruption(self) -> None:
        if self._storing is not None and self._storing.done():
            await self._stored()
        if await self._signals.should_stop():
            raise InterruptedRunError(Stopped())
        if self._seconds_left() <= 0:
            raise InterruptedRunError(BudgetSpent(which="time"))

    async def _interruptible(self, awaitable: Awaitable[T]) -> T:
        """Await it, or cancel it when a stop or the time limit comes first."""
        task = asyncio.ensure_future(awaitable)
        try:
            while True:
                await self._check_interruption()
                await asyncio.wait({task}, timeout=POLL_SECONDS)
                if task.done():
                    return task.result()
        finally:
            await cancelled(task)


async def cancelled(task: asyncio.Future[Any] | None) -> None:
    """Cancel a task and retrieve its exception, so that asyncio does not warn about it."""
    if task is None or task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


def words_of(message: PersonMessage) -> str:
    """A person's message to the run, in the form that the agent gets."""
    return f"{message.author} wrote while you worked:\n\n{visible_text(message.text)}"


def text_block(text: str) -> Block:
    """A block of text; the API refuses an empty one."""
    return {"type": "text", "text": text if text.strip() else "(empty)"}


def media_block(media_type: str, data: bytes) -> Block:
    """https://docs.claude.com/en/docs/build-with-claude/vision and `/pdf-support`"""
    return {
        "type": "image" if media_type.startswith("image/") else "document",
        "source": {
            "type": "base64",
            "media_type": media_type,
            "data": base64.b64encode(data).decode(),
        },
    }


def _image(picture: Picture) -> Block:
    return media_block(picture.media_type, picture.data)


def tokens_in(usages: Sequence[Block]) -> dict[str, int]:
    """Tokens used, by kind."""
    return {
        kind: sum(each.get(name) or 0 for each in usages) for kind, name in _KINDS_OF_TOKENS.items()
    }
