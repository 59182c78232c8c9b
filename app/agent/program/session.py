"""One run of an agent that is a program: it works in its sandbox, and the worker keeps the book.

Each request of the program for a turn of the model waits at the worker's port until what came
before it is recorded: first the results of the latest calls, with the work tree, then, once the
model has answered, its answer. Only then does the program get the answer and run its tools. So
whatever happens, the transcript and the work tree agree, and the run resumes from them.

Nothing that the program says about itself is relied on: the budget, the price and the end of the
work follow from what the model answered and from the calls that reached Honk's own tools.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

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
from app.agent.engines.anthropic import pricing
from app.agent.engines.anthropic.conversation import (
    ending_of,
    plan_in,
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
from app.agent.prompt import first_message
from app.domain.rendered_markdown import visible_text
from app.domain.report import PlanItem
from app.errors import HonkError, RetryableError, UserError
from app.sandbox.spec import Program

POLL_SECONDS = 0.2
"""Seconds between checks for a stop and the time limit during a wait."""

START_SECONDS = 170.0
"""How long the program may take until it answers at all, on a busy machine."""

SILENT_SECONDS = 15 * 60.0
"""How long the program may say and ask nothing. A command of Claude Code may take ten minutes."""

NUDGES = 2
"""How often an agent that stops without calling finish is sent back."""

REPEATS_WARNED = 3
REPEATS_ENDED = 6
"""Consecutive calls with the same input and result before a warning, and before the end."""

REFUSALS = 5
"""How many requests in a row the API may refuse before the run ends."""

_CANCEL_SECONDS = 5.0
_END_SECONDS = 5.0

# https://docs.claude.com/en/api/messages#response-usage
_KINDS_OF_TOKENS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_write": "cache_creation_input_tokens",
    "cache_read": "cache_read_input_tokens",
}

_NUDGE = "Continue the work, call finish if it is done, or call ask if you need an answer."
_NOT_YET = (
    "The work goes on: another call in the same turn failed. Look at that first, then call {} "
    "again."
)
_NOT_VERIFIED = (
    "Not accepted yet: you changed something after the last call of verify. Its result now:\n\n"
    "{}\n\nCall finish again if the work is done."
)
_REPEATED = (
    "You have made the same call several times in a row with the same result. Try something else, "
    "or call finish and say what is missing."
)
RETRY = "Comment `/honk retry`. If it happens again, Honk's operator should run `honk doctor`."


class InterruptedRunError(Exception):
    """A stop or a limit came first."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class StopAsked:
    """The program asks whether it may end its turn; the answer is why not, or nothing."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class ProgramEnded:
    """The program's output has ended."""


class Failed:
    """A tool of ours could not do its work."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem


class TurnEnded:
    """The program has ended its turn; `problem` is why, if it gave up."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


Event = ModelCall | StopAsked | TurnEnded | ProgramEnded | Failed

T = TypeVar("T")


class ProgramSession:
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
        """`boundary` makes the random fence of the first message."""
        self._upstream = upstream
        self._task = task
        self._budget = task.budget
        self._signals = task.signals
        self._model_id = task.model
        self._tools = Toolbox(task.sandbox, task.workspace)
        self._clock = clock
        self._boundary = boundary
        self._silent_seconds = silent_seconds
        self._records: list[TurnRecord] = []
        self._notes = Notes(())
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._accepted: set[str] = set()
        self._open: list[ToolCall] = []
        self._refused: list[HonkError] = []
        self._busy = 0
        self._plan: tuple[PlanItem, ...] = ()
        self._tree: str | None = None
        self._verified: str | None = None
        self._last_sign = self._answered = self._started = 0.0
        self._seconds_before = 0.0

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

    async def _load(self) -> None:
        self._started = self._clock()
        self._records = await self._task.transcript.load()
        self._seconds_before = sum(record.seconds for record in self._records)
        self._notes = Notes(self._records)
        self._tree, self._verified = _trees(main_turns(self._records))
        for record in self._records:
            self._take_plan(record)
        if not self._records:
            words = {
                "type": "text",
                "text": first_message(self._task.assignment, self._boundary()),
            }
            content = [words, *map(_image, self._task.pictures)]
            await self._record(TurnRecord(seq=0, role="user", content=content))

    # The program

    async def _work(self) -> Ending:
        """Start the program, new or where the transcript ends, and `_serve` it until an ending."""
        raise NotImplementedError

    async def _introduce(self) -> None:
        """What has to be known of the program before the model is asked anything."""

    async def _session_written(self, calls: Sequence[ToolCall]) -> None:
        """Wait until the program has kept what it needs to resume after these calls."""

    def _kept_session(self) -> Json | None:
        """What a record of results keeps of the program's own session."""
        return None

    def _touching(self, calls: Sequence[ToolCall]) -> bool:
        """Whether these calls may have changed the work tree."""
        raise NotImplementedError

    async def _turn_ended(self, event: TurnEnded) -> Ending | None:
        """The program has ended its turn, though nothing has ended the work."""
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
                # Its end is seen in two places, in either order.
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
        """Handle what the program asks until the work ends."""
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
        """One turn: record what came before it, ask the model, record its answer."""
        if self._open and (ending := await self._finish_calls(call)):
            return ending
        await self._read_messages()
        self._check_budget()
        answer = await self._ask_model(call, self._notes.added_to(call.body))
        if answer is None:
            return None
        record = await self._record_answer(answer)
        self._open = tool_calls(record)
        self._answered = self._clock()
        _give(call, answer)
        if answer.stop_reason == "refusal":
            return ModelDeclined(text=answer.refusal)
        return None

    async def _aside(self, call: ModelCall) -> None:
        """A request beside the agent's turns: answered, paid and recorded, no part of the work."""
        self._check_budget()
        answer = await self._ask_model(call, call.body)
        if answer is not None:
            await self._record_answer(answer, aside=True)
            _give(call, answer)

    async def _finish_calls(self, call: ModelCall) -> Ending | None:
        """Record the results of the latest calls, and see whether they end the work."""
        calls, self._open = self._open, []
        results = results_in(call.body, calls)
        tree = await self._interruptible(self._after_tools(calls))
        await self._record_results(calls, results, tree, session=True)
        self._notes.after(results)
        accepted, self._accepted = self._accepted, set()
        ending = ending_of([each for each in calls if each.name in accepted], results)
        if ending is not None and any(each["is_error"] for each in results):
            last = next(each.name for each in calls if each.name in ("ask", "finish"))
            await self._note(_NOT_YET.format(last))
        elif ending is not None:
            return None if await self._read_messages() else ending
        await self._report()
        return await self._detect_loop(calls[-1])

    async def _after_tools(self, calls: Sequence[ToolCall]) -> str | None:
        """The work tree as the calls left it, once the program has kept its own session."""
        if self._touching(calls):
            snapshot, _ = await asyncio.gather(
                self._task.workspace.snapshot(), self._session_written(calls)
            )
            return snapshot
        await self._session_written(calls)
        return self._tree

    async def _ask_model(self, call: ModelCall, body: Json) -> Forwarded | None:
        """Ask the model; None when its API refuses the request, which the program is told."""
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
            return RetryableError(f"{self.name}'s sandbox went away.")
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
        """What an agent that stops without finish is sent back with: people's words, or verify."""
        words = await self._read_messages(by_hook=True)
        if not words:
            if self._bare_answers() > NUDGES:
                return ""
            verified = await self._interruptible(self._verified_now())
            words = [_NUDGE] if verified is None else [f"verify says:\n\n{verified}", _NUDGE]
            await self._record_text("\n\n".join(words), by_hook=True)
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
        heard = await self._signals.messages()
        new = [each for each in heard if not already_heard(self._records, each.id)]
        texts = []
        for each in new:
            text = f"{each.author} wrote while you worked:\n\n{visible_text(each.text)}"
            await self._record_text(text, each.id, by_hook=by_hook)
            texts.append(text)
            if not by_hook:
                self._notes.add(text)
        return texts

    async def _note(self, text: str) -> None:
        await self._record_text(text)
        self._notes.add(text)

    def _check_budget(self) -> None:
        turns = sum(record.role == "assistant" for record in self._records)
        if sum(record.cost_usd for record in self._records) >= self._budget.usd:
            raise InterruptedRunError(BudgetSpent(which="money"))
        if self._seconds_left() <= 0:
            raise InterruptedRunError(BudgetSpent(which="time"))
        if turns >= self._budget.turns:
            raise InterruptedRunError(BudgetSpent(which="turns"))

    async def _detect_loop(self, latest: ToolCall) -> Ending | None:
        # Each repetition has two records, and a warning may follow.
        latest_turns = main_turns(self._records)[-4 * REPEATS_ENDED :]
        count = repeats(without_reminders(latest_turns))
        if count >= REPEATS_ENDED:
            return Stuck(tool=latest.name, times=count)
        if count >= REPEATS_WARNED:
            await self._note(_REPEATED)
        return None

    async def _record_answer(self, answer: Forwarded, *, aside: bool = False) -> TurnRecord:
        usages = (answer.usage, *answer.discarded)
        costs = [pricing.cost(self._model_id, each) for each in usages]
        usage = {
            **answer.usage,
            "model": self._model_id,
            "stop_reason": answer.stop_reason,
            "refusal": answer.refusal,
            "price_known": all(each.known for each in costs),
            "discarded": list(answer.discarded),
        }
        if aside:
            usage["aside"] = True
        record = TurnRecord(
            seq=len(self._records),
            role="assistant",
            content=named_as_ours(answer.content) or [{"type": "text", "text": "(empty answer)"}],
            usage=usage,
            cost_usd=sum(each.usd for each in costs),
            seconds=self._clock() - self._last_sign,
            tokens={
                kind: sum(each.get(name) or 0 for each in usages)
                for kind, name in _KINDS_OF_TOKENS.items()
            },
        )
        await self._record(record)
        await self._report()
        return record

    async def _record_results(
        self, calls: Sequence[ToolCall], results: list[Json], tree: str | None, *, session: bool
    ) -> None:
        usage = None
        if session:
            kept = self._kept_session()
            usage = None if kept is None else {"session": kept}
        record = TurnRecord(
            seq=len(self._records),
            role="user",
            content=results,
            usage=usage,
            snapshot=tree,
            seconds=self._clock() - self._answered,
        )
        await self._record(record)
        self._tree = tree or self._tree
        if any(each.name == "verify" for each in calls):
            self._verified = self._tree

    async def _record_interruption(self) -> None:
        """Keep what an interrupted turn did to the work tree. The program is gone by now."""
        calls, self._open = self._open, []
        if not calls:
            return
        words = [{"type": "text", "text": "Interrupted before it ended."}]
        results: list[Json] = [
            {"type": "tool_result", "tool_use_id": each.id, "content": words, "is_error": True}
            for each in calls
        ]
        tree = await self._task.workspace.snapshot() if self._touching(calls) else self._tree
        await self._record_results(calls, results, tree, session=False)

    async def _record_text(
        self, text: str, feedback_id: str = "", *, by_hook: bool = False
    ) -> None:
        usage: Json = {"feedback_id": feedback_id} if feedback_id else {}
        if by_hook:
            usage["by_hook"] = True
        content = [{"type": "text", "text": text if text.strip() else "(empty)"}]
        await self._record(
            TurnRecord(seq=len(self._records), role="user", content=content, usage=usage or None)
        )

    async def _record(self, record: TurnRecord) -> None:
        await self._task.transcript.record(record)
        self._records.append(record)
        self._take_plan(record)

    def _take_plan(self, record: TurnRecord) -> None:
        plan = plan_in(record)
        self._plan = self._plan if plan is None else plan

    async def _report(self) -> None:
        main = main_turns(self._records)
        latest = next((each for each in reversed(main) if each.role == "assistant"), None)
        await self._signals.progress(
            Progress(
                turns=sum(each.role == "assistant" for each in self._records),
                cost_usd=sum(each.cost_usd for each in self._records),
                seconds=self._budget.seconds - self._seconds_left(),
                plan=self._plan,
                doing=tuple(call.name for call in tool_calls(latest)) if latest else (),
                saying=said(latest) if latest else "",
            )
        )

    def _seconds_left(self) -> float:
        used = self._seconds_before + self._clock() - self._started
        return self._budget.seconds - used

    async def _check_interruption(self) -> None:
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
    """What the CLI said, short, as the end of a sentence; nothing if it said nothing."""
    line = " ".join(words.split())[:200].rstrip(". ")
    return f" ({line})" if line else ""


async def cancelled(task: asyncio.Future[Any] | None) -> None:
    """Cancel a task and retrieve its exception, so that asyncio does not warn about it."""
    if task is None or task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


def _image(picture: Picture) -> Json:
    """https://docs.claude.com/en/docs/build-with-claude/vision"""
    return {
        "type": "image",
        "source": {
            "type": "base64",
            "media_type": picture.media_type,
            "data": base64.b64encode(picture.data).decode(),
        },
    }
