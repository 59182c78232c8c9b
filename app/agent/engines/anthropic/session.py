"""The agent's loop: run, step, answer.

A model's turn is recorded before its tools run, and the results before the next request. So the
next `run` can always resume from the transcript: calls without results are executed again, after
the caller has reset the work tree to the last snapshot.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import TypeVar

from app.agent.engine import (
    AgentTask,
    BudgetSpent,
    Done,
    Ending,
    ModelDeclined,
    Picture,
    Progress,
    Stopped,
    Stuck,
    TurnRecord,
    already_heard,
)
from app.agent.engines.anthropic import compaction, pricing, windows
from app.agent.engines.anthropic.compaction import Compacted
from app.agent.engines.anthropic.conversation import (
    NUDGE,
    Omitted,
    cut_off_call,
    ending_of,
    messages_of,
    omitted_at_end,
    plan_in,
    recorded_ending,
    repeats,
    said,
    texts_in_a_row,
    tool_calls,
)
from app.agent.engines.anthropic.model import (
    USUAL,
    Block,
    Diligence,
    Model,
    ModelRefusedRequestError,
    ModelRequest,
    ModelTurn,
    PromptTooLongError,
    StaleThinkingError,
)
from app.agent.engines.anthropic.tools import (
    TOOLS,
    TOUCHES_THE_TREE,
    Toolbox,
    ToolCall,
    ToolResult,
    reading,
)
from app.agent.prompt import SUMMARIZE, SYSTEM_PROMPT, first_message
from app.domain.rendered_markdown import visible_text
from app.domain.report import PlanItem
from app.errors import UserError

POLL_SECONDS = 0.2
"""Seconds between checks for a stop and the time limit during a wait."""

NUDGES = 2
"""How often a model that calls no tool is reminded to."""

REPEATS_WARNED = 3
REPEATS_ENDED = 6
"""Consecutive calls with the same input and result before a warning, and before the end."""

_ENDINGS = ("finish", "ask")
_CANCEL_SECONDS = 5.0

# https://docs.claude.com/en/api/messages#response-usage
_KINDS_OF_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_write": "cache_creation_input_tokens",
    "cache_read": "cache_read_input_tokens",
}

_EMPTY = "(empty answer)"
_CONTINUE = "Your answer was cut off at its token limit. Continue from there, in smaller pieces."
_CUT_CALL = "This call was cut off at the token limit and was not executed. Send a shorter one."
_ENDED = (
    "Not accepted: an earlier call of this turn ended the work. Put everything into one call; all "
    "questions into one ask."
)
_NOT_YET = "Not accepted: another call in the same turn failed. Look at that first."
_REPEATED = (
    "You have made the same call several times in a row with the same result. Try something else, "
    "or call finish and say what is missing."
)


class _EndedEarlyError(Exception):
    def __init__(self, ending: Ending) -> None:
        self.ending = ending


T = TypeVar("T")


class AgentSession:
    """One agent working on one task. `boundary` makes the random fence of the first message.

    `compact_at` is the tokens at which the conversation is compacted; without it, the model's own.
    """

    def __init__(
        self,
        model: Model,
        task: AgentTask,
        *,
        compact_at: int | None = None,
        diligence: Diligence = USUAL,
        clock: Callable[[], float] = time.monotonic,
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._model = model
        self._task = task
        self._transcript = task.transcript
        self._budget = task.budget
        self._signals = task.signals
        self._model_id = task.model
        self._diligence = diligence
        self._summarized_by_the_api = windows.summarized_by_the_api(task.model)
        self._compact_at = compact_at or windows.compact_at(task.model)
        self._tools = Toolbox(task.sandbox, task.workspace, characters=self._compact_at // 2)
        self._clock = clock
        self._boundary = boundary
        self._records: list[TurnRecord] = []
        self._plan: tuple[PlanItem, ...] = ()
        self._turns = 0
        self._cost_usd = 0.0
        self._omitted = Omitted()
        self._started = 0.0
        self._seconds_before = 0.0

    async def run(self, feedback: str | None = None, *, feedback_id: str = "") -> Ending:
        """See `AgentEngine.run`."""
        await self._load()
        try:
            ending = await self._finish_interrupted()
            if feedback is not None and not already_heard(self._records, feedback_id):
                await self._record_text(feedback, feedback_id)
                ending = None
            while ending is None:
                ending = await self._step()
        except _EndedEarlyError as interruption:
            return interruption.ending
        return ending

    async def _load(self) -> None:
        self._started = self._clock()
        self._records = await self._transcript.load()
        self._seconds_before = sum(record.seconds for record in self._records)
        self._omitted = omitted_at_end(self._records)
        for record in self._records:
            self._count(record)
        if not self._records:
            words = _text(first_message(self._task.assignment, self._boundary()))
            opening = TurnRecord(
                seq=0, role="user", content=[words, *map(_image, self._task.pictures)]
            )
            await self._record(opening)

    async def _finish_interrupted(self) -> Ending | None:
        """Finish what an interrupted run started: calls without results, an unreported ending."""
        if self._records[-1].role == "assistant":
            return await self._answer(self._records[-1])
        return recorded_ending(self._records)

    async def _step(self) -> Ending | None:
        await self._read_messages()
        self._check_budget()
        turn, seconds = await self._ask_model()
        return await self._answer(await self._record_assistant(turn, seconds))

    async def _read_messages(self) -> bool:
        """Record new messages from people; return whether there were any."""
        said = await self._signals.messages()
        new = [each for each in said if not already_heard(self._records, each.id)]
        for each in new:
            words = f"{each.author} wrote while you worked:\n\n{visible_text(each.text)}"
            await self._record_text(words, each.id)
        return bool(new)

    def _check_budget(self) -> None:
        if self._cost_usd >= self._budget.usd:
            raise _EndedEarlyError(BudgetSpent(which="money"))
        if self._seconds_left() <= 0:
            raise _EndedEarlyError(BudgetSpent(which="time"))
        if self._turns >= self._budget.turns:
            raise _EndedEarlyError(BudgetSpent(which="turns"))

    async def _ask_model(self) -> tuple[ModelTurn, float]:
        """One turn and its duration. Compacts a conversation that has become long or does not
        fit."""
        if compaction.is_due(self._records, self._compact_at):
            await self._compact()
        lost: list[Block] = []
        while True:
            began = self._clock()
            try:
                turn = await self._interruptible(self._model.turn(self._request(self._records)))
            except PromptTooLongError:
                await self._compact()
            except StaleThinkingError:
                self._drop_thinking()
            except ModelRefusedRequestError as refusal:
                self._drop_media(refusal)
            else:
                if turn.stop_reason != "model_context_window_exceeded":
                    turn = turn.model_copy(update={"discarded": (*lost, *turn.discarded)})
                    return turn, self._clock() - began
                lost += [turn.usage, *turn.discarded]
                await self._compact()

    def _request(self, records: Sequence[TurnRecord]) -> ModelRequest:
        return ModelRequest(
            model=self._model_id,
            system=SYSTEM_PROMPT,
            tools=TOOLS,
            messages=messages_of(records, self._model_id, self._omitted),
            diligence=self._diligence,
        )

    async def _compact(self) -> None:
        """Record a summary that takes the place of all but the latest turns.

        Where the last thing recorded is a summary already, it keeps less of these turns.
        """
        began = self._clock()
        paid: tuple[Block, ...] = ()
        text = ""
        latest = compaction.latest_summary(self._records)
        if latest and all(each.role == "user" for each in self._records[latest.seq :]):
            summary = compaction.tightened(latest, self._records)
            text = said(latest)
        else:
            summary = compaction.planned(self._records, self._compact_at)
            if summary is not None:
                text, paid = await self._summary(summary)
        if summary is None:
            raise UserError(
                "The conversation does not fit the model's context window.",
                next_step="Open a new issue with a smaller task, or Honk's operator can set "
                "HONK_MODEL to a model with a larger window.",
            )
        costs = [pricing.cost(self._model_id, each) for each in paid]
        omitted = self._omitted.model_copy(update={"thinking": len(self._records)})
        await self._record(
            TurnRecord(
                seq=len(self._records),
                role="user",
                content=[_text(text)],
                usage={
                    "summary": summary.model_dump(),
                    "paid": list(paid),
                    "omitted": omitted.model_dump(),
                },
                cost_usd=sum(each.usd for each in costs),
                seconds=self._clock() - began,
                tokens=_tokens(paid),
            )
        )
        self._omitted = omitted

    async def _summary(self, summary: Compacted) -> tuple[str, tuple[Block, ...]]:
        """The text for the turns that are not kept, and the usage that it cost.

        The request is the conversation as the model knows it, so all of it is read from the cache.
        """
        past = self._records[: summary.keep_from]
        text, paid = "", list[Block]()
        for request in self._summary_requests(past):
            try:
                turn = await self._interruptible(self._model.turn(request))
            except (PromptTooLongError, StaleThinkingError, ModelRefusedRequestError):
                self._summarized_by_the_api = False
                continue
            paid += [turn.usage, *turn.discarded]
            text = _said_in(turn)
            if text:
                break
        return compaction.summary_text(past, text, self._compact_at), tuple(paid)

    def _summary_requests(self, past: Sequence[TurnRecord]) -> Iterator[ModelRequest]:
        """Requests for a summary, each for when the ones before it gave none."""
        if all(record.role == "user" for record in past):
            return
        if self._summarized_by_the_api:
            yield self._request(past).model_copy(update={"summarize": SUMMARIZE})
        asking = TurnRecord(seq=len(past), role="user", content=[_text(SUMMARIZE)])
        yield self._request([*past, asking])

    def _drop_thinking(self) -> None:
        if self._omitted.thinking == len(self._records):
            raise UserError(
                "The model's API no longer accepts the recorded conversation.",
                next_step="Comment `/honk retry` to start over.",
            )
        self._omitted = self._omitted.model_copy(update={"thinking": len(self._records)})

    def _drop_media(self, refusal: ModelRefusedRequestError) -> None:
        """Send the conversation without pictures and documents: the API refuses a broken one, and
        it would refuse it in each later request. Raises the refusal if there is none."""
        if not compaction.has_media(self._records[self._omitted.media :]):
            raise refusal
        self._omitted = Omitted(thinking=len(self._records), media=len(self._records))

    async def _answer(self, record: TurnRecord) -> Ending | None:
        """Handle the model's turn: run its tools, or remind it to use them."""
        if record.stop_reason == "refusal":
            return ModelDeclined(text=str((record.usage or {}).get("refusal", "")))
        if tool_calls(record):
            return await self._run_tools(record)
        if record.stop_reason == "pause_turn":
            return None
        if record.stop_reason == "max_tokens":
            await self._record_text(_CONTINUE)
            return None
        if texts_in_a_row(self._records) <= NUDGES:
            await self._record_text(NUDGE["text"])
            return None
        if await self._read_messages():
            return None
        words = said(record)
        return Done(
            summary="The model's answers were empty." if words == _EMPTY else words,
            not_done="The agent ended without calling finish.",
        )

    async def _run_tools(self, record: TurnRecord) -> Ending | None:
        began = self._clock()
        calls = tool_calls(record)
        results, interruption = await self._execute_all(calls, cut_off_call(record))
        await self._record(
            TurnRecord(
                seq=len(self._records),
                role="user",
                content=results,
                snapshot=await self._snapshot_after(calls),
                seconds=self._clock() - began,
            )
        )
        if interruption is not None:
            raise interruption
        if ending := ending_of(calls, results):
            return None if await self._read_messages() else ending
        await self._report()
        return await self._detect_loop(calls[-1])

    async def _execute_all(
        self, calls: list[ToolCall], cut_off: str | None
    ) -> tuple[list[Block], _EndedEarlyError | None]:
        """Give every call a result, even after an interruption: the API refuses a conversation
        with calls that have none."""
        results: list[Block] = []
        interruption: _EndedEarlyError | None = None
        for group in _groups(calls, cut_off):
            told: list[ToolResult] = []
            if interruption is not None:
                told = [ToolResult("Not executed: the work was interrupted.", is_error=True)]
            elif group[0].id == cut_off:
                told = [ToolResult(_CUT_CALL, is_error=True)]
            elif group[0].name in _ENDINGS and any(r["is_error"] for r in results):
                told = [ToolResult(_NOT_YET, is_error=True)]
            elif group[0].name in _ENDINGS and ending_of(calls, results):
                told = [ToolResult(_ENDED, is_error=True)]
            else:
                try:
                    told = await self._interruptible(self._execute(group))
                except _EndedEarlyError as error:
                    interruption = error
                    told = [ToolResult("Interrupted before it ended.", is_error=True)]
            # What is said once is said of each call of the group.
            told = told if len(told) == len(group) else told * len(group)
            results += map(_result, group, told)
        return results, interruption

    async def _execute(self, group: list[ToolCall]) -> list[ToolResult]:
        if len(group) > 1:
            return await self._tools.read_together(group)
        return [await self._tools.execute(group[0], seconds=self._seconds_left())]

    async def _snapshot_after(self, calls: list[ToolCall]) -> str | None:
        if any(call.name in TOUCHES_THE_TREE for call in calls):
            return await self._task.workspace.snapshot()
        return next((r.snapshot for r in reversed(self._records) if r.snapshot), None)

    async def _detect_loop(self, latest: ToolCall) -> Ending | None:
        count = repeats(self._records)
        if count >= REPEATS_ENDED:
            return Stuck(tool=latest.name, times=count)
        if count >= REPEATS_WARNED:
            await self._record_text(_REPEATED)
        return None

    async def _record_assistant(self, turn: ModelTurn, seconds: float) -> TurnRecord:
        costs = [pricing.cost(self._model_id, each) for each in (turn.usage, *turn.discarded)]
        usage = {
            **turn.usage,
            "model": self._model_id,
            "stop_reason": turn.stop_reason,
            "refusal": turn.refusal,
            "price_known": all(each.known for each in costs),
            "discarded": list(turn.discarded),
        }
        if self._omitted != Omitted():
            usage["omitted"] = self._omitted.model_dump()
        record = TurnRecord(
            seq=len(self._records),
            role="assistant",
            content=_content_to_record(turn),
            usage=usage,
            cost_usd=sum(each.usd for each in costs),
            seconds=seconds,
            tokens=_tokens((turn.usage, *turn.discarded)),
        )
        await self._record(record)
        await self._report()
        return record

    async def _record_text(self, text: str, feedback_id: str = "") -> None:
        usage = {"feedback_id": feedback_id} if feedback_id else None
        await self._record(
            TurnRecord(seq=len(self._records), role="user", content=[_text(text)], usage=usage)
        )

    async def _record(self, record: TurnRecord) -> None:
        await self._transcript.record(record)
        self._records.append(record)
        self._count(record)

    def _count(self, record: TurnRecord) -> None:
        """Keep what progress and budget ask for after each turn: the past is long."""
        self._turns += record.role == "assistant"
        self._cost_usd += record.cost_usd
        plan = plan_in(record)
        self._plan = self._plan if plan is None else plan

    async def _report(self) -> None:
        latest = next(each for each in reversed(self._records) if each.role == "assistant")
        await self._signals.progress(
            Progress(
                turns=self._turns,
                cost_usd=self._cost_usd,
                seconds=self._budget.seconds - self._seconds_left(),
                plan=self._plan,
                doing=tuple(call.name for call in tool_calls(latest)),
                saying=said(latest),
            )
        )

    def _seconds_left(self) -> float:
        used = self._seconds_before + self._clock() - self._started
        return self._budget.seconds - used

    async def _interruptible(self, awaitable: Awaitable[T]) -> T:
        """Await it, or cancel it when a stop or the time limit comes first."""
        task = asyncio.ensure_future(awaitable)
        try:
            while True:
                if await self._signals.should_stop():
                    raise _EndedEarlyError(Stopped())
                if self._seconds_left() <= 0:
                    raise _EndedEarlyError(BudgetSpent(which="time"))
                await asyncio.wait({task}, timeout=POLL_SECONDS)
                if task.done():
                    return task.result()
        finally:
            await _cancelled(task)


async def _cancelled(task: asyncio.Future[T]) -> None:
    """Cancel a task and retrieve its exception, so that asyncio does not warn about it."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


def _groups(calls: Sequence[ToolCall], cut_off: str | None) -> list[list[ToolCall]]:
    """The calls in order; those in a row that only read are one group, which runs together."""
    groups: list[list[ToolCall]] = []
    together = False
    for call in calls:
        reads = call.id != cut_off and reading(call) is not None
        if reads and together:
            groups[-1].append(call)
        else:
            groups.append([call])
        together = reads
    return groups


def _said_in(turn: ModelTurn) -> str:
    """The text of an answer; empty for a refusal."""
    if turn.stop_reason == "refusal":
        return ""
    said = {"text": "text", "compaction": "content"}
    texts = (block.get(said[block["type"]]) for block in turn.content if block["type"] in said)
    return "\n\n".join(text for text in texts if text)


def _content_to_record(turn: ModelTurn) -> list[Block]:
    """The turn's blocks verbatim, without unsigned thinking and empty text, which the API would
    refuse later."""
    content = [block for block in turn.content if not _unusable(block)]
    return content or [_text(_EMPTY)]


def _unusable(block: Block) -> bool:
    unsigned = block["type"] == "thinking" and not block.get("signature")
    return unsigned or (block["type"] == "text" and not block["text"].strip())


def _result(call: ToolCall, result: ToolResult) -> Block:
    media = [_media(result.media, result.data)] if result.media else []
    return {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": [_text(result.text), *media],
        "is_error": result.is_error,
    }


def _text(text: str) -> Block:
    return {"type": "text", "text": text if text.strip() else "(empty)"}


def _tokens(usages: Sequence[Block]) -> dict[str, int]:
    """Tokens used, by kind."""
    return {
        kind: sum(each.get(name) or 0 for each in usages) for kind, name in _KINDS_OF_TOKENS.items()
    }


def _image(picture: Picture) -> Block:
    return _media(picture.media_type, picture.data)


def _media(media_type: str, data: bytes) -> Block:
    """https://docs.claude.com/en/docs/build-with-claude/vision and `/pdf-support`"""
    return {
        "type": "image" if media_type.startswith("image/") else "document",
        "source": {
            "type": "base64",
            "media_type": media_type,
            "data": base64.b64encode(data).decode(),
        },
    }
