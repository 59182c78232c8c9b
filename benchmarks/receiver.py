"""How fast is an event answered that starts nothing, and what would the floor be?

`python -m benchmarks.receiver` measures Honk's receiver, a bare Starlette that does the HMAC and
reads the JSON, and Probot with a handler that does nothing, each in a process of its own, in turns,
with the same load: a signed event of 12 KB over 64 keep-alive connections. On a shared machine read
it as a ratio. Where npm cannot fetch Probot, it says so and measures the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import logs
from app.domain.trigger import AppIdentity, Signal, Trigger
from app.web.app import WEBHOOK_PATH, create_app
from app.web.health import HealthChecks
from app.web.server import serve
from benchmarks.load import Load, generate
from benchmarks.processes import ticks

CONNECTIONS = 64
ROUNDS = 7
SECONDS = 2.5
WARM_UP_SECONDS = 0.5
EVENT_BYTES = 12_000

_SECRET = b"only for measuring"
_PROBOT = Path(__file__).parent / "probot"


def main() -> None:
    """Print requests per second and latencies of each."""
    servers = ["floor", "honk"]
    if _fetch_probot():
        servers.append("probot")
    else:
        print("Probot skipped: it needs npm, and the network the first time")
    uvloop.run(_measure(servers))


def _fetch_probot() -> bool:
    """Whether the locked Probot packages are installed; fetched now if they were not."""
    if (_PROBOT / "node_modules/probot").exists():
        return True
    if not shutil.which("npm"):
        return False
    fetch = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    return (
        subprocess.run(fetch, cwd=_PROBOT, stdout=subprocess.DEVNULL, check=False).returncode == 0
    )


async def _measure(servers: list[str]) -> None:
    request = delivery()
    rounds = [{name: await _measure_once(name, request) for name in servers} for _ in range(ROUNDS)]
    for name in servers:
        loads = [each[name][0] for each in rounds]
        print(
            f"{name:6} {_median(load.per_second for load in loads):8,.0f} requests/s"
            f"   p50 {_median(load.percentile(50) for load in loads):5.1f} ms"
            f"   p99 {_median(load.percentile(99) for load in loads):5.1f} ms"
            f"   processor {_median(each[name][1] for each in rounds):4.0f} microseconds each"
            f"   answers {loads[-1].statuses}"
        )
    for name in servers:
        if name != "honk":
            rate = _median(each["honk"][0].per_second / each[name][0].per_second for each in rounds)
            print(f"honk does {rate:.2f} times what {name} does")


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


async def _measure_once(name: str, request: bytes) -> tuple[Load, float]:
    """The answers, and CPU microseconds for each."""
    async with serving_process(name) as (port, pid):
        await generate(port, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
        before = ticks(pid)
        load = await generate(port, request, connections=CONNECTIONS, seconds=SECONDS)
        seconds = (ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
        return load, seconds / len(load.latencies) * 1e6


@asynccontextmanager
async def serving(name: str, **environment: str) -> AsyncIterator[int]:
    """Start `honk`, `floor` or `probot` in a separate process; return its port."""
    async with serving_process(name, **environment) as (port, _):
        yield port


@asynccontextmanager
async def serving_process(name: str, **environment: str) -> AsyncIterator[tuple[int, int]]:
    """The same; return its port and its process id."""
    ours = [sys.executable, "-m", "benchmarks.receiver", name]
    server = subprocess.Popen(  # noqa: ASYNC220
        ["node", str(_PROBOT / "server.mjs")] if name == "probot" else ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={
            **os.environ,
            "NODE_ENV": "production",
            "SECRET": _SECRET.decode(),
            "WEBHOOK_PATH": WEBHOOK_PATH,
            **environment,
        },
    )
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline()), server.pid
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
    # The other members that GitHub sends are URLs, which are skipped.
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
        app=AppIdentity(app_id=1, slug="honk"),
        intake=_NoIntake(),
        watched=HealthChecks(_always_ready, _no_figures, "text/plain"),
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
