"""Webhooks as they arrive, and the log of their deliveries."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.playground.serving import serve_app

from .conftest import REPO, World

pytestmark = pytest.mark.asyncio(loop_scope="session")


@dataclass
class Receiver:
    """Somebody's webhook address; answers with `status`."""

    status: int = 202
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: Request) -> Response:
        self.came.append((dict(request.headers), await request.body()))
        return PlainTextResponse("thanks", self.status)

    def events(self) -> list[tuple[str, str | None]]:
        return [(h["x-github-event"], json.loads(body).get("action")) for h, body in self.came]

    def payload(self, index: int) -> dict[str, Any]:
        whole: dict[str, Any] = json.loads(self.came[index][1])
        return whole


@pytest_asyncio.fixture(loop_scope="session")
async def receiver(world: World) -> AsyncIterator[Receiver]:
    made = Receiver()
    app = Starlette(routes=[Route("/hook", made.take, methods=["POST"])])
    async with serve_app(app) as url:
        world.github.webhook_url = f"{url}/hook"
        yield made


async def test_events_are_signed_and_in_order(world: World, receiver: Receiver) -> None:
    await world.github.open_issue(REPO, "reader", "Ä", "x")
    await world.github.add_label(REPO, 1, "honk", "triager")
    await world.github.comment(REPO, 1, "reader", "/honk")
    await world.github.drained()
    expected = [("issues", "opened"), ("issues", "labeled"), ("issue_comment", "created")]
    assert receiver.events() == expected
    for headers, body in receiver.came:
        signature = hmac.new(b"webhook-secret", body, hashlib.sha256).hexdigest()
        assert headers["x-hub-signature-256"] == f"sha256={signature}"
        assert headers["content-type"] == "application/json"
        assert headers["x-github-hook-installation-target-id"] == "7"
    assert len({headers["x-github-delivery"] for headers, _ in receiver.came}) == 3
    labeled, comment = receiver.payload(1), receiver.payload(2)
    assert labeled["label"]["name"] == "honk"
    assert labeled["sender"]["login"] == "triager"
    assert labeled["repository"]["full_name"] == REPO
    assert labeled["installation"]["id"]
    assert comment["comment"]["author_association"] == "COLLABORATOR"
    assert comment["comment"]["user"]["type"] == "User"


async def test_what_the_app_does_comes_back(world: World, receiver: Receiver) -> None:
    await world.branch("feat")
    await world.pull()
    await world.repo("POST", "/issues/1/comments", {"body": "x"})
    await world.repo("POST", "/issues/1/labels", {"labels": ["honk:done"]})
    await world.clone(await world.token())
    await world.git("checkout", "-q", "feat", folder="work")
    sha = await world.commit("c.py", "x\n", "feat")
    await world.git("push", "-q", "origin", "feat", "feat:refs/honk/1", folder="work")
    await world.github.drained()
    assert receiver.events() == [
        ("push", None),
        ("check_suite", "requested"),
        ("pull_request", "opened"),
        ("issue_comment", "created"),
        ("pull_request", "labeled"),
        ("push", None),
        ("check_suite", "requested"),
        ("pull_request", "synchronize"),
    ]
    senders = {receiver.payload(index)["sender"]["login"] for index in range(8)}
    assert senders == {"honk[bot]"}
    assert receiver.payload(3)["comment"]["performed_via_github_app"]["id"] == 7
    push = receiver.payload(5)
    assert (push["ref"], push["after"]) == ("refs/heads/feat", sha)
    assert push["head_commit"]["added"] == ["c.py"]
    assert receiver.payload(7)["pull_request"]["head"]["sha"] == sha


async def test_forms(world: World, receiver: Receiver) -> None:
    world.github.webhook_content_type = "form"
    await world.github.open_issue(REPO, "reader", "a&b=ü")
    await world.github.drained()
    headers, body = receiver.came[0]
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    payload = json.loads(parse_qs(body.decode())["payload"][0])
    assert payload["issue"]["title"] == "a&b=ü"
    signature = hmac.new(b"webhook-secret", body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={signature}"


async def test_nothing_is_sent_again_by_itself(world: World, receiver: Receiver) -> None:
    receiver.status = 503
    await world.github.open_issue(REPO, "reader", "x")
    await world.github.drained()
    assert len(receiver.came) == 1
    [entry] = (await world.ask("GET", "/app/hook/deliveries")).json()
    assert (entry["status_code"], entry["redelivery"]) == (503, False)
    whole = (await world.ask("GET", f"/app/hook/deliveries/{entry['id']}")).json()
    assert whole["request"]["payload"]["issue"]["title"] == "x"
    assert whole["request"]["headers"]["X-GitHub-Delivery"] == entry["guid"]
    assert whole["response"]["payload"] == "thanks"
    receiver.status = 202
    path = f"/app/hook/deliveries/{entry['id']}/attempts"
    assert (await world.ask("POST", path)).status_code == 202
    await world.github.drained()
    again, first = (await world.ask("GET", "/app/hook/deliveries")).json()
    assert (again["guid"], again["redelivery"]) == (first["guid"], True)
    assert again["id"] != first["id"]
    assert receiver.came[0][1] == receiver.came[1][1]
    failed = (await world.ask("GET", "/app/hook/deliveries?status=failure")).json()
    assert [one["id"] for one in failed] == [first["id"]]


async def test_an_unreachable_address_is_logged(world: World) -> None:
    world.github.webhook_url = "http://127.0.0.1:1/hook"
    for number in range(3):
        await world.github.open_issue(REPO, "reader", str(number))
    await world.github.drained()
    seen, path = [], "/app/hook/deliveries?per_page=2"
    while path:
        page = await world.ask("GET", path)
        seen += page.json()
        link = page.links.get("next", {}).get("url", "")
        path = link.removeprefix(world.github.api_url)
    assert [one["status_code"] for one in seen] == [502, 502, 502]
    assert seen == sorted(seen, key=lambda one: -one["id"])
    assert (await world.ask("GET", "/app/hook/deliveries/1")).status_code == 404


async def test_only_what_is_subscribed_and_installed(world: World, receiver: Receiver) -> None:
    await world.github.add_repository("octo/away", files={"x": b""}, installed=False)
    await world.github.open_issue("octo/away", "octo", "x")
    assert (await world.ask("GET", "/repos/octo/away/installation")).status_code == 404
    await world.github.drained()
    assert receiver.came == []


async def test_the_log_is_kept_for_three_days(world: World, receiver: Receiver) -> None:
    world.github.world.webhooks.delay = 0.1
    await world.github.open_issue(REPO, "reader", "x")
    assert receiver.came == []
    await world.github.drained()
    assert len(receiver.came) == 1
    [entry] = (await world.ask("GET", "/app/hook/deliveries")).json()
    world.github.clock.advance(3 * 24 * 3600 + 1)
    now = int(world.github.clock.timestamp())
    later = world.jwt(iat=now, exp=now + 60)
    assert (await world.ask("GET", "/app/hook/deliveries", token=later)).json() == []
    path = f"/app/hook/deliveries/{entry['id']}"
    assert (await world.ask("GET", path, token=later)).status_code == 404
    assert (await world.ask("POST", f"{path}/attempts", token=later)).status_code == 404
