"""The agent's loop: run, step, answer.

A model's turn is recorded before its tools run, and the results before the next request. So the
next `run` can always resume from the transcript: calls without results are executed again, after
the caller has reset the work tree to the last snapshot.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence

from app.agent.engine import (
    AgentTask,
    Done,
    Ending,
    ModelDeclined,
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
from app.agent.engines.anthropic.recorded_session import (
    EMPTY_ANSWER,
    NUDGES,
    InterruptedRunError,
    RecordedSession,
    media_block,
    text_block,
    tokens_in,
    words_of,
)
from app.agent.engines.anthropic.tools import (
    TOOLS,
    Toolbox,
    ToolCall,
    ToolResult,
    reading,
    touches_the_tree,
)
from app.agent.prompt import SUMMARIZE, SYSTEM_PROMPT
from app.errors import UserError

_ENDINGS = ("finish", "ask")
_CONTINUE = "Your answer was cut off at its token limit. Continue from there, in smaller pieces."
_CUT_CALL = "This call was cut off at the token limit and was not executed. Send a shorter one."
_ENDED = (
    "Not accepted: an earlier call of this turn ended the work. Put everything into one call; all "
    "questions into one ask."
)
_NOT_YET = "Not accepted: another call in the same turn failed. Look at that first."


class AgentSession(RecordedSession):
    """Honk's own loop on one task.

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
        super().__init__(task, clock=clock, boundary=boundary)
        self._model = model
        self._diligence = diligence
        self._summarized_by_the_api = windows.summarized_by_the_api(task.model)
        self._compact_at = compact_at or windows.compact_at(task.model)
        self._tools = Toolbox(task.sandbox, task.workspace, characters=self._compact_at // 2)
        self._omitted = Omitted()

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
        except InterruptedRunError as interruption:
            return interruption.ending
        finally:
            await self._stored()
        return ending

    async def _load(self) -> None:
        await super()._load()
        self._omitted = omitted_at_end(self._records)

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
        new = await self._unheard()
        for each in new:
            await self._record_text(words_of(each), each.id)
        return bool(new)

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
        """Record a summary that replaces all but the latest turns.

        If the last record is already a summary, the new one keeps fewer of these turns.
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
                content=[text_block(text)],
                usage={
                    "summary": summary.model_dump(),
                    "paid": list(paid),
                    "omitted": omitted.model_dump(),
                },
                cost_usd=sum(each.usd for each in costs),
                seconds=self._clock() - began,
                tokens=tokens_in(paid),
            )
        )
        self._omitted = omitted

    async def _summary(self, summary: Compacted) -> tuple[str, tuple[Block, ...]]:
        """The summary of the turns that are not kept, and its usage.

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
        """Requests for a summary, each a fallback for the one before it."""
        if all(record.role == "user" for record in past):
            return
        if self._summarized_by_the_api:
            yield self._request(past).model_copy(update={"summarize": SUMMARIZE})
        asking = TurnRecord(seq=len(past), role="user", content=[text_block(SUMMARIZE)])
        yield self._request([*past, asking])

    def _drop_thinking(self) -> None:
        if self._omitted.thinking == len(self._records):
            raise UserError(
                "The model's API no longer accepts the recorded conversation.",
                next_step="Comment `/honk retry` to start over.",
            )
        self._omitted = self._omitted.model_copy(update={"thinking": len(self._records)})

    def _drop_media(self, refusal: ModelRefusedRequestError) -> None:
        """Send the conversation without images and documents: the API refuses a broken one, and
        would refuse it in each later request. Raises the refusal if there are none.
        """
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
            summary="The model's answers were empty." if words == EMPTY_ANSWER else words,
            not_done="The agent ended without calling finish.",
        )

    async def _run_tools(self, record: TurnRecord) -> Ending | None:
        began = self._clock()
        calls = tool_calls(record)
        results, interruption = await self._execute_all(calls, cut_off_call(record))
        record = TurnRecord(
            seq=len(self._records),
            role="user",
            content=results,
            snapshot=self._latest_snapshot(),
            seconds=self._clock() - began,
        )
        if any(map(touches_the_tree, calls)):
            await self._record_with_snapshot(record)
        else:
            await self._record(record)
        if interruption is not None:
            raise interruption
        if ending := ending_of(calls, results):
            return None if await self._read_messages() else ending
        await self._report()
        return await self._end_of_loop(calls[-1], repeats(self._records))

    async def _execute_all(
        self, calls: list[ToolCall], cut_off: str | None
    ) -> tuple[list[Block], InterruptedRunError | None]:
        """Give every call a result, even after an interruption: the API refuses a conversation
        with calls that have none."""
        results: list[Block] = []
        interruption: InterruptedRunError | None = None
        for group in _groups(calls, cut_off):
            answers: list[ToolResult] = []
            if interruption is not None:
                answers = [ToolResult("Not executed: the work was interrupted.", is_error=True)]
            elif group[0].id == cut_off:
                answers = [ToolResult(_CUT_CALL, is_error=True)]
            elif group[0].name in _ENDINGS and any(r["is_error"] for r in results):
                answers = [ToolResult(_NOT_YET, is_error=True)]
            elif group[0].name in _ENDINGS and ending_of(calls, results):
                answers = [ToolResult(_ENDED, is_error=True)]
            else:
                try:
                    answers = await self._interruptible(self._execute(group))
                except InterruptedRunError as error:
                    interruption = error
                    answers = [ToolResult("Interrupted before it ended.", is_error=True)]
            # A message about one call applies to each call of the group.
            answers = answers if len(answers) == len(group) else answers * len(group)
            results += map(_result, group, answers)
        return results, interruption

    async def _execute(self, group: list[ToolCall]) -> list[ToolResult]:
        if len(group) > 1:
            return await self._tools.read_together(group)
        return [await self._tools.execute(group[0], seconds=self._seconds_left())]

    def _latest_snapshot(self) -> str | None:
        return next((r.snapshot for r in reversed(self._records) if r.snapshot), None)

    async def _record_assistant(self, turn: ModelTurn, seconds: float) -> TurnRecord:
        omitted = None if self._omitted == Omitted() else {"omitted": self._omitted.model_dump()}
        return await self._record_answer(turn, _content_to_record(turn), seconds, omitted)


def _groups(calls: Sequence[ToolCall], cut_off: str | None) -> list[list[ToolCall]]:
    """The calls in order; consecutive read-only ones form a group, which runs concurrently."""
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
    return content or [text_block(EMPTY_ANSWER)]


def _unusable(block: Block) -> bool:
    unsigned = block["type"] == "thinking" and not block.get("signature")
    return unsigned or (block["type"] == "text" and not block["text"].strip())


def _result(call: ToolCall, result: ToolResult) -> Block:
    media = [media_block(result.media, result.data)] if result.media else []
    return {
        "type": "tool_result",
        "tool_use_id": call.id,
        "content": [text_block(result.text), *media],
        "is_error": result.is_error,
    }
