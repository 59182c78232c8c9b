"""How fast is an event answered that starts nothing, and what would the floor be?

`python -m benchmarks.receiver` measures Honk's receiver and a bare Starlette that does the HMAC and
reads the JSON, each in a process of its own, in turns, with the same load: a signed event of 12 KB
over 64 keep-alive connections. On a shared machine read it as a ratio.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import logs
from app.domain.trigger import OurApp, Signal, Trigger
from app.web.app import WEBHOOK_PATH, create_app
from app.web.server import serve
from app.web.watching import Watched
from benchmarks.load import Load, generate

CONNECTIONS = 64
ROUNDS = 3
SECONDS = 2.5
WARM_UP_SECONDS = 0.5
EVENT_BYTES = 12_000

_SECRET = b"only for measuring"


def main() -> None:
    """Print requests per second and latencies of both."""
    uvloop.run(_measure())


async def _measure() -> None:
    request = delivery()
    best: dict[str, Load] = {}
    for _ in range(ROUNDS):
        for name in ("floor", "honk"):
            load = await _measure_once(name, request)
            if name not in best or load.per_second > best[name].per_second:
                best[name] = load
    for name, load in best.items():
        print(
            f"{name:6} {load.per_second:8,.0f} requests/s   p50 {load.percentile(50):5.1f} ms"
            f"   p99 {load.percentile(99):5.1f} ms   answers {load.statuses}"
        )
    print(f"honk does {best['honk'].per_second / best['floor'].per_second:.0%} of the floor")


async def _measure_once(name: str, request: bytes) -> Load:
    async with serving(name) as port:
        await generate(port, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
        return await generate(port, request, connections=CONNECTIONS, seconds=SECONDS)


@asynccontextmanager
async def serving(name: str, **environment: str) -> AsyncIterator[int]:
    """`honk` or `floor` in a process of its own; gives its port."""
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "benchmarks.receiver", name],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.terminate()
        server.wait()


def delivery(secret: bytes = _SECRET) -> bytes:
    """`issues.labeled` with a label that starts nothing, signed with the secret."""
    event = {
        "action": "labeled",
        "issue": {
            "number": 1,
            "title": "Something is wrong",
            "html_url": "https://github.com/acme/rounding/issues/1",
            "state": "open",
            "created_at": "2026-03-01T08:00:00Z",
            "updated_at": "2026-03-01T08:00:00Z",
            "user": {"login": "reporter", "id": 13, "type": "User"},
            "labels": [{"id": 1, "name": "bug"}],
        },
        "label": {"id": 1, "name": "bug"},
        "repository": {
            "id": 900,
            "full_name": "acme/rounding",
            "default_branch": "main",
            "private": False,
        },
        "sender": {"login": "octo-cat", "id": 11, "type": "User"},
        "installation": {"id": 77},
    }
    # The rest of GitHub's own is addresses; they are read over.
    urls = [f"https://api.github.com/repos/acme/rounding/{n}{{/name}}" for n in range(400)]
    event["urls"] = {f"url_{n}": url for n, url in enumerate(urls)}
    body = json.dumps(event).encode()
    while len(body) > EVENT_BYTES:
        urls.pop()
        event["urls"] = {f"url_{n}": url for n, url in enumerate(urls)}
        body = json.dumps(event).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return (
        f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: honk\r\nUser-Agent: GitHub-Hookshot/1\r\n"
        "X-GitHub-Event: issues\r\nX-GitHub-Delivery: 72d3162e-cc78-11e3-81ab-4c9367dc0958\r\n"
        f"X-Hub-Signature-256: sha256={signature}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


class _NoIntake:
    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        raise AssertionError(f"{trigger.id} should have been ignored")


async def _always_ready() -> None:
    return


async def _no_figures() -> bytes:
    return b""


async def _serve_honk() -> None:
    logs.configure(level=os.environ.get("LOG_LEVEL", "warning"), form="json", secrets=lambda: ())
    app = create_app(
        secrets=[_SECRET],
        app=OurApp(app_id=1, slug="honk"),
        intake=_NoIntake(),
        watched=Watched(_always_ready, _no_figures, "text/plain"),
    )
    await serve(app, host="127.0.0.1", port=0, stop=asyncio.Event(), listening=_announce)


async def _serve_floor() -> None:
    async def receive(request: Request) -> Response:
        body = await request.body()
        expected = "sha256=" + hmac.new(_SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers["x-hub-signature-256"]):
            return Response(status_code=401)
        msgspec.json.decode(body)
        return Response(status_code=204)

    app = Starlette(routes=[Route(WEBHOOK_PATH, receive, methods=["POST"])])
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", log_config=None, access_log=False
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        _announce(listener.getsockname()[1])
        await uvicorn.Server(config).serve(sockets=[listener])


def _announce(port: int) -> None:
    print(port, flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["honk"]:
            uvloop.run(_serve_honk())
        case ["floor"]:
            uvloop.run(_serve_floor())
        case _:
            main()
