"""What Slack sends to the App: over HTTP, signed, or over Socket Mode; failed events are repeated.

Outside contract: https://docs.slack.dev/apis/events-api and
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from .sockets import Sockets

Kind = Literal["events_api", "interactive", "slash_commands"]

RETRY_SECONDS: tuple[float, ...] = (0.0, 60.0, 300.0)
"""How long Slack waits before it sends an event a second, third and fourth time."""
ACK_SECONDS = 3.0
"""How long Slack waits for an answer."""
_USER_AGENT = "Slackbot 1.0 (+https://api.slack.com/robots)"


@dataclass
class DeliveryAttempt:
    """One attempt: `reason` is Slack's word for why it failed, empty where it worked."""

    reason: str
    status: int = 0
    answer: Any = None
    is_final: bool = False
    """The App asked not to get it again."""


@dataclass(eq=False)
class SlackDelivery:
    """Something that the App is told, and the attempts so far."""

    kind: Kind
    payload: dict[str, Any]
    attempts: list[DeliveryAttempt] = field(default_factory=list)

    @property
    def event_id(self) -> str:
        """The id of an event; empty for an interaction."""
        return str(self.payload.get("event_id", ""))

    @property
    def is_delivered(self) -> bool:
        """Whether the App acknowledged it."""
        return bool(self.attempts) and not self.attempts[-1].reason


class SlackDeliveries:
    """The queue of what is sent, and the log of what was.

    `request_url` is where events, commands and interactions go when Socket Mode is off.
    """

    def __init__(self, signing_secret: Callable[[], str], is_away: Callable[[], bool]) -> None:
        self.request_url: str | None = None
        self.by_socket = True
        self.retry_seconds = RETRY_SECONDS
        self.ack_seconds = ACK_SECONDS
        self.log: list[SlackDelivery] = []
        self.observers: list[Callable[[SlackDelivery], None]] = []
        self.held: list[SlackDelivery] | None = None
        """While this is a list, events wait in it instead of being sent."""
        self.sockets = Sockets()
        self._signing_secret = signing_secret
        self._is_away = is_away
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._client: httpx.AsyncClient | None = None

    def send(self, payload: dict[str, Any]) -> SlackDelivery:
        """Send an event, and again when it fails."""
        delivery = SlackDelivery("events_api", payload)
        self.log.append(delivery)
        for observer in self.observers:
            observer(delivery)
        if self.held is not None:
            self.held.append(delivery)
        else:
            self.send_again(delivery)
        return delivery

    def send_again(self, delivery: SlackDelivery) -> None:
        """Start with the attempts for an event, also for one that was delivered."""
        task = asyncio.create_task(self._insist(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def release(self) -> None:
        """Send what was held, in the order of `held`."""
        held, self.held = self.held or [], None
        for delivery in held:
            self.send_again(delivery)

    async def ask(self, kind: Kind, payload: dict[str, Any]) -> SlackDelivery:
        """Send an interaction or a command, once, and wait for the answer."""
        delivery = SlackDelivery(kind, payload)
        self.log.append(delivery)
        for observer in self.observers:
            observer(delivery)
        delivery.attempts.append(await self._attempt(delivery))
        return delivery

    async def drained(self) -> None:
        """Wait until no attempt is in progress; those that wait for their time are left."""
        await asyncio.sleep(0)
        await self._idle.wait()

    async def close(self) -> None:
        """Stop sending."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sockets.close()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _insist(self, delivery: SlackDelivery) -> None:
        """Up to four attempts, with Slack's pauses."""
        for pause in (0.0, *self.retry_seconds):
            await asyncio.sleep(pause)
            attempt = await self._attempt(delivery)
            delivery.attempts.append(attempt)
            if not attempt.reason or attempt.is_final:
                return

    async def _attempt(self, delivery: SlackDelivery) -> DeliveryAttempt:
        self._busy += 1
        self._idle.clear()
        try:
            if self._is_away():
                return DeliveryAttempt("connection_failed")
            if self.by_socket:
                return await self._by_socket(delivery)
            return await self._by_http(delivery)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def _by_socket(self, delivery: SlackDelivery) -> DeliveryAttempt:
        envelope: dict[str, Any] = {
            "envelope_id": str(uuid.uuid4()),
            "type": delivery.kind,
            "payload": delivery.payload,
            "accepts_response_payload": delivery.kind != "events_api",
        }
        if delivery.kind == "events_api":
            last = delivery.attempts[-1].reason if delivery.attempts else ""
            envelope |= {"retry_attempt": len(delivery.attempts), "retry_reason": last}
        answer = await self.sockets.ask(envelope, self.ack_seconds)
        if answer is None:
            return DeliveryAttempt("timeout")
        return DeliveryAttempt("", 200, answer.get("payload"))

    async def _by_http(self, delivery: SlackDelivery) -> DeliveryAttempt:
        if self.request_url is None:
            return DeliveryAttempt("connection_failed")
        body, content_type = _body(delivery)
        headers = self.signed(body) | {"Content-Type": content_type}
        if delivery.attempts:
            headers["X-Slack-Retry-Num"] = str(len(delivery.attempts))
            headers["X-Slack-Retry-Reason"] = delivery.attempts[-1].reason
        try:
            response = await self._http().post(
                self.request_url, content=body, headers=headers, timeout=self.ack_seconds
            )
        except httpx.TimeoutException:
            return DeliveryAttempt("http_timeout")
        except httpx.HTTPError:
            return DeliveryAttempt("connection_failed")
        if response.is_success:
            return DeliveryAttempt("", response.status_code, _read(response))
        final = response.headers.get("x-slack-no-retry") == "1"
        return DeliveryAttempt("http_error", response.status_code, _read(response), final)

    def signed(self, body: bytes) -> dict[str, str]:
        """The headers with which Slack proves that a body is its own."""
        # The machine's own time: the App compares with that, not with the clock of this Slack.
        now = str(int(time.time()))
        text = b"v0:" + now.encode() + b":" + body
        digest = hmac.new(self._signing_secret().encode(), text, hashlib.sha256).hexdigest()
        return {
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            "X-Slack-Request-Timestamp": now,
            "X-Slack-Signature": f"v0={digest}",
        }

    async def verify(self, url: str, token: str) -> bool:
        """Whether a server at this URL answers Slack's challenge."""
        challenge = uuid.uuid4().hex
        asked = {"token": token, "challenge": challenge, "type": "url_verification"}
        body = json.dumps(asked).encode()
        headers = self.signed(body) | {"Content-Type": "application/json"}
        try:
            response = await self._http().post(
                url, content=body, headers=headers, timeout=self.ack_seconds
            )
        except httpx.HTTPError:
            return False
        answer = _read(response)
        given = answer.get("challenge") if isinstance(answer, dict) else response.text.strip()
        return response.status_code == httpx.codes.OK and given == challenge

    def _http(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(trust_env=False)
        return self._client


def _body(delivery: SlackDelivery) -> tuple[bytes, str]:
    """A delivery as Slack writes it for its kind, and the content type."""
    if delivery.kind == "events_api":
        return json.dumps(delivery.payload).encode(), "application/json"
    form = delivery.payload
    if delivery.kind == "interactive":
        form = {"payload": json.dumps(delivery.payload)}
    return urlencode(form).encode(), "application/x-www-form-urlencoded"


def _read(response: httpx.Response) -> Any:
    """The JSON of an answer; text where it is not JSON, None where there is nothing."""
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        return response.text
