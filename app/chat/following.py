"""Showing runs in the threads that asked for them.

What Slack shows follows from the database, so it is brought up to date whenever Slack is reachable,
and a run never waits for Slack.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from app import log_events
from app.chat.answers import LIVE_SECONDS, thread_prefix
from app.chat.api import CANNOT_POST, SlackRefusedError
from app.chat.asking import Asking, status_key, subject_of
from app.chat.clicking import ButtonValue
from app.chat.posting import Poster
from app.chat.readers import is_direct
from app.domain.command import COMMANDS
from app.domain.run import run_id, subject_key
from app.domain.values import RepoName
from app.errors import HonkError, RetryableError
from app.messages import slack as texts
from app.messages.slack import MERGE, ChatMessage
from app.runs.steps.progress import status_context
from app.store.database import now
from app.store.runs import RunRow
from app.store.slack import SlackThread

log = structlog.get_logger()

POLL_SECONDS = 1.0
_AT_ONCE = 8
_RETRY_SECONDS = 600.0
"""How long a thread stays live while Slack is away, renewed at each look."""

_PAUSE_SECONDS = 5.0
_AFTER_SECONDS = 1200.0
"""How long after its last run a thread is looked at: a deployment may take that long."""

_SELDOM_SECONDS = 10.0
_READERS_SECONDS = 30.0


@dataclass
class Following:
    """Shows runs in threads, on one worker at a time."""

    asking: Asking
    poster: Poster
    _paused: dict[str, float] = field(default_factory=dict)
    _readers: dict[tuple[str, bool], tuple[bool, float]] = field(default_factory=dict)
    _looked: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    async def keep_following(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                async with self.asking.services.database.alone("slack following") as ours:
                    if ours:
                        await self.follow()
            except HonkError as problem:
                log.warning(log_events.SLACK_NOT_SHOWN, why=str(problem))
            await asyncio.sleep(POLL_SECONDS)

    async def follow(self) -> None:
        """Bring every live thread up to date. Raises RetryableError when the database is away."""
        await self._wake()
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(thread: SlackThread) -> None:
            async with gate:
                await self._show_or_pause(thread)

        threads = await self.asking.store.live_threads()
        await asyncio.gather(*(one(thread) for thread in threads if self._is_due(thread)))
        live = {(thread.channel, thread.thread) for thread in threads}
        self._looked = {key: each for key, each in self._looked.items() if key in live}

    def _is_due(self, thread: SlackThread) -> bool:
        """Threads without a live run are looked at less often, unless something was said there."""
        at, until = self._looked.get((thread.channel, thread.thread), (0.0, 0.0))
        return until != thread.live_until or time.monotonic() >= at

    async def _wake(self) -> None:
        """Threads with a live run are live, even if the run was asked for on GitHub."""
        alive = await self.asking.services.runs.subjects_alive()
        if not alive:
            return
        for thread in await self.asking.store.threads_about(set(alive)):
            if thread.live_until < now() + LIVE_SECONDS / 2:
                await self.asking.store.change_thread(thread, live_until=now() + LIVE_SECONDS)

    async def _show_or_pause(self, thread: SlackThread) -> None:
        if self._paused.get(thread.channel, 0.0) > time.monotonic():
            return
        try:
            await self._show(thread)
        except SlackRefusedError as problem:
            if problem.code in CANNOT_POST:
                log.info(log_events.SLACK_THREAD_CLOSED, subject=thread.subject, why=problem.code)
                await self.asking.store.change_thread(thread, closed_by=problem.code)
                return
            await self._pause(thread, problem, None)
        except RetryableError as problem:
            await self._pause(thread, problem, problem.retry_after)

    async def _pause(self, thread: SlackThread, why: HonkError, seconds: float | None) -> None:
        """Leave the channel alone for as long as Slack asks, and come back."""
        log.warning(log_events.SLACK_NOT_SHOWN, subject=thread.subject, why=str(why))
        wait = _PAUSE_SECONDS if seconds is None else seconds
        self._paused[thread.channel] = time.monotonic() + wait
        until = now() + wait + _RETRY_SECONDS
        await self.asking.store.change_thread(thread, live_until=until)

    async def _show(self, thread: SlackThread) -> None:
        if thread.number is None:
            return
        rows = await self.asking.runs_of(thread)
        await self._note_pull(thread, rows)
        answers = await self.asking.store.answers(
            thread_prefix(thread.team, thread.channel, thread.thread)
        )
        if not rows and not answers:
            return
        if not await self._may_show(thread):
            return
        shown = [
            await self._show_run(thread, row)
            for row in sorted(rows, key=lambda row: row.created_at)
        ]
        for trigger_id, text in answers:
            await self._show_answer(thread, rows, trigger_id, text)
        if rows and all(shown) and all(row.finished_at is not None for row in rows):
            ended = max(row.finished_at or 0.0 for row in rows)
            await self._look_seldom(thread, ended)

    async def _look_seldom(self, thread: SlackThread, ended: float) -> None:
        """Everything is shown. A preview or an answer may still come for some minutes."""
        until = ended + _AFTER_SECONDS
        if until > thread.live_until:
            await self.asking.store.change_thread(thread, live_until=until)
        seen = max(until, thread.live_until)
        self._looked[thread.channel, thread.thread] = (time.monotonic() + _SELDOM_SECONDS, seen)

    async def _note_pull(self, thread: SlackThread, rows: list[RunRow]) -> None:
        """Runs on the pull request are shown in the same thread."""
        pull = next((row.pull_number for row in rows if row.pull_number), None)
        if pull is None:
            return
        subject = subject_key(RepoName.parse(thread.repository), pull)
        if subject not in (thread.subject, thread.pull_subject):
            await self.asking.store.change_thread(thread, pull_subject=subject)

    async def _may_show(self, thread: SlackThread) -> bool:
        """Whether the channel's readers may see this repository; if not, says so once."""
        if is_direct(thread.channel):
            return True
        place = thread.channel, thread.private
        known = self._readers.get(place)
        if known is not None and known[1] > time.monotonic() and known[0]:
            return True
        problem = await self.asking.readers.problem(thread.channel, private=thread.private)
        self._readers[place] = (problem is None, time.monotonic() + _READERS_SECONDS)
        if problem is None:
            return True
        key = f"held:{thread.channel}:{thread.thread}"
        # It names neither the repository nor what happened there.
        await self._say(thread, key, texts.held_back())
        await self.asking.store.change_thread(thread, closed_by="outsiders")
        log.info(log_events.SLACK_THREAD_CLOSED, subject=thread.subject, why="outsiders")
        return False

    async def _show_run(self, thread: SlackThread, row: RunRow) -> bool:
        """Show a run; returns whether everything is shown as it should be."""
        trigger = row.input.trigger
        kind = "pull" if trigger.is_pull_request else "issues"
        server = self.asking.services.github.server_url
        url = f"{server}/{trigger.repository}/{kind}/{row.number}"
        subject = subject_of(thread, trigger.title, url, trigger.actor.login)
        value = str(ButtonValue(run=row.id, attempt=row.attempt))
        status = texts.status(
            subject,
            status_context(self.asking.services, row),
            row.phase,
            row.outcome,
            stop=value,
            pull_url=row.pull_url or "",
            previews=await self.asking.services.previews.of_run(row),
            key=status_key(row.id),
        )
        shown = await self._show_message(thread, status_key(row.id), status)
        if row.finished_at is None:
            return shown
        report = await self.asking.services.reports.of(row.id, row.attempt)
        if report is not None:
            key = f"end:{row.id}.{row.attempt}"
            value = str(ButtonValue(run=row.id, attempt=row.attempt, sha=report.head_sha or ""))
            can_merge = MERGE in COMMANDS
            message = texts.ended(subject, report, value=value, can_merge=can_merge, key=key)
            await self._say(thread, key, message)
        if not shown and thread.live_until < now() + LIVE_SECONDS / 2:
            await self.asking.store.change_thread(thread, live_until=now() + LIVE_SECONDS)
        return shown

    async def _show_answer(
        self, thread: SlackThread, rows: list[RunRow], trigger_id: str, text: str
    ) -> None:
        run = run_id(trigger_id)
        first = await self.asking.store.post(status_key(run))
        if first is not None and all(row.id != run for row in rows):
            # The first reply says that the run is queued, and there is none.
            issue = f"{self.asking.services.github.server_url}/{thread.repository}/issues"
            subject = subject_of(thread, "", f"{issue}/{thread.number}", "")
            message = texts.not_started(subject, key=status_key(run))
            await self._show_message(thread, status_key(run), message)
        await self._say(thread, f"answer:{trigger_id}"[:200], texts.answer(text, f"answer:{run}"))
        await self.asking.store.answer_shown(trigger_id)

    async def _say(self, thread: SlackThread, key: str, message: ChatMessage) -> None:
        await self.poster.ensure(key, thread.team, thread.channel, thread.thread, message)

    async def _show_message(self, thread: SlackThread, key: str, message: ChatMessage) -> bool:
        return await self.poster.show(key, thread.team, thread.channel, thread.thread, message)
