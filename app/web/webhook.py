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
from app.domain.trigger import (
    AppIdentity,
    Ignored,
    Signal,
    Trigger,
    from_event,
    further_signals,
)
from app.errors import RetryableError
from app.github import webhooks

MAX_BODY_BYTES = 25 * 1024 * 1024
"""GitHub caps payloads at 25 MB."""

LARGE_BODY_BYTES = 64 * 1024 * 1024
"""Memory that all large bodies together may use."""

SMALL_BYTES = 256 * 1024
"""Bodies up to this size are exempt from the budget. Deliveries that start work are this small."""

_COMMENTS = frozenset({"issue_comment", "pull_request_review", "pull_request_review_comment"})

REFUSALS_LOGGED = 10
"""Refused deliveries that are logged individually per second."""

BODY_SECONDS = 8.0
INTAKE_SECONDS = 8.0

_NO_CONTENT = Response(status_code=204)

_EVENT_NAME = re.compile(rb"[a-z0-9_]{1,64}")
_DELIVERY_ID = re.compile(rb"[0-9A-Za-z-]{1,64}")

_log = structlog.get_logger(__name__)
_stdlib_log = logging.getLogger(__name__)


class TriggerSink(Protocol):
    """Where triggers go. `enqueue` returns only once the trigger is durable."""

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        """Enqueue a trigger or signal once. Raises RetryableError when the database is
        unavailable."""
        ...


class DeliveryHeaders(NamedTuple):
    """The request's headers, checked before the body is read."""

    event: str
    signature: bytes
    content_type: webhooks.ContentType
    length: int | None  # in bytes; None when the body comes in chunks
    delivery: str  # GitHub's GUID, for the log only: it is not signed


class _Refusal(Exception):  # noqa: N818
    """Ends a delivery with a status and one sentence, which GitHub's delivery log shows."""

    def __init__(self, status: int, sentence: str, *, close: bool = False) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.close = close

    def response(self) -> Response:
        headers = {"connection": "close"} if self.close else None
        return PlainTextResponse(self.sentence + "\n", self.status, headers)


class MemoryBudget:
    """A bound on the memory of large bodies, first come, first served."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._turn = asyncio.Lock()
        self._released = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until `size` bytes are free and reserve them."""
        async with self._turn:
            while self._free < size:
                self._released.clear()
                await self._released.wait()
            self._free -= size

    def release(self, size: int) -> None:
        """Free reserved bytes."""
        self._free += size
        self._released.set()


class _Body:
    """A body being received: hashed as it arrives, and large ones counted against the budget."""

    def __init__(
        self, head: DeliveryHeaders, check: webhooks.SignatureCheck, budget: MemoryBudget
    ) -> None:
        self.size = 0
        self.awaits_memory = False
        self._store: bytearray | mmap.mmap = bytearray()
        self._head = head
        self._check = check
        self._budget = budget
        self._reserved = 0

    async def add(self, chunk: bytes) -> None:
        """Append the next bytes; a large body first waits for memory."""
        self.size += len(chunk)
        if self.size > MAX_BODY_BYTES:
            raise _too_large()
        if self.size > SMALL_BYTES and not self._reserved:
            await self._enlarge(self._head.length or MAX_BODY_BYTES)
        self._check.update(chunk)
        if isinstance(self._store, bytearray):
            self._store += chunk
        else:
            self._store.write(chunk)

    def content(self) -> memoryview:
        """The bytes received so far."""
        return memoryview(self._store)[: self.size]

    async def _enlarge(self, size: int) -> None:
        self.awaits_memory = True
        await self._budget.take(size)
        self.awaits_memory = False
        self._reserved = size
        # An anonymous mapping returns to the OS as a whole when freed; a grown heap would not.
        large = mmap.mmap(-1, size)
        large.write(self._store)
        self._store = large

    def release(self) -> None:
        """Free the content, as soon as it is parsed or refused."""
        self._store = bytearray()
        self._budget.release(self._reserved)
        self._reserved = 0


class _Refusals:
    """Logs refused deliveries: the first few of each second, and the rest as a count.

    Anybody can send deliveries that are refused, and a log line costs more than the refusal.
    """

    def __init__(self) -> None:
        self._second = 0
        self._logged = 0
        self._suppressed = 0

    def log(self, refusal: _Refusal) -> None:
        """Log one refusal, or count it."""
        second = int(time.monotonic())
        if second != self._second:
            if self._suppressed:
                _log.warning(log_events.DELIVERIES_REFUSED, count=self._suppressed)
            self._second, self._logged, self._suppressed = second, 0, 0
        if self._logged < REFUSALS_LOGGED:
            self._logged += 1
            _log.info(log_events.DELIVERY_REFUSED, status=refusal.status, reason=refusal.sentence)
        else:
            self._suppressed += 1


class Receiver:
    """The webhook endpoint, an ASGI application.

    `body_seconds` bounds receiving one body, `intake_seconds` enqueueing it.
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
        self._budget = MemoryBudget(LARGE_BODY_BYTES)
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
                # Parsing a long comment's Markdown takes seconds: do it off the loop.
                decided = await asyncio.to_thread(_decide, head, event, self._app)
            else:
                decided = _decide(head, event, self._app)
            requests = [each for each in decided if not isinstance(each, Ignored)]
            if not requests:
                # Most deliveries end here, so skip the cost of a debug line.
                if _stdlib_log.isEnabledFor(logging.DEBUG):
                    reason = next(each.reason for each in decided if isinstance(each, Ignored))
                    _log.debug(log_events.DELIVERY_IGNORED, reason=reason, delivery=head.delivery)
                return _NO_CONTENT
            # If one of them fails, GitHub redelivers all of them, and the enqueued ones count as
            # duplicates.
            responses = [await self._hand_over(head, each) for each in requests]
            return responses[0]
        except _Refusal as refusal:
            self._refusals.log(refusal)
            return refusal.response()

    async def _read_event(self, receive: Receive, head: DeliveryHeaders) -> Event:
        check = webhooks.SignatureCheck(head.signature, self._secrets)
        body = _Body(head, check, self._budget)
        try:
            await self._receive_body(receive, body)
            if not check.holds():
                raise _Refusal(401, "The signature does not match the body.")
            if body.size <= SMALL_BYTES:
                return webhooks.read(head.event, head.content_type, body.content())
            # Parsing this takes long enough to delay others: do it off the loop.
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
                        raise _Refusal(400, "The connection ended before the body was complete.")
                    if chunk := message.get("body"):
                        await body.add(chunk)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _too_slow(body) from None

    async def _hand_over(self, head: DeliveryHeaders, trigger: Trigger | Signal) -> Response:
        try:
            async with asyncio.timeout(self._intake_seconds):
                status = await self._intake.enqueue(trigger)
        except (RetryableError, TimeoutError):
            raise _Refusal(
                503, "The database is unavailable; this delivery was not accepted."
            ) from None
        _log.info(
            log_events.DELIVERY_ACCEPTED,
            outcome=status,
            trigger=trigger.id,
            repository=str(trigger.repository),
            number=trigger.number,
            delivery=head.delivery,
        )
        return JSONResponse({"trigger": trigger.id}, 202 if status == "accepted" else 200)


@functools.cache
def _counter(status: int) -> Counter:
    return metrics.DELIVERIES.labels(str(status))


def read_headers(headers: Sequence[tuple[bytes, bytes]]) -> DeliveryHeaders:
    """Check the headers first, so that most invalid requests are refused without reading a body.

    The signature is checked first: a client without one learns nothing else.
    """
    once = _once_each(headers)
    signature = webhooks.signature_of(once.get(b"x-hub-signature-256", b""))
    if signature is None:
        raise _Refusal(401, "X-Hub-Signature-256 is missing or malformed.")
    event = once.get(b"x-github-event", b"")
    if not _EVENT_NAME.fullmatch(event):
        raise _Refusal(400, "X-GitHub-Event is missing or malformed.")
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
    """Headers by name; a repeated one counts as empty, since it could be read either way."""
    once: dict[bytes, bytes] = {}
    for name, value in headers:
        once[name] = b"" if name in once else value
    return once


def _decide(
    head: DeliveryHeaders, event: Event, app: AppIdentity
) -> tuple[Trigger | Signal | Ignored, ...]:
    try:
        return from_event(head.event, event, app), *further_signals(head.event, event, app)
    except EventError as problem:
        raise _Refusal(400, str(problem)) from None


def _too_large() -> _Refusal:
    return _Refusal(413, "The body is over 25 MiB, which is more than GitHub sends.")


def _too_slow(body: _Body) -> _Refusal:
    if body.awaits_memory:
        return _Refusal(503, "Too many large bodies are being received.", close=True)
    return _Refusal(408, "The body took too long.", close=True)
