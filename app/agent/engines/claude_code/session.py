"""One run's session of Claude Code: the CLI works in its sandbox, and the worker keeps the book.

Each request of the CLI for a turn of the model waits at the worker's port until what came before it
is recorded: first the results of the latest calls, with the work tree, then, once the model has
answered, its answer. Only then does the CLI get the answer and run its tools. So whatever happens,
the transcript and the CLI's own session in it agree, and the run resumes from both.

Nothing that the CLI says about itself is relied on: the budget, the price and the end of the work
follow from what the model answered and from the calls that reached Honk's own tools.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ClaudeSDKClient,
    ClaudeSDKError,
    HookMatcher,
    ResultMessage,
    SystemMessage,
)

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
from app.agent.engines.claude_code import cli
from app.agent.engines.claude_code.model_port import ModelCall, ModelPort
from app.agent.engines.claude_code.records import (
    TOUCHES_THE_TREE,
    Json,
    Notes,
    is_main,
    main_turns,
    named_as_ours,
    names_results,
    results_in,
    session_of,
    without_reminders,
)
from app.agent.engines.claude_code.tools import OWN, own_tools
from app.agent.engines.claude_code.transport import SandboxTransport
from app.agent.engines.claude_code.upstream import Forwarded, Upstream
from app.agent.prompt import SYSTEM_PROMPT, first_message
from app.domain.rendered_markdown import visible_text
from app.domain.report import PlanItem
from app.errors import HonkError, RetryableError, UserError
from app.sandbox.spec import Program

POLL_SECONDS = 0.2
"""Seconds between checks for a stop and the time limit during a wait."""

START_SECONDS = 170.0
"""How long the CLI may take until it answers at all. It is large, and the machine may be busy."""

SILENT_SECONDS = 15 * 60.0
"""How long the CLI may say and ask nothing while it has the word; its commands take ten minutes."""

SESSION_SECONDS = 20.0
"""How long the CLI may take to write its session after a turn."""

SESSION_BYTES = 64 << 20
"""How much the CLI may write to its session in one turn."""

NUDGES = 2
"""How often an agent that stops without calling finish is sent back."""

REPEATS_WARNED = 3
REPEATS_ENDED = 6
"""Consecutive calls with the same input and result before a warning, and before the end."""

REFUSALS = 5
"""How many requests in a row the API may refuse before the run ends."""

_HOOK_SECONDS = 86_400.0
_CANCEL_SECONDS = 5.0

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
_RETRY = "Comment `/honk retry`. If it happens again, Honk's operator should run `honk doctor`."


class _InterruptedError(Exception):
    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class _StopAsked:
    """The CLI asks whether it may end its turn; the answer is why not, or nothing."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class _ProgramEnded:
    """The CLI's output has ended."""


class _Failed:
    """A tool of ours could not do its work."""

    def __init__(self, problem: Exception) -> None:
        self.problem = problem


class _TurnEnded:
    """The CLI has ended its turn; `problem` is why, if it gave up."""

    def __init__(self, problem: str) -> None:
        self.problem = problem


Event = ModelCall | _StopAsked | _TurnEnded | _ProgramEnded | _Failed

T = TypeVar("T")


class ClaudeCodeSession:
    """One run of one task.

    `boundary` makes the random fence of the first message; `arguments` and `environment` make the
    CLI's command line and its variables.
    """

    def __init__(
        self,
        upstream: Upstream,
        path: Path,
        task: AgentTask,
        *,
        clock: Callable[[], float] = time.monotonic,
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
        arguments: Callable[..., list[str]] = cli.arguments,
        environment: Callable[[str], dict[str, str]] = cli.environment,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self._upstream = upstream
        self._path = path
        self._task = task
        self._budget = task.budget
        self._signals = task.signals
        self._model_id = task.model
        self._tools = Toolbox(task.sandbox, task.workspace)
        self._clock = clock
        self._boundary = boundary
        self._arguments = arguments
        self._environment = environment
        self._silent_seconds = silent_seconds
        self._records: list[TurnRecord] = []
        self._notes = Notes(())
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._entries: list[Any] = []
        self._entry_bytes = 0
        self._entered = asyncio.Event()
        self._session: str | None = None
        self._introduced = asyncio.Event()
        self._version = ""
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
        except _InterruptedError as interruption:
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

    # The CLI

    async def _work(self) -> Ending:
        """Start the CLI, new or from the recorded session, and serve it until an ending."""
        recorded = session_of(self._records)
        words = self._arguments(
            self._model_id,
            instructions=SYSTEM_PROMPT,
            own_tools=OWN,
            resume=recorded[0] if recorded else None,
        )
        stored = b""
        if recorded is not None:
            stored = "".join(json.dumps(each) + "\n" for each in recorded[1]).encode()
            words = cli.restoring(recorded[0], len(stored), words)
        async with (
            self._task.programs(
                words,
                mounts=(cli.mount(self._path),),
                environment=self._environment(self._model_id),
                worker_port=cli.PORT,
            ) as program,
            ModelPort(_listener(program), self._events),
        ):
            transport = SandboxTransport(program, stored, self._mirrored)
            client = ClaudeSDKClient(self._options(), transport)
            reader: asyncio.Task[None] | None = None
            try:
                await self._connect(client, program, transport)
                reader = asyncio.create_task(self._read(client))
                if recorded is None:
                    await client.query(self._opening())
                return await self._serve(program, transport)
            finally:
                await _cancelled(reader)
                await client.disconnect()

    def _options(self) -> ClaudeAgentOptions:
        """What the SDK does on our side. The CLI's own options are on its command line."""
        return ClaudeAgentOptions(
            mcp_servers={cli.SERVER: own_tools(self._execute)},
            hooks={"Stop": [HookMatcher(hooks=[self._may_stop], timeout=_HOOK_SECONDS)]},
            setting_sources=[],
            # The assignment has the words of others: nothing in it is a command or a mention.
            verbatim_prompts=True,
        )

    async def _connect(
        self, client: ClaudeSDKClient, program: Program, transport: SandboxTransport
    ) -> None:
        """Wait until the CLI speaks the protocol. Raises UserError when it does not."""
        # The SDK has no other way to say how long it waits for the CLI's first answer.
        os.environ.setdefault("CLAUDE_CODE_STREAM_CLOSE_TIMEOUT", f"{2000 * START_SECONDS:.0f}")
        connecting = asyncio.ensure_future(client.connect())
        ended = asyncio.ensure_future(program.ended())
        try:
            deadline = self._clock() + START_SECONDS
            while not (connecting.done() or ended.done() or self._clock() > deadline):
                await self._check_interruption()
                waiting = {connecting, ended}
                await asyncio.wait(
                    waiting, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            if ended.done():
                raise await self._exited(program, transport)
            if not connecting.done():
                raise UserError(
                    f"Claude Code did not answer within {START_SECONDS:.0f} seconds"
                    f"{_shown(transport.junk or program.error_output)}.",
                    next_step=_RETRY,
                )
            connecting.result()
        finally:
            await _cancelled(connecting)
            await _cancelled(ended)

    async def _opening(self) -> AsyncIterator[Json]:
        """The first message, with what people said before there was a session."""
        yield {
            "type": "user",
            "message": {"role": "user", "content": list(self._records[0].content)},
            "parent_tool_use_id": None,
        }

    async def _read(self, client: ClaudeSDKClient) -> None:
        """Follow what the CLI says until its output ends."""
        try:
            async for message in client.receive_messages():
                self._last_sign = self._clock()
                if isinstance(message, SystemMessage) and message.subtype == "init":
                    self._version = str(message.data.get("claude_code_version", ""))
                    self._introduced.set()
                elif isinstance(message, ResultMessage):
                    problem = str(message.result or message.subtype) if message.is_error else ""
                    self._events.put_nowait(_TurnEnded(problem))
        except ClaudeSDKError as problem:
            words = _shown(str(problem))
            self._events.put_nowait(
                _Failed(
                    UserError(f"Claude Code said what cannot be read{words}.", next_step=_RETRY)
                )
            )
        except UserError as problem:
            self._events.put_nowait(_Failed(problem))
        self._events.put_nowait(_ProgramEnded())

    def _mirrored(self, path: str, entries: list[Any]) -> None:
        """Take what the CLI wrote to its session."""
        if (session := cli.session_in(path)) is not None:
            self._session = session
            self._entries += entries
            self._entry_bytes += len(json.dumps(entries))
            self._entered.set()

    # Its requests

    async def _serve(self, program: Program, transport: SandboxTransport) -> Ending:
        """Handle what the CLI asks until the work ends."""
        self._last_sign = self._clock()
        while True:
            event = await self._next(transport)
            match event:
                case ModelCall():
                    await self._introduce()
                    ending = await (self._turn if is_main(event.body) else self._aside)(event)
                case _StopAsked():
                    ending = await self._stop(event)
                case _TurnEnded():
                    ending = self._turn_ended(event)
                case _ProgramEnded():
                    raise await self._exited(program, transport)
                case _Failed():
                    raise event.problem
            if ending is not None:
                return ending

    async def _next(self, transport: SandboxTransport) -> Event:
        """The next event. Raises UserError when the CLI stays silent for too long."""
        waiting = asyncio.ensure_future(self._events.get())
        try:
            while not waiting.done():
                await self._check_interruption()
                silent = self._clock() - self._last_sign
                if silent > self._silent_seconds and not self._busy:
                    raise UserError(
                        f"Claude Code has said nothing for {silent / 60:.0f} minutes"
                        f"{_shown(transport.junk)}.",
                        next_step=_RETRY,
                    )
                await asyncio.wait({waiting}, timeout=POLL_SECONDS)
            self._last_sign = self._clock()
            return waiting.result()
        finally:
            await _cancelled(waiting)

    async def _introduce(self) -> None:
        """Check the CLI's version before the model is asked anything."""
        if not self._introduced.is_set():
            await self._interruptible(asyncio.wait_for(self._introduced.wait(), START_SECONDS))
        if self._version != cli.VERSION:
            raise UserError(
                f"This is Claude Code {self._version[:20] or 'of an unknown version'}; Honk works "
                f"with {cli.VERSION}.",
                next_step="Honk's operator must unset HONK_CLAUDE_CODE_PATH, or set it to that "
                "version.",
            )

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
        ending = ending_of(calls, results)
        if ending is not None and any(each["is_error"] for each in results):
            last = next(each.name for each in calls if each.name in ("ask", "finish"))
            await self._note(_NOT_YET.format(last))
        elif ending is not None:
            return None if await self._read_messages() else ending
        await self._report()
        return await self._detect_loop(calls[-1])

    async def _after_tools(self, calls: Sequence[ToolCall]) -> str | None:
        """The work tree as the calls left it, once the CLI has written their results down."""
        if any(each.name in TOUCHES_THE_TREE for each in calls):
            snapshot, _ = await asyncio.gather(
                self._task.workspace.snapshot(), self._session_written(calls)
            )
            return snapshot
        await self._session_written(calls)
        return self._tree

    async def _session_written(self, calls: Sequence[ToolCall]) -> None:
        try:
            async with asyncio.timeout(SESSION_SECONDS):
                while not names_results(self._entries, {each.id for each in calls}):
                    self._entered.clear()
                    await self._entered.wait()
        except TimeoutError:
            raise RetryableError("Claude Code did not write its session.") from None
        if self._entry_bytes > SESSION_BYTES:
            raise UserError(
                "Claude Code's session grew by more than a run can keep.", next_step=_RETRY
            )

    async def _ask_model(self, call: ModelCall, body: Json) -> Forwarded | None:
        """Ask the model; None when its API refuses the request, which the CLI is told."""
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

    def _turn_ended(self, event: _TurnEnded) -> Ending:
        """The CLI has ended its turn, though nothing has ended the work."""
        if self._refused:
            raise _refusal(self._refused[-1])
        if event.problem:
            raise UserError(f"Claude Code gave up{_shown(event.problem)}.", next_step=_RETRY)
        return _done_in_words(self._last_answer())

    async def _exited(self, program: Program, transport: SandboxTransport) -> HonkError:
        done = await program.ended()
        if done.killed == "sandbox":
            return RetryableError("Claude Code's sandbox went away.")
        how = done.how_it_ended or f"it exited with code {done.exit_code}"
        words = program.error_output.strip().rpartition("\n")[2] or transport.junk
        return UserError(
            f"Claude Code ended before the work did: {how}{_shown(words)}.", next_step=_RETRY
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
            self._events.put_nowait(_Failed(problem))
            raise
        else:
            ends = name in ("ask", "finish") and not result.is_error
            return ToolResult("Received.") if ends else result
        finally:
            self._busy -= 1
            self._last_sign = self._clock()

    async def _may_stop(self, *_: object) -> dict[str, Any]:
        """The Stop hook, in a task of the SDK: the run decides."""
        asked = _StopAsked()
        self._events.put_nowait(asked)
        reason = await asked.answer
        return {"decision": "block", "reason": reason} if reason else {}

    async def _stop(self, asked: _StopAsked) -> Ending | None:
        """Send an agent back that stops without finish: to people's words, or to verify."""
        words = await self._read_messages(by_hook=True)
        if not words:
            if self._bare_answers() > NUDGES:
                return _done_in_words(self._last_answer())
            verified = await self._interruptible(self._verified_now())
            words = [_NUDGE] if verified is None else [f"verify says:\n\n{verified}", _NUDGE]
            await self._record_text("\n\n".join(words), by_hook=True)
        asked.answer.set_result("\n\n".join(words))
        return None

    async def _verified_now(self) -> str | None:
        """The result of verifying the work, unless that was done since the last change."""
        touched = any(each.name in TOUCHES_THE_TREE for each in self._open)
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
            raise _InterruptedError(BudgetSpent(which="money"))
        if self._seconds_left() <= 0:
            raise _InterruptedError(BudgetSpent(which="time"))
        if turns >= self._budget.turns:
            raise _InterruptedError(BudgetSpent(which="turns"))

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
            usage = {"session": {"id": self._session, "entries": self._entries}}
            self._entries, self._entry_bytes = [], 0
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
        """Keep what an interrupted turn did to the work tree. The CLI is gone by now."""
        calls, self._open = self._open, []
        if not calls:
            return
        words = [{"type": "text", "text": "Interrupted before it ended."}]
        results: list[Json] = [
            {"type": "tool_result", "tool_use_id": each.id, "content": words, "is_error": True}
            for each in calls
        ]
        touched = any(each.name in TOUCHES_THE_TREE for each in calls)
        tree = await self._task.workspace.snapshot() if touched else self._tree
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
            raise _InterruptedError(Stopped())
        if self._seconds_left() <= 0:
            raise _InterruptedError(BudgetSpent(which="time"))

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
            await _cancelled(task)


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


def _listener(program: Program) -> Any:
    assert program.listener is not None
    return program.listener


def _shown(words: str) -> str:
    """What the CLI said, short, as the end of a sentence; nothing if it said nothing."""
    line = " ".join(words.split())[:200].rstrip(".")
    return f" ({line})" if line else ""


async def _cancelled(task: asyncio.Future[Any] | None) -> None:
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
