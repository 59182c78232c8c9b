"""Signed webhooks: made, sent in order per repository, logged. Nothing is sent again by itself.

Outside contract: https://docs.github.com/webhooks and the App's delivery log,
https://docs.github.com/rest/apps/webhooks
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
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal
from urllib.parse import urlencode

import httpx

from .api import Answer, ApiEndpoint, Call
from .refusals import Refusal, not_found
from .shapes import full_repository_shape, moment, node_id, user_shape
from .world import Json, Repository, User, World

_TIMEOUT = 10.0
"""Seconds that GitHub waits for an answer."""
_KEPT = timedelta(days=3)


@dataclass
class SimulatedDelivery:
    """One attempt to deliver; redeliveries share the GUID."""

    id: int
    guid: str
    event: str
    action: str | None
    payload: Json
    repository_id: int | None
    installation_id: int
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

    def __init__(self, world: World) -> None:
        self.url: str | None = None
        self.content_type: Literal["json", "form"] = "json"
        self.log: list[SimulatedDelivery] = []
        self.delay = 0.0
        """Seconds between an event and its delivery."""
        self.observers: list[Callable[[SimulatedDelivery], None]] = []
        self._world = world
        self._queues: dict[int | None, asyncio.Queue[SimulatedDelivery]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def emit(
        self,
        repository: Repository,
        event: str,
        action: str | None,
        sender: User,
        payload: Json,
    ) -> None:
        """Send an event to the App if it is installed here and subscribed to it."""
        world = self._world
        installation = world.installation_of(repository)
        if installation is None or installation.suspended_at or event not in world.app.events:
            return
        whole: Json = {} if action is None else {"action": action}
        whole |= payload | {
            "repository": full_repository_shape(world, repository),
            "sender": user_shape(world, sender),
            "installation": {
                "id": installation.id,
                "node_id": node_id("MDIzO", installation.id),
            },
        }
        self.send(event, action, whole, installation.id, repository.id)

    def send(
        self,
        event: str,
        action: str | None,
        payload: Json,
        installation_id: int,
        repository_id: int | None,
    ) -> None:
        """Send a whole payload to the App, whatever it is subscribed to."""
        self._queue(
            SimulatedDelivery(
                id=self._world.new_id(),
                guid=str(uuid.uuid4()),
                event=event,
                action=action,
                payload=payload,
                repository_id=repository_id,
                installation_id=installation_id,
                delivered_at=self._world.clock.now(),
            )
        )

    def send_again(self, delivery: SimulatedDelivery) -> None:
        """Deliver once more under the same GUID, as the button on GitHub's page does."""
        now = self._world.clock.now()
        again = replace(
            delivery,
            id=self._world.new_id(),
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
        secret = self._world.app.webhook_secret.encode()
        return {
            "Accept": "*/*",
            "User-Agent": "GitHub-Hookshot/playground",
            "Content-Type": content_type,
            "X-GitHub-Delivery": delivery.guid,
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Hook-ID": str(self._world.app.app_id),
            "X-GitHub-Hook-Installation-Target-ID": str(self._world.app.app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature": "sha1=" + hmac.new(secret, body, hashlib.sha1).hexdigest(),
            "X-Hub-Signature-256": "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest(),
        }


# -- the delivery log


def _item(delivery: SimulatedDelivery) -> Json:
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": moment(delivery.delivered_at),
        "redelivery": delivery.redelivery,
        "duration": delivery.duration,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "repository_id": delivery.repository_id,
        "throttled_at": None,
    }


def _kept(call: Call) -> list[SimulatedDelivery]:
    """What the log still holds: three days."""
    oldest = call.world.clock.now() - _KEPT
    return [one for one in call.world.webhooks.log if one.delivered_at > oldest]


def _delivery(call: Call) -> SimulatedDelivery:
    number = call.number("delivery_id")
    for delivery in _kept(call):
        if delivery.id == number:
            return delivery
    raise not_found()


async def list_deliveries(call: Call) -> Answer:
    size = min(int(call.query.get("per_page") or 30), 100)
    newest_first = sorted(_kept(call), key=lambda one: one.id, reverse=True)
    found = [one for one in newest_first if _wanted(call, one)]
    if cursor := call.query.get("cursor"):
        if not cursor.isdecimal():
            raise Refusal(400, "Invalid cursor")
        found = [one for one in found if one.id <= int(cursor)]
    headers = {}
    if len(found) > size:
        query = urlencode(call.query | {"cursor": str(found[size].id)})
        headers["Link"] = f'<{call.world.api_url}{call.path}?{query}>; rel="next"'
    return Answer(200, [_item(one) for one in found[:size]], headers)


def _wanted(call: Call, delivery: SimulatedDelivery) -> bool:
    failed = 400 <= delivery.status_code <= 599
    return {None: True, "success": not failed, "failure": failed}[call.query.get("status")]


async def get_delivery(call: Call) -> Answer:
    delivery = _delivery(call)
    request = {"headers": delivery.request_headers, "payload": delivery.payload}
    response = {"headers": delivery.response_headers, "payload": delivery.response_body}
    url = call.world.webhooks.url or ""
    more = {"url": url, "request": request, "response": response}
    return Answer(200, _item(delivery) | more)


async def redeliver(call: Call) -> Answer:
    call.world.webhooks.send_again(_delivery(call))
    return Answer(202, {})


async def hook_config(call: Call) -> Answer:
    hooks = call.world.webhooks
    config = {"url": hooks.url or "", "content_type": hooks.content_type}
    return Answer(200, config | {"secret": "********", "insecure_ssl": "0"})


ENDPOINTS = [
    ApiEndpoint("GET", "/app/hook/config", hook_config, "app"),
    ApiEndpoint("GET", "/app/hook/deliveries", list_deliveries, "app"),
    ApiEndpoint("GET", "/app/hook/deliveries/{delivery_id}", get_delivery, "app"),
    ApiEndpoint("POST", "/app/hook/deliveries/{delivery_id}/attempts", redeliver, "app"),
]
