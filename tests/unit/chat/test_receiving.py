"""`POST /webhooks/slack`: what is stored, refused and answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from app.chat import signature
from app.chat.receiving import MOST_BYTES, SlackReceiver, take
from app.domain.slack import SlackError
from app.errors import RetryableError
from app.store.database import Database
from app.store.slack import SlackStore

SECRET, NOW = b"signing-secret", 1_700_000_000.0
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
Post = Callable[..., Any]


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> SlackStore:
    database = Database(f"sqlite:///{tmp_path}/honk.db")
    database.migrate()
    return SlackStore(database)


@pytest.fixture(name="client")
async def _client(store: SlackStore) -> AsyncIterator[httpx.AsyncClient]:
    receiver = SlackReceiver(store, SECRET, clock=lambda: NOW)
    transport = httpx.ASGITransport(app=receiver)
    async with httpx.AsyncClient(transport=transport, base_url="http://honk.test") as client:
        yield client


def _event(ts: str = "1700000000.000100", **change: Any) -> dict[str, Any]:
    event = {"type": "app_mention", "user": "U1", "channel": "C1", "ts": ts, "text": "fix it"}
    return {"type": "event_callback", "team_id": "T1", "event_id": "Ev1", "event": event | change}


async def _post(
    client: httpx.AsyncClient,
    body: bytes,
    *,
    media: str = JSON,
    stamp: bytes = b"1700000000",
    signed: bytes | None = None,
    **headers: str,
) -> httpx.Response:
    given = signature.sign(SECRET, stamp, body) if signed is None else signed
    return await client.post(
        "/webhooks/slack",
        content=body,
        headers=[
            (b"content-type", media.encode()),
            (b"x-slack-request-timestamp", stamp),
            (b"x-slack-signature", given),
            *((name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()),
        ],
    )


async def test_an_event_is_stored_once_by_its_message(
    client: httpx.AsyncClient, store: SlackStore
) -> None:
    body = json.dumps(_event()).encode()
    assert (await _post(client, body)).status_code == 200
    # Slack's second event for the same message, and a redelivery.
    other = _event() | {"event_id": "Ev2"}
    assert (await _post(client, json.dumps(other).encode())).status_code == 200
    again = await _post(client, body, x_slack_retry_num="1", x_slack_retry_reason="http_timeout")
    assert again.status_code == 200
    assert [item.id for item in await store.due(9)] == ["message:T1:C1:1700000000.000100"]


async def test_the_retry_header_drops_nothing(client: httpx.AsyncClient, store: SlackStore) -> None:
    """The first try may never have arrived."""
    body = json.dumps(_event()).encode()
    await _post(client, body, x_slack_retry_num="3", x_slack_retry_reason="connection_failed")
    assert len(await store.due(9)) == 1


async def test_commands_and_clicks_are_forms(client: httpx.AsyncClient, store: SlackStore) -> None:
    command = {"team_id": "T1", "channel_id": "C1", "user_id": "U1", "text": "x", "trigger_id": "1"}
    click = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "container": {"channel_id": "C1", "message_ts": "1.2"},
        "actions": [{"action_id": "stop", "value": "abc.1.", "action_ts": "5.6"}],
    }
    assert (await _post(client, urlencode(command).encode(), media=FORM)).status_code == 200
    body = urlencode({"payload": json.dumps(click)}).encode()
    assert (await _post(client, body, media=f"{FORM}; charset=utf-8")).status_code == 200
    assert {item.kind for item in await store.due(9)} == {"request", "click"}


async def test_a_challenge_is_answered_only_if_signed(client: httpx.AsyncClient) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "abc"}).encode()
    assert (await _post(client, body)).json() == {"challenge": "abc"}
    assert (await _post(client, body, signed=b"v0=" + b"0" * 64)).status_code == 401


@pytest.mark.parametrize(
    ("stamp", "signed"),
    [
        (b"1699999699", None),
        (b"abc", None),
        (b"9" * 300, None),
        (b"", None),
        (b"1700000000", b""),
        (b"1700000000", b"v0=\xff\xfe"),
        (b"1700000000", b"v0=" + b"0" * 64),
    ],
)
async def test_a_forged_old_or_malformed_signature_is_refused(
    client: httpx.AsyncClient, store: SlackStore, stamp: bytes, signed: bytes | None
) -> None:
    answer = await _post(client, json.dumps(_event()).encode(), stamp=stamp, signed=signed)
    assert answer.status_code == 401
    assert not await store.due(9)


async def test_unsigned_requests_learn_nothing(client: httpx.AsyncClient) -> None:
    for content in (b"ssl_check=1", b"\xff\xfe", b"", b"{}"):
        answer = await client.post("/webhooks/slack", content=content)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "media"),
    [
        (b"\xff\xfe", JSON),
        (b"{", JSON),
        (b"[" * 100_000, JSON),
        (b"[]", JSON),
        (b"null", JSON),
        (b'{"type": "event_callback", "event": 7}', JSON),
        (b"payload=%7B", FORM),
        (b"payload=1&payload=2", FORM),
        (b"a=1", FORM),
        (b"&".join(b"a=1" for _ in range(500)), FORM),
        (b"{}", "text/plain"),
        (b"{}", "\xff"),
    ],
)
async def test_signed_junk_is_never_a_server_error(
    client: httpx.AsyncClient, store: SlackStore, body: bytes, media: str
) -> None:
    answer = await _post(client, body, media=media)
    assert answer.status_code == 400
    assert answer.headers["x-slack-no-retry"] == "1"
    assert not await store.due(9)


async def test_a_large_body_is_refused(client: httpx.AsyncClient) -> None:
    assert (await _post(client, b"x" * (MOST_BYTES + 1))).status_code == 413


async def test_without_the_database_slack_is_asked_to_try_again(store: SlackStore) -> None:
    class Away:
        async def receive(self, *_: Any, **__: Any) -> str:
            raise RetryableError("away")

    receiver = SlackReceiver(Away(), SECRET, clock=lambda: NOW)  # type: ignore[arg-type]
    transport = httpx.ASGITransport(app=receiver)
    async with httpx.AsyncClient(transport=transport, base_url="http://honk.test") as client:
        answer = await _post(client, json.dumps(_event()).encode())
    assert answer.status_code == 503
    assert "x-slack-no-retry" not in answer.headers


async def test_a_reply_is_stored_only_where_honk_takes_part(store: SlackStore) -> None:
    reply = _event("2.2", type="message", channel_type="channel", thread_ts="1.1")
    assert await take(store, "events", reply) == "ignored"
    assert await take(store, "events", _event("1.1")) == "accepted"
    assert await take(store, "events", reply) == "accepted"
    await store.done("message:T1:C1:1.1")
    late = _event("3.3", type="message", channel_type="channel", thread_ts="1.1")
    assert await take(store, "events", late) == "ignored"


async def test_what_was_handled_is_forgotten_but_known(store: SlackStore) -> None:
    await take(store, "events", _event())
    (item,) = await store.due(9)
    await store.done(item.id)
    assert not await store.due(9)
    assert await store.item(item.id) is None
    assert await take(store, "events", _event()) == "known"


async def test_a_waiting_request_goes_on_when_its_person_is_linked(store: SlackStore) -> None:
    await take(store, "events", _event())
    (item,) = await store.due(9)
    await store.wait_for(item.id, "link:T1:U1")
    await store.resume_all("link:T1:U2")
    assert not await store.due(9)
    await store.resume_all("link:T1:U1")
    assert [each.id for each in await store.due(9)] == [item.id]


async def test_a_code_links_once_and_only_the_newest_counts(store: SlackStore) -> None:
    first = await store.new_code("olivia", 7)
    code = await store.new_code("olivia", 7)
    assert await store.use_code(first, "T1", "U1") is None
    assert await store.use_code("AAAA-AAAA", "T1", "U1") is None
    link = await store.use_code(code.lower(), "T1", "U1")
    assert link is not None
    assert (link.login, link.account_id) == ("olivia", 7)
    assert await store.use_code(code, "T1", "U2") is None
    assert await store.link("T2", "U1") is None
    assert not await store.unlink("T1", "U1", 8)
    assert await store.unlink("T1", "U1", 7)


async def test_a_malformed_payload_is_an_error(store: SlackStore) -> None:
    with pytest.raises(SlackError):
        await take(store, "interactive", {"type": "block_actions"})
