"""Webhook events, and the endpoints of the App's delivery log.

Outside contract: https://docs.github.com/webhooks and https://docs.github.com/rest/apps/webhooks
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

from .accounts import User
from .api import Answer, ApiEndpoint, Call
from .deliveries import SimulatedDelivery
from .refusals import Refusal, not_found
from .shapes import full_repository_shape, moment, node_id, user_shape
from .world import Json, Repository, World

_KEPT = timedelta(days=3)


def emit(
    world: World,
    repository: Repository,
    event: str,
    action: str | None,
    sender: User,
    payload: Json,
) -> None:
    """Send an event to the App if it is installed here and subscribed to it."""
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
    world.webhooks.send(event, action, whole, installation.id, repository.id)


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
    """The deliveries still in the log: those of the last three days."""
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


async def change_hook_config(call: Call) -> Answer:
    hooks = call.world.webhooks
    if call.given("url"):
        hooks.url = call.required("url", str)
    if call.given("secret"):
        secret = call.required("secret", str)
        call.world.app = replace(call.world.app, webhook_secret=secret)
    return await hook_config(call)


async def hook_config(call: Call) -> Answer:
    hooks = call.world.webhooks
    config = {"url": hooks.url or "", "content_type": hooks.content_type}
    return Answer(200, config | {"secret": "********", "insecure_ssl": "0"})


ENDPOINTS = [
    ApiEndpoint("GET", "/app/hook/config", hook_config, "app"),
    ApiEndpoint("PATCH", "/app/hook/config", change_hook_config, "app"),
    ApiEndpoint("GET", "/app/hook/deliveries", list_deliveries, "app"),
    ApiEndpoint("GET", "/app/hook/deliveries/{delivery_id}", get_delivery, "app"),
    ApiEndpoint("POST", "/app/hook/deliveries/{delivery_id}/attempts", redeliver, "app"),
]
