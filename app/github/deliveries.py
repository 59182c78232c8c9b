"""The App's webhook deliveries of the last three days.

https://docs.github.com/en/rest/apps/webhooks

Entries may appear minutes late, a redelivery has the same GUID, and GitHub does not retry by
itself. The status filter is not used: "failure" omits deliveries that got no response.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from app.domain.event import Event
from app.domain.values import Value
from app.github import webhooks
from app.github.client import GitHubApp
from app.github.exchange import ApiRequest

KEPT_SECONDS = 3 * 86_400.0
"""How long GitHub keeps deliveries."""

_PER_PAGE = 100
_EMPTY = (b"", b"null", b"{}")


class Delivery(Value):
    """One delivery attempt. `status_code` is the receiver's response.

    Without a response GitHub uses a code of its own. `delivered_at` is Unix time.
    """

    id: int
    guid: str
    event: str
    action: str | None
    status_code: int
    delivered_at: float


class _DeliveryWire(msgspec.Struct):
    id: int
    guid: str
    event: str
    delivered_at: datetime
    status_code: int = 0
    action: str | None = None


class _ConfigWire(msgspec.Struct):
    url: str = ""


class _RequestWire(msgspec.Struct):
    payload: msgspec.Raw


class _WholeWire(msgspec.Struct):
    event: str
    request: _RequestWire


async def recent(github: GitHubApp, *, since: float) -> AsyncIterator[Delivery]:
    """Deliveries since `since` (Unix time), newest first, read page by page.

    Raises GitHubRefusedError and RetryableError.
    """
    cursor: str | None = None
    while True:
        query: dict[str, str | int] = {"per_page": _PER_PAGE}
        if cursor is not None:
            query["cursor"] = cursor
        answer = await github.send_as_app(
            ApiRequest("GET", "/app/hook/deliveries", query=query, repeatable=True)
        )
        for wire in answer.read(list[_DeliveryWire]):
            if wire.delivered_at.timestamp() < since:
                return
            yield _delivery(wire)
        cursor = answer.next_cursor
        if cursor is None:
            return


async def address(github: GitHubApp) -> str:
    """The webhook's URL; empty if none is configured.

    https://docs.github.com/en/rest/apps/webhooks#get-a-webhook-configuration-for-an-app
    """
    answer = await github.send_as_app(ApiRequest("GET", "/app/hook/config", repeatable=True))
    return answer.read(_ConfigWire).url


async def read(github: GitHubApp, delivery: Delivery) -> Event | None:
    """A delivery's event; None if GitHub no longer has it.

    It needs no signature, as it comes from GitHub's API. Raises EventError if it is not a valid
    event of that name, GitHubRefusedError and RetryableError.
    """
    whole = await _whole(github, delivery)
    if whole is None:
        return None
    return webhooks.read(whole.event, "application/json", bytes(whole.request.payload))


async def has_payload(github: GitHubApp, delivery: Delivery) -> bool:
    """Whether GitHub's log still has what was delivered. Raises as `read`."""
    whole = await _whole(github, delivery)
    return whole is not None and bytes(whole.request.payload) not in _EMPTY


async def _whole(github: GitHubApp, delivery: Delivery) -> _WholeWire | None:
    answer = await github.send_as_app(
        ApiRequest(
            "GET",
            "/app/hook/deliveries/{delivery_id}",
            path={"delivery_id": delivery.id},
            repeatable=True,
            accept={404},
        )
    )
    return None if answer.status == 404 else answer.read(_WholeWire)


async def send_again(github: GitHubApp, delivery: Delivery) -> None:
    """Ask GitHub to deliver once more, under the same GUID.

    https://docs.github.com/en/rest/apps/webhooks#redeliver-a-delivery-for-an-app-webhook
    """
    await github.send_as_app(
        ApiRequest(
            "POST",
            "/app/hook/deliveries/{delivery_id}/attempts",
            path={"delivery_id": delivery.id},
        )
    )


def _delivery(wire: _DeliveryWire) -> Delivery:
    return Delivery(
        id=wire.id,
        guid=wire.guid,
        event=wire.event,
        action=wire.action,
        status_code=wire.status_code,
        delivered_at=wire.delivered_at.timestamp(),
    )
