"""`POST /webhooks/github`: verify, parse, hand to intake; nothing else happens here.

    202  accepted: the trigger is durable     200  a trigger that we know already
    204  nothing that starts work             401  no signature, or not GitHub's
    400  not the JSON of an event             408  the body took too long
    413  over 25 MiB                          415  another content type
    503  the database is away, or too much is being received

GitHub logs what was not answered 2xx within ten seconds as failed
(https://docs.github.com/en/webhooks/using-webhooks/best-practices-for-using-webhooks).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import mmap
import re
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

import structlog
from prometheus_client import Counter
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app import log_events, metrics
from app.domain.event import Event, EventError
from app.domain.trigger import AppIdentity, Decision, Ignored, Signal, Trigger, from_event
from app.errors import RetryableError
from app.github import webhooks

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub sends no delivery above 25 MB."""

HELD_BYTES = 64 * 1024 * 1024
"""What all large bodies may hold in memory at once."""

SMALL_BYTES = 256 * 1024
"""Bodies up to here wait for nobody. Deliveries that start work are of this kind."""

_COMMENTS = frozenset({"issue_comment", "pull_request_review", "pull_request_review_comment"})

REFUSALS_TOLD = 10
"""Refused deliveries that have a line of the log each, in a second."""

BODY_SECONDS = 8.0
INTAKE_SECONDS = 8.0

_STARTS_NOTHING = Response(status_code=204)

_EVENT_NAME = re.compile(rb"[a-z0-9_]{1,64}")
_DELIVERY_ID = re.compile(rb"[0-9A-Za-z-]{1,64}")

_log = structlog.get_logger(__name__)
_stdlib_log = logging.getLogger(__name__)


class TriggerSink(Protocol):
    """Where triggers go. It returns only when the trigger is durable."""

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        """Take a trigger or signal in, once. Raises RetryableError when the database is away."""
        ...


class DeliveryHeaders(NamedTuple):
    """What the headers say, before any of the body is read."""

    event: str
    signature: bytes
    content_type: webhooks.ContentType
    length: int | None  # in bytes; None when the body comes in chunks
    delivery: str  # GitHub's GUID, for the log only: it is not signed


class _Refusal(Exception):  # noqa: N818
    """Ends a delivery with a status and one sentence for whoever reads GitHub's delivery log."""

    def __init__(self, status: int, sentence: str, *, close: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.close = close

    def response(self) -> Response:
        headers = {"connection": "close"} if self.close else None
        return PlainTextResponse(self.sentence + "\n", self.status, headers)


class MemoryBudget:
    """A bound on what large bodies hold in memory; who comes first is served first."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room for `size` bytes."""
        async with self._turn:
            while self._free < size:
                self._given_back.clear()
                await self._given_back.wait()
            self._free -= size

    def give_back(self, size: int) -> None:
        """The bytes are free again."""
        self._free += size
        self._given_back.set()


class _Body:
    """One body while it is received and read: hashed as it comes, and kept within the room."""

    def __init__(
        self, head: DeliveryHeaders, check: webhooks.SignatureCheck, room: MemoryBudget
    ) -> None:
        self.size = 0
        self.waits_for_room = False
        self._store: bytearray | mmap.mmap = bytearray()
        self._head = head
        self._check = check
        self._room = room
        self._taken = 0

    async def add(self, chunk: bytes) -> None:
        """Take the next bytes in, waiting for room where the body is large."""
        self.size += len(chunk)
        if self.size > MAX_BODY_BYTES:
            raise _too_large()
        if self.size > SMALL_BYTES and not self._taken:
            await self._enlarge(self._head.length or MAX_BODY_BYTES)
        self._check.update(chunk)
        if isinstance(self._store, bytearray):
            self._store += chunk
        else:
            self._store.write(chunk)

    def content(self) -> memoryview:
        """What was received so far."""
        return memoryview(self._store)[: self.size]

    async def _enlarge(self, size: int) -> None:
        self.waits_for_room = True
        await self._room.take(size)
        self.waits_for_room = False
        self._taken = size
        # A mapping of its own goes back to the system whole; a growing heap would not.
        large = mmap.mmap(-1, size)
        large.write(self._store)
        self._store = large

    def release(self) -> None:
        """Let go of the content, as soon as it is read or refused."""
        self._store = bytearray()
        self._room.give_back(self._taken)
        self._taken = 0


class _Refusals:
    """Tells the log of refused deliveries: of some each second, and of the rest by number.

    Anybody can send what is refused, as often as they like; a line costs more than the refusal.
    """

    def __init__(self) -> None:
        self._second = 0
        self._told = 0
        self._untold = 0

    def tell(self, refusal: _Refusal) -> None:
        """One was refused."""
        second = int(time.monotonic())
        if second != self._second:
            if self._untold:
                _log.warning(log_events.DELIVERIES_REFUSED, count=self._untold)
            self._second, self._told, self._untold = second, 0, 0
        if self._told < REFUSALS_TOLD:
            self._told += 1
            _log.info(log_events.DELIVERY_REFUSED, status=refusal.status, reason=refusal.sentence)
        else:
            self._untold += 1


class Receiver:
    """The endpoint, an ASGI application, with what it needs handed in.

    `body_seconds` bounds the reading of one body.
    """

    def __init__(
        self,
        *,
        secrets: Sequence[bytes],
        app: AppIdentity,
        intake: TriggerSink,
        body_seconds: float = BODY_SECONDS,
        intake_seconds: float = INTAKE_SECONDS,
    ) -> None:
        self._secrets = tuple(secrets)
        self._app = app
        self._intake = intake
        self._body_seconds = body_seconds
        self._intake_seconds = intake_seconds
        self._room = MemoryBudget(HELD_BYTES)
        self._refusals = _Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        response = await self._answer(scope["headers"], receive)
        _counter(response.status_code).inc()
        await response(scope, receive, send)

    async def _answer(self, headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> Response:
        try:
            head = read_headers(headers)
            event = await self._read_event(receive, head)
            if head.event in _COMMENTS:
                # Reading a long comment's Markdown takes seconds: not on the loop.
                decided = await asyncio.to_thread(_decide, head, event, self._app)
            else:
                decided = _decide(head, event, self._app)
            if isinstance(decided, Ignored):
                # Most deliveries end here; a line that nobody reads should cost them nothing.
                if _stdlib_log.isEnabledFor(logging.DEBUG):
                    _log.debug(
                        log_events.DELIVERY_IGNORED, reason=decided.reason, delivery=head.delivery
                    )
                return _STARTS_NOTHING
            return await self._hand_over(head, decided)
        except _Refusal as refusal:
            self._refusals.tell(refusal)
            return refusal.response()

    async def _read_event(self, receive: Receive, head: DeliveryHeaders) -> Event:
        check = webhooks.SignatureCheck(head.signature, self._secrets)
        body = _Body(head, check, self._room)
        try:
            await self._receive_body(receive, body)
            if not check.holds():
                raise _Refusal(401, "The signature is not that of this body.")
            if body.size <= SMALL_BYTES:
                return webhooks.read(head.event, head.content_type, body.content())
            # Long enough to be felt by others: not on the loop.
            return await asyncio.to_thread(
                webhooks.read, head.event, head.content_type, body.content()
            )
        except EventError as problem:
            raise _Refusal(400, str(problem)) from None
        finally:
            body.release()

    async def _receive_body(self, receive: Receive, body: _Body) -> None:
        try:
            async with asyncio.timeout(self._body_seconds):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Refusal(400, "The connection ended before the body did.")
                    if chunk := message.get("body"):
                        await body.add(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _too_slow(body) from None

    async def _hand_over(self, head: DeliveryHeaders, trigger: Trigger | Signal) -> Response:
        try:
            async with asyncio.timeout(self._intake_seconds):
                taken = await self._intake.enqueue(trigger)
        except (RetryableError, TimeoutError):
            raise _Refusal(503, "The database is away; this delivery is not taken.") from None
        _log.info(
            log_events.DELIVERY_ACCEPTED,
            outcome=taken,
            trigger=trigger.id,
            repository=str(trigger.repository),
            number=trigger.number,
            delivery=head.delivery,
        )
        return JSONResponse({"trigger": trigger.id}, 202 if taken == "accepted" else 200)


@functools.cache
def _counter(status: int) -> Counter:
    return metrics.DELIVERIES.labels(str(status))


def read_headers(headers: Sequence[tuple[bytes, bytes]]) -> DeliveryHeaders:
    """Check all that the headers tell, so that most of what is wrong costs no body.

    The signature comes first: whoever has none learns nothing else.
    """
    once = _once_each(headers)
    signature = webhooks.signature_of(once.get(b"x-hub-signature-256", b""))
    if signature is None:
        raise _Refusal(401, "X-Hub-Signature-256 is missing or is none that GitHub sends.")
    event = once.get(b"x-github-event", b"")
    if not _EVENT_NAME.fullmatch(event):
        raise _Refusal(400, "X-GitHub-Event is missing or names no event.")
    content_type = webhooks.content_type_of(once.get(b"content-type", b""))
    if content_type is None:
        raise _Refusal(415, "Send application/json or application/x-www-form-urlencoded.")
    length = once.get(b"content-length", b"")
    if length and int(length) > MAX_BODY_BYTES:
        raise _too_large()
    delivery = once.get(b"x-github-delivery", b"")
    return DeliveryHeaders(
        event=event.decode(),
        signature=signature,
        content_type=content_type,
        length=int(length) if length else None,
        delivery=delivery.decode() if _DELIVERY_ID.fullmatch(delivery) else "",
    )


def _once_each(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that are there exactly once; one that is repeated could be read either way."""
    once: dict[bytes, bytes] = {}
    for name, value in headers:
        once[name] = b"" if name in once else value
    return once


def _decide(head: DeliveryHeaders, event: Event, app: AppIdentity) -> Decision:
    try:
        return from_event(head.event, event, app)
    except EventError as problem:
        raise _Refusal(400, str(problem)) from None


def _too_large() -> _Refusal:
    return _Refusal(413, "The body is over 25 MiB, which is more than GitHub sends.")


def _too_slow(body: _Body) -> _Refusal:
    if body.waits_for_room:
        return _Refusal(503, "Too many large bodies are being received.", close=True)
    return _Refusal(408, "The body took too long.", close=True)
