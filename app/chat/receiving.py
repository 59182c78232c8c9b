"""Taking deliveries from Slack into the inbox; both ways of receiving share this.

`POST /webhooks/slack` answers:

    200  stored, known, or nothing that asks for something     401  not signed by Slack, or too old
    400  not one of Slack's payloads                           413  over 1 MiB
    408  the body took too long                                503  the database is away

Slack wants an answer within three seconds, and sends events again that got none.
https://docs.slack.dev/apis/events-api
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from app import log_events
from app.chat import signature
from app.chat.stored import StoredRequest
from app.domain import slack
from app.domain.slack import Kind, SlackClick, SlackError, SlackIgnored, SlackRequest
from app.errors import RetryableError
from app.store.slack import SlackStore

WEBHOOK_PATH = "/webhooks/slack"
MOST_BYTES = 1024 * 1024
BODY_SECONDS = 2.0
STORE_SECONDS = 2.5

_FORM = "application/x-www-form-urlencoded"

_log = structlog.get_logger(__name__)


async def take(store: SlackStore, kind: Kind, payload: object) -> str:
    """Store a delivery once; return "accepted", "known" or "ignored".

    Raises SlackError for a payload that is not Slack's, RetryableError when the database is away.
    """
    found = slack.parse(kind, payload)
    if isinstance(found, SlackIgnored):
        _log.debug(log_events.SLACK_DELIVERY_IGNORED, why=found.reason)
        return "ignored"
    if isinstance(found, SlackRequest):
        stored = StoredRequest(request=found).model_dump(mode="json")
        place = (found.team, found.channel, found.thread) if found.kind == "reply" else None
        done = await store.receive(found.id, "request", stored, thread=place)
    else:
        name = "click" if isinstance(found, SlackClick) else "notice"
        done = await store.receive(found.id, name, found.model_dump(mode="json"))  # type: ignore[arg-type]
    if done != "ignored":
        _log.info(log_events.SLACK_DELIVERY_ACCEPTED, outcome=done, request=found.id)
    return done


class _SlackRefusal(Exception):  # noqa: N818
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class SlackReceiver:
    """The endpoint for events, commands and interactivity, an ASGI application."""

    def __init__(
        self, store: SlackStore, secret: bytes, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._secret = secret
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one delivery."""
        try:
            response = await self._answer(scope["headers"], receive)
        except _SlackRefusal as refusal:
            _log.info(
                log_events.SLACK_DELIVERY_REFUSED, status=refusal.status, why=refusal.sentence
            )
            # What is wrong with the request stays wrong, so only outages are worth another try.
            again = {} if refusal.status >= 500 else {"x-slack-no-retry": "1"}
            response = PlainTextResponse(refusal.sentence + "\n", refusal.status, again)
        await response(scope, receive, send)

    async def _answer(self, headers: Sequence[tuple[bytes, bytes]], receive: Receive) -> Response:
        named = _once_each(headers)
        body = await _read(receive)
        stamp = named.get(b"x-slack-request-timestamp", b"")
        signed = named.get(b"x-slack-signature", b"")
        if not signature.holds(self._secret, stamp, signed, body, now=self._clock()):
            raise _SlackRefusal(401, "The signature is missing, wrong or too old.")
        kind, payload = _payload(named.get(b"content-type", b""), body)
        if kind == "events" and isinstance(payload, dict):
            if payload.get("type") == "url_verification":
                return JSONResponse({"challenge": str(payload.get("challenge", ""))[:300]})
            if payload.get("type") == "app_rate_limited":
                _log.warning(log_events.SLACK_DELIVERY_REFUSED, why="Slack limits its events.")
                return Response(status_code=200)
        try:
            async with asyncio.timeout(STORE_SECONDS):
                await take(self._store, kind, payload)
        except SlackError as problem:
            raise _SlackRefusal(400, str(problem)) from None
        except (RetryableError, TimeoutError):
            raise _SlackRefusal(503, "The database is unavailable; nothing was accepted.") from None
        return Response(status_code=200)


def _once_each(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers by name; a repeated one counts as empty, since it could be read either way."""
    once: dict[bytes, bytes] = {}
    for name, value in headers:
        once[name] = b"" if name in once else value
    return once


async def _read(receive: Receive) -> bytes:
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _SlackRefusal(400, "The connection ended before the body was complete.")
                body += bytes(message.get("body", b""))
                if len(body) > MOST_BYTES:
                    raise _SlackRefusal(413, "The body is larger than 1 MiB.")
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise _SlackRefusal(408, "The body took too long.") from None


def _payload(content_type: bytes, body: bytes) -> tuple[Kind, Any]:
    """The kind of a delivery and its content: JSON, a form, or JSON in a form's `payload`."""
    media = content_type.decode("latin-1").partition(";")[0].strip().lower()
    try:
        return _read_payload(media, body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _SlackRefusal(400, "The body is not what its content type says.") from None


def _read_payload(media: str, text: str) -> tuple[Kind, Any]:
    if media == "application/json":
        return "events", json.loads(text)
    if media != _FORM:
        raise _SlackRefusal(400, "Send JSON or a form.")
    form = parse_qs(text, keep_blank_values=True, max_num_fields=100)
    single = {name: values[0] for name, values in form.items() if len(values) == 1}
    if "payload" in single:
        return "interactive", json.loads(single["payload"])
    return "command", single
