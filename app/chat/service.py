"""The worker's part of Slack: handles what was received, and follows runs in their threads."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic import ValidationError

from app import log_events
from app.chat.api import SlackApi, SlackRefusedError, open_session, web_client
from app.chat.asking import Asking, Waiting
from app.chat.clicking import Clicking
from app.chat.following import Following
from app.chat.posting import Poster
from app.chat.readers import Readers
from app.chat.repositories import Repositories
from app.chat.socket_mode import SocketMode
from app.chat.stored import StoredRequest
from app.domain.slack import SlackClick, SlackNotice
from app.errors import HonkError, RetryableError, UserError
from app.messages import slack as texts
from app.outgoing import Outgoing
from app.runs.queue import trigger_queue
from app.runs.services import Services
from app.settings import Settings
from app.store.database import Database
from app.store.slack import InboxItem, SlackStore

log = structlog.get_logger()

_POLL_SECONDS = 0.3
_AT_ONCE = 8
_BATCH = 50
_WAITS = (1.0, 2.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
_GIVE_UP_SECONDS = 3600.0
_CLEAN_SECONDS = 3600.0


@asynccontextmanager
async def chat_tasks(
    settings: Settings, services: Services, database: Database
) -> AsyncIterator[list[Coroutine[Any, Any, None]]]:
    """What the worker runs for Slack while the context is open.

    Raises UserError when a token is missing or of another kind.
    """
    outgoing = Outgoing.of(settings)
    store = SlackStore(database)

    def secrets() -> set[str]:
        return settings.secrets() | services.github.redactions() | set(services.credentials)

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        client = web_client(settings.slack_token(), settings.slack_api_url, outgoing, session)
        api = SlackApi(client, secrets)
        queue = stack.enter_context(trigger_queue(database))
        poster, readers = Poster(api, store), Readers(api)
        asking = Asking(
            services,
            api,
            store,
            queue,
            Repositories(services),
            poster,
            readers,
            settings.github_app_slug,
        )
        inbox = Inbox(database, store, asking, Clicking(asking))
        tasks = [inbox.keep_handling(), Following(asking, poster).keep_following()]
        if settings.slack == "socket":
            token = settings.slack_socket_token()
            opener = web_client(token, settings.slack_api_url, outgoing, session)
            socket = SocketMode(opener, session, outgoing, store, inbox.wake)
            tasks.append(socket.keep_connected())
        yield tasks


@dataclass
class Inbox:
    """Handles stored deliveries, those of one thread in order, on one worker at a time."""

    database: Database
    store: SlackStore
    asking: Asking
    clicking: Clicking
    _received: asyncio.Event = field(default_factory=asyncio.Event)
    _cleaned_at: float = float("-inf")

    def wake(self) -> None:
        """Look at once: something was stored by this process."""
        self._received.set()

    async def keep_handling(self) -> None:
        """Handle deliveries until cancelled."""
        while True:
            try:
                handled = await self.handle()
            except HonkError as problem:
                log.warning(log_events.SLACK_DELIVERY_NOT_STORED, why=str(problem))
                handled = 0
            if handled < _BATCH:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                await self._received.wait()
        except TimeoutError:
            return
        self._received.clear()

    async def handle(self) -> int:
        """Handle what is due; returns how many deliveries that were."""
        if not await self.store.due(1):
            return 0
        async with self.database.alone("slack inbox") as ours:
            if not ours:
                return 0
            if time.monotonic() - self._cleaned_at > _CLEAN_SECONDS:
                await self.store.forget_old()
                self._cleaned_at = time.monotonic()
            items = await self.store.due(_BATCH)
            gate = asyncio.Semaphore(_AT_ONCE)
            threads: dict[str, list[InboxItem]] = {}
            for item in items:
                threads.setdefault(_thread_of(item), []).append(item)
            await asyncio.gather(*(self._handle_all(gate, each) for each in threads.values()))
            return len(items)

    async def _handle_all(self, gate: asyncio.Semaphore, items: list[InboxItem]) -> None:
        async with gate:
            for item in items:
                await self._handle_one(item)

    async def _handle_one(self, item: InboxItem) -> None:
        structlog.contextvars.bind_contextvars(slack=item.id)
        try:
            await self._dispatch(item)
        except Waiting as waiting:
            await self.store.wait_for(item.id, waiting.what)
            await self._resume_if_linked(waiting.what)
        except RetryableError as problem:
            await self._later(item, problem)
        except UserError as problem:
            log.warning(log_events.SLACK_REQUEST_FAILED, why=str(problem))
            await self._tell(item, problem)
            await self.store.done(item.id)
        except Exception as problem:
            # A bug with one delivery must not stop the others.
            log.exception(log_events.SLACK_REQUEST_FAILED, why=type(problem).__name__)
            await self._tell(item, None)
            await self.store.done(item.id)
        else:
            await self.store.done(item.id)
        finally:
            structlog.contextvars.unbind_contextvars("slack")

    async def _resume_if_linked(self, what: str) -> None:
        """The link may have been made while its request was being put aside."""
        kind, _, place = what.partition(":")
        team, _, user = place.partition(":")
        if kind == "link" and await self.store.link(team, user) is not None:
            await self.store.resume_all(what)

    async def _dispatch(self, item: InboxItem) -> None:
        if item.kind == "request":
            await self.asking.handle(StoredRequest.model_validate(item.payload))
        elif item.kind == "click":
            await self.clicking.handle(SlackClick.model_validate(item.payload))
        else:
            notice = SlackNotice.model_validate(item.payload)
            log.warning(log_events.SLACK_UNINSTALLED, team=notice.team, why=notice.what)
            if notice.what == "app_uninstalled":
                await self.store.unlink_team(notice.team)

    async def _later(self, item: InboxItem, problem: RetryableError) -> None:
        """Try again, for an hour; then say so."""
        log.warning(log_events.SLACK_REQUEST_FAILED, why=str(problem), tries=item.tries)
        if time.time() - item.received_at > _GIVE_UP_SECONDS:
            await self._tell(item, None)
            await self.store.done(item.id)
            return
        wait = _WAITS[min(item.tries, len(_WAITS) - 1)]
        await self.store.try_again(item.id, max(wait, problem.retry_after or 0.0))

    async def _tell(self, item: InboxItem, problem: UserError | None) -> None:
        """Tell the person why nothing came of it, where Slack allows that."""
        try:
            channel, user, thread = _place_of(item)
        except (KeyError, ValidationError):
            return
        if problem is None:
            message = texts.unavailable()
        elif isinstance(problem, SlackRefusedError) and problem.code in _NOT_A_MEMBER:
            message = texts.not_a_member()
        else:
            message = texts.problem(problem.message, problem.next_step)
        try:
            await self.asking.api.whisper(channel, user, message, thread=thread)
        except HonkError as failure:
            log.warning(log_events.SLACK_NOT_SHOWN, why=str(failure))


_NOT_A_MEMBER = frozenset({"not_in_channel", "channel_not_found"})


def _thread_of(item: InboxItem) -> str:
    """What deliveries must be handled in order: those of one thread."""
    if item.kind == "request":
        request = item.payload.get("request", {})
        root = request.get("thread") or request.get("ts") or item.id
        return f"{request.get('channel')}:{root}"
    return f"{item.payload.get('channel', '')}:{item.payload.get('thread', '')}"


def _place_of(item: InboxItem) -> tuple[str, str, str]:
    """The channel, the person and the thread of a delivery."""
    payload = item.payload["request"] if item.kind == "request" else item.payload
    return str(payload["channel"]), str(payload["user"]), str(payload["thread"])
