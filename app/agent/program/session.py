"""One run of an agent that is a program: it works in its sandbox, and the worker keeps the record.

Each request of the program for a turn waits at the worker's port until everything before it is
recorded: first the results of the latest calls, with the work tree, then, once the model has
answered, its answer. Only then does the program get the answer and run its tools. So the transcript
and the work tree always agree, and the run resumes from them.

Nothing depends on what the program says about itself: the budget, the price and the end of the work
follow from what the model answered and from the calls that reached Honk's own tools.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from app.agent.engine import (
    AgentTask,
    Done,
    Ending,
    ModelDeclined,
    TurnRecord,
    already_heard,
)
from app.agent.engines.anthropic.conversation import (
    ending_of,
    recorded_ending,
    repeats,
    said,
    tool_calls,
)
from app.agent.engines.anthropic.model import (
    ModelRefusedRequestError,
    PromptTooLongError,
    StaleThinkingError,
)
from app.agent.engines.anthropic.recorded_session import (
    EMPTY_ANSWER,
    NUDGES,
    POLL_SECONDS,
    REPEATS_ENDED,
    InterruptedRunError,
    RecordedSession,
    cancelled,
    text_block,
    words_of,
)
from app.agent.engines.anthropic.tools import Toolbox, ToolCall, ToolResult
from app.agent.program.model_port import ModelCall
from app.agent.program.records import (
    Json,
    Notes,
    is_main,
    main_turns,
    named_as_ours,
    results_in,
    without_reminders,
)
from app.agent.program.upstream import Forwarded, Upstream
from app.errors import HonkError, RetryableError, UserError
from app.sandbox.spec import Program

START_SECONDS = 170.0
"""How long the program may take until its first answer, on a busy machine."""

SILENT_SECONDS = 15 * 60.0
"""How long the program may be silent. A command of Claude Code may take ten minutes."""

REFUSALS = 5
"""How many consecutive requests the API may refuse before the run ends."""

_END_SECONDS = 5.0
_BY_HOOK = {"by_hook": True}

_NUDGE = "Continue the work, call finish if it is done, or call ask if you need an answer."
_NOT_YET = (
    "The work goes on: another call in the same turn failed. Look at that first, then call {} "
    "again."
)
_NOT_VERIFIED = (
    "Not accepted yet: you changed something after the last call of verify. Its result now:\n\n"
    "{}\n\nCall finish again if the work is done."
)
RETRY = "Comment `/honk retry`. If it happens again, Honk's operator should run `honk doctor`."


class StopAsked:
    """The program asks whether it may end its turn; the answer says why not, or is empty."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class ProgramEnded:
    """The program's output has ended."""


class Failed:
    """One of our tools failed."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem


class TurnEnded:
    """The program has ended its turn; `problem` is why, if it gave up."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


Event = ModelCall | StopAsked | TurnEnded | ProgramEnded | Failed


class ProgramSession(RecordedSession):
    """One run of one task. `name` is what messages call the program."""

    name: str

    def __init__(
        self,
        upstream: Upstream,
        task: AgentTask,
        *,
        clock: Callable[[], float] = time.monotonic,
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        super().__init__(task, clock=clock, boundary=boundary)
        self._upstream = upstream
        self._tools = Toolbox(task.sandbox, task.workspace)
        self._silent_seconds = silent_seconds
        self._notes = Notes(())
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._accepted: set[str] = set()
        self._open: list[ToolCall] = []
        self._refused: list[HonkError] = []
        self._busy = 0
        self._tree: str | None = None
        self._verified: str | None = None
        self._last_sign = self._answered = 0.0

    async def run(self, feedback: str | None = None, *, feedback_id: str = "") -> Ending:
        """See `AgentEngine.run`."""
        await self._load()
        ending = recorded_ending(main_turns(self._records)) or self._ended_in_words()
        if feedback is not None and not already_heard(self._records, feedback_id):
            self._notes.add(feedback)
            await self._record_text(feedback, feedback_id)
            ending = None
        if ending is not None:
            return ending
        try:
            return await self._work()
        except InterruptedRunError as interruption:
            await self._record_interruption()
            return interruption.ending
        finally:
            await self._stored()

    async def _load(self) -> None:
        await super()._load()
        self._notes = Notes(self._records)
        self._tree, self._verified = _trees(main_turns(self._records))

    # The program

    async def _work(self) -> Ending:
        """Start the program, new or where the transcript ends, and `_serve` it until an ending."""
        raise NotImplementedError

    async def _introduce(self) -> None:
        """Checks of the program before the first request to the model."""

    async def _session_written(self, calls: Sequence[ToolCall]) -> None:
        """Wait until the program has stored what it needs to resume after these calls."""

    def _kept_session(self) -> Json | None:
        """The part of the program's own session that is stored with a record of results."""
        return None

    def _touching(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls may have changed the work tree."""
        raise NotImplementedError

    async def _turn_ended(self, event: TurnEnded) -> Ending | None:
        """The program has ended its turn, but not the work."""
        if self._refused:
            raise _refusal(self._refused[-1])
        if event.problem:
            raise UserError(f"{self.name} gave up{shown(event.problem)}.", next_step=RETRY)
        return _done_in_words(self._last_answer())

    async def _until_started(
        self, connecting: asyncio.Future[Any], program: Program, junk: Callable[[], str]
    ) -> None:
        """Wait until the program speaks its protocol. Raises UserError when it does not."""
        ended = asyncio.ensure_future(program.ended())
        try:
            deadline = self._clock() + START_SECONDS
            while not (connecting.done() or ended.done() or self._clock() > deadline):
                await self._check_interruption()
                waiting = {connecting, ended}
                await asyncio.wait(
                    waiting, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            if connecting.done() and connecting.exception() is not None:
                # Its exit shows up in two places, in either order.
                await asyncio.wait({ended}, timeout=_END_SECONDS)
            if ended.done():
                raise await self._exited(program, junk)
            if not connecting.done():
                raise UserError(
                    f"{self.name} did not answer within {START_SECONDS:.0f} seconds"
                    f"{shown(junk() or program.error_output)}.",
                    next_step=RETRY,
                )
            connecting.result()
        finally:
            await cancelled(connecting)
            await cancelled(ended)

    # Its requests

    async def _serve(self, program: Program, junk: Callable[[], str]) -> Ending:
        """Handle the program's requests until the work ends."""
        self._last_sign = self._clock()
        while True:
            event = await self._next(junk)
            match event:
                case ModelCall():
                    await self._introduce()
                    ending = await (self._turn if is_main(event.body) else self._aside)(event)
                case StopAsked():
                    ending = await self._stop(event)
                case TurnEnded():
                    ending = await self._turn_ended(event)
                case ProgramEnded():
                    raise await self._exited(program, junk)
                case Failed():
                    raise event.problem
            if ending is not None:
                return ending

    async def _next(self, junk: Callable[[], str]) -> Event:
        """The next event. Raises UserError when the program stays silent for too long."""
        waiting = asyncio.ensure_future(self._events.get())
        try:
            while not waiting.done():
                await self._check_interruption()
                silent = self._clock() - self._last_sign
                if silent > self._silent_seconds and not self._busy:
                    raise UserError(
                        f"{self.name} has said nothing for {silent / 60:.0f} minutes"
                        f"{shown(junk())}.",
                        next_step=RETRY,
                    )
                await asyncio.wait({waiting}, timeout=POLL_SECONDS)
            self._last_sign = self._clock()
            return waiting.result()
        finally:
            await cancelled(waiting)

    async def _turn(self, call: ModelCall) -> Ending | None:
        """One turn: record everything before it, ask the model, record its answer."""
        if self._open and (ending := await self._finish_calls(call)):
            return ending
        await self._read_messages()
        self._check_budget()
        answer = await self._ask_model(call, self._notes.added_to(call.body))
        if answer is None:
            return None
        record = await self._record_turn(answer)
        self._open = tool_calls(record)
        self._answered = self._clock()
        _give(call, answer)
        if answer.stop_reason == "refusal":
            return ModelDeclined(text=answer.refusal)
        return None

    async def _aside(self, call: ModelCall) -> None:
        """A request outside the agent's turns: answered, paid and recorded, but not part of the
        work.
        """
        self._check_budget()
        answer = await self._ask_model(call, call.body)
        if answer is not None:
            await self._record_turn(answer, aside=True)
            _give(call, answer)

    async def _finish_calls(self, call: ModelCall) -> Ending | None:
        """Record the results of the latest calls, and see whether they end the work."""
        calls, self._open = self._open, []
        results = results_in(call.body, calls)
        await self._interruptible(self._session_written(calls))
        await self._record_results(calls, results, self._kept_session())
        self._notes.after(results)
        accepted, self._accepted = self._accepted, set()
        ending = ending_of([each for each in calls if each.name in accepted], results)
        if ending is not None and any(each["is_error"] for each in results):
            last = next(each.name for each in calls if each.name in ("ask", "finish"))
            await self._note(_NOT_YET.format(last))
        elif ending is not None:
            return None if await self._read_messages() else ending
        await self._report()
        return await self._end_of_loop(calls[-1], self._repeated())

    async def _ask_model(self, call: ModelCall, body: Json) -> Forwarded | None:
        """Ask the model; None when its API refuses the request; the program gets the refusal."""
        body = {**body, "model": self._model_id}
        try:
            answer = await self._interruptible(
                self._upstream.forward(body, call.betas, call.begun.set)
            )
        except (PromptTooLongError, StaleThinkingError, ModelRefusedRequestError) as refusal:
            self._refused.append(refusal)
            if len(self._refused) >= REFUSALS:
                raise _refusal(refusal) from None
            call.refuse(400, str(refusal))
            return None
        self._refused.clear()
        return answer

    async def _exited(self, program: Program, junk: Callable[[], str]) -> HonkError:
        done = await program.ended()
        if done.killed == "sandbox":
            return RetryableError(f"{self.name}'s sandbox disappeared.")
        how = done.how_it_ended or f"it exited with code {done.exit_code}"
        words = last_line(program) or junk()
        return UserError(
            f"{self.name} ended before the work did: {how}{shown(words)}.", next_step=RETRY
        )

    # Honk's own tools, and the end

    async def _execute(self, name: str, arguments: Json) -> ToolResult:
        """One call of our tools. It runs in a task of the SDK, so its failure is handed over."""
        self._busy += 1
        try:
            if name == "finish" and (verified := await self._verified_now()) is not None:
                return ToolResult(_NOT_VERIFIED.format(verified), is_error=True)
            call = ToolCall("", name, arguments)
            result = await self._tools.execute(call, seconds=self._seconds_left())
        except Exception as problem:
            self._events.put_nowait(Failed(problem))
            raise
        else:
            if result.is_error or name not in ("ask", "finish"):
                return result
            self._accepted.add(name)
            return ToolResult("Received.")
        finally:
            self._busy -= 1
            self._last_sign = self._clock()

    async def _stop(self, asked: StopAsked) -> Ending | None:
        """Decide whether an agent that stops without finish may."""
        words = await self._why_not_stop()
        if not words:
            return _done_in_words(self._last_answer())
        asked.answer.set_result(words)
        return None

    async def _why_not_stop(self) -> str:
        """The message to an agent that stops without finish: from people, or a verification
        result.
        """
        words = await self._read_messages(by_hook=True)
        if not words:
            if self._bare_answers() > NUDGES:
                return ""
            verified = await self._interruptible(self._verified_now())
            words = [_NUDGE] if verified is None else [f"verify says:\n\n{verified}", _NUDGE]
            await self._record_text("\n\n".join(words), more=_BY_HOOK)
        return "\n\n".join(words)

    async def _verified_now(self) -> str | None:
        """The result of verifying the work, unless that was done since the last change."""
        touched = self._touching(self._open)
        if self._task.assignment.mode != "work" or not (touched or self._tree != self._verified):
            return None
        result = await self._tools.execute(ToolCall("", "verify", {}), seconds=0)
        self._verified = self._tree
        return result.text

    def _bare_answers(self) -> int:
        """How many of the latest answers called no tool."""
        count = 0
        for record in reversed(main_turns(self._records)):
            if record.role == "assistant":
                if tool_calls(record):
                    break
                count += 1
            elif not (record.usage or {}).get("by_hook"):
                break
        return count

    def _last_answer(self) -> TurnRecord | None:
        main = main_turns(self._records)
        return next((each for each in reversed(main) if each.role == "assistant"), None)

    def _ended_in_words(self) -> Ending | None:
        """The ending of an attempt whose agent stopped without calling finish."""
        main = main_turns(self._records)
        ended = main[-1].role == "assistant" and self._bare_answers() > NUDGES
        return _done_in_words(main[-1]) if ended else None

    # People, limits and records

    async def _read_messages(self, *, by_hook: bool = False) -> list[str]:
        """Record people's new messages and pass them on; return them."""
        texts = []
        for each in await self._unheard():
            text = words_of(each)
            await self._record_text(text, each.id, _BY_HOOK if by_hook else None)
            texts.append(text)
            if not by_hook:
                self._notes.add(text)
        return texts

    async def _note(self, text: str) -> None:
        await super()._note(text)
        self._notes.add(text)

    def _repeated(self) -> int:
        # Each repetition has two records, and a warning may follow.
        return repeats(without_reminders(main_turns(self._records)[-4 * REPEATS_ENDED :]))

    async def _record_turn(self, answer: Forwarded, *, aside: bool = False) -> TurnRecord:
        content = named_as_ours(answer.content) or [text_block(EMPTY_ANSWER)]
        seconds = self._clock() - self._last_sign
        return await self._record_answer(
            answer, content, seconds, {"aside": True} if aside else None
        )

    async def _record_results(
        self, calls: Sequence[ToolCall], results: list[Json], session: Json | None
    ) -> None:
        record = TurnRecord(
            seq=len(self._records),
            role="user",
            content=results,
            usage=None if session is None else {"session": session},
            snapshot=self._tree,
            seconds=self._clock() - self._answered,
        )
        verified = any(each.name == "verify" for each in calls)

        def stored(record: TurnRecord) -> None:
            self._tree = record.snapshot or self._tree
            self._verified = self._tree if verified else self._verified

        if self._touching(calls):
            await self._record_with_snapshot(record, stored)
        else:
            await self._record(record)
            stored(record)

    async def _record_interruption(self) -> None:
        """Record an interrupted turn's changes to the work tree, after the program has ended."""
        calls, self._open = self._open, []
        if not calls:
            return
        words = [text_block("Interrupted before it ended.")]
        results: list[Json] = [
            {"type": "tool_result", "tool_use_id": each.id, "content": words, "is_error": True}
            for each in calls
        ]
        await self._record_results(calls, results, None)


def _trees(records: Sequence[TurnRecord]) -> tuple[str | None, str | None]:
    """The latest recorded work tree, and the one that was verified last."""
    tree = verified = None
    asked: list[ToolCall] = []
    for record in records:
        if record.role == "assistant":
            asked = tool_calls(record)
        elif record.snapshot is not None:
            tree = record.snapshot
            if any(each.name == "verify" for each in asked):
                verified = tree
    return tree, verified


def _give(call: ModelCall, answer: Forwarded) -> None:
    call.answer(answer.events if call.streamed else [answer.message])


def _done_in_words(record: TurnRecord | None) -> Done:
    words = said(record) if record is not None else ""
    return Done(
        summary=words or "The agent said nothing.",
        not_done="The agent ended without calling finish.",
    )


def _refusal(refusal: HonkError) -> UserError:
    if isinstance(refusal, UserError):
        return refusal
    if isinstance(refusal, PromptTooLongError):
        return UserError(
            "The conversation no longer fits the model's context window.",
            next_step="Open a new issue with a smaller task.",
        )
    return UserError(
        "The model's API no longer accepts the recorded conversation.",
        next_step="Comment `/honk retry` to start over.",
    )


def last_line(program: Program) -> str:
    """The last line that the program wrote to stderr."""
    return program.error_output.strip().rpartition("\n")[2]


def listener_of(program: Program) -> Any:
    assert program.listener is not None
    return program.listener


def shown(words: str) -> str:
    """The program's output, shortened, as the end of a sentence; empty if it printed nothing."""
    line = " ".join(words.split())[:200].rstrip(". ")
    return f" ({line})" if line else ""
