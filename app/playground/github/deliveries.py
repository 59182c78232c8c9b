"""The App's webhook deliveries: signed, sent in order for each repository, logged, never retried.

Outside contract: https://docs.github.com/webhooks
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urlencode

import httpx

from app.playground.clock import Clock

from .accounts import AppRegistration

_TIMEOUT = 10.0
"""Seconds that GitHub waits for an answer."""


@dataclass
class SimulatedDelivery:
    """One attempt to deliver; redeliveries share the GUID."""

    id: int
    guid: str
    event: str
    action: str | None
    payload: dict[str, Any]
    repository_id: int | None
    installation_id: int | None
    delivered_at: datetime
    redelivery: bool = False
    duration: float = 0.0
    status: str = "pending"
    status_code: int = 0
    request_headers: dict[str, str] = field(default_factory=dict)
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""


class Webhooks:
    """The App's webhook: its address, the queues of what is to be sent, the log of what was."""

    def __init__(
        self, clock: Clock, new_id: Callable[[], int], app: Callable[[], AppRegistration]
    ) -> None:
        self.url: str | None = None
        self.content_type: Literal["json", "form"] = "json"
        self.log: list[SimulatedDelivery] = []
        self.delay = 0.0
        """Seconds between an event and its delivery."""
        self.observers: list[Callable[[SimulatedDelivery], None]] = []
        self._clock = clock
        self._new_id = new_id
        self._app = app
        self._queues: dict[int | None, asyncio.Queue[SimulatedDelivery]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def send(
        self,
        event: str,
        action: str | None,
        payload: dict[str, Any],
        installation_id: int | None,
        repository_id: int | None,
    ) -> None:
        """Send a whole payload to the App, whatever it is subscribed to."""
        self._queue(
            SimulatedDelivery(
                id=self._new_id(),
                guid=str(uuid.uuid4()),
                event=event,
                action=action,
                payload=payload,
                repository_id=repository_id,
                installation_id=installation_id,
                delivered_at=self._clock.now(),
            )
        )

    def send_again(self, delivery: SimulatedDelivery) -> None:
        """Deliver once more under the same GUID, as the button on GitHub's page does."""
        now = self._clock.now()
        again = replace(
            delivery,
            id=self._new_id(),
            delivered_at=now,
            redelivery=True,
            duration=0.0,
            status="pending",
            status_code=0,
            request_headers={},
            response_headers={},
            response_body="",
        )
        self._queue(again)

    async def drained(self) -> None:
        """Wait until everything that was to be sent was answered or given up."""
        await self._idle.wait()

    async def close(self) -> None:
        """Stop sending."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._queues.clear()
        self._pending = 0
        self._idle.set()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _queue(self, delivery: SimulatedDelivery) -> None:
        for observer in self.observers:
            observer(delivery)
        queue = self._queues.get(delivery.repository_id)
        if queue is None:
            queue = self._queues[delivery.repository_id] = asyncio.Queue()
            self._tasks.append(asyncio.create_task(self._send_all(queue)))
        self._pending += 1
        self._idle.clear()
        queue.put_nowait(delivery)

    async def _send_all(self, queue: asyncio.Queue[SimulatedDelivery]) -> None:
        while True:
            delivery = await queue.get()
            try:
                await self._send(delivery)
            finally:
                self._pending -= 1
                if not self._pending:
                    self._idle.set()

    async def _send(self, delivery: SimulatedDelivery) -> None:
        body = json.dumps(delivery.payload, ensure_ascii=False).encode()
        content_type = "application/json"
        if self.content_type == "form":
            body = urlencode({"payload": body.decode()}).encode()
            content_type = "application/x-www-form-urlencoded"
        delivery.request_headers = self._headers(delivery, body, content_type)
        await asyncio.sleep(self.delay)
        started = time.monotonic()
        self.log.append(delivery)
        if self.url is None:
            delivery.status, delivery.status_code = "failed to connect to host", 502
            return
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_TIMEOUT, trust_env=False)
        try:
            response = await self._client.post(
                self.url, content=body, headers=delivery.request_headers
            )
        except httpx.TimeoutException:
            delivery.status, delivery.status_code = "timed out", 504
        except httpx.HTTPError:
            delivery.status, delivery.status_code = "failed to connect to host", 502
        else:
            code = response.status_code
            bad = f"Invalid HTTP Response: {code}"
            delivery.status = "OK" if code < HTTPStatus.BAD_REQUEST else bad
            delivery.status_code = code
            delivery.response_headers = dict(response.headers)
            delivery.response_body = response.text
        delivery.duration = round(time.monotonic() - started, 3)

    def _headers(
        self, delivery: SimulatedDelivery, body: bytes, content_type: str
    ) -> dict[str, str]:
        app = self._app()
        secret = app.webhook_secret.encode()
        return {
            "Accept": "*/*",
            "User-Agent": "GitHub-Hookshot/playground",
            "Content-Type": content_type,
            "X-GitHub-Delivery": delivery.guid,
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Hook-ID": str(app.app_id),
            "X-GitHub-Hook-Installation-Target-ID": str(app.app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }
