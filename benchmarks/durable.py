"""How fast is an event that starts something answered, when it is durable before the answer?

`ONLY=durable make bench`. For a minute comments with a command come at a fixed pace, each a trigger
of its own, while fifty runs work: 150 a second to `honk web` beside a `honk worker` on Postgres, 50
to `honk serve` on SQLite. They are somebody's without write access, so each is taken in, looked at
by an intake of its own and met with silence. Latencies begin when a delivery was due.

The floor, in the same minute and at the same pace: a bare Starlette that checks the signature,
reads the JSON and inserts the body into a table of the same database, one transaction a delivery.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import hmac
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.playground.model import ScriptedTurn
from app.store.database import Database
from app.web.app import WEBHOOK_PATH
from benchmarks.load import Load, paced
from tests.support import postgres
from tests.support.harness import Harness, Subject, never_twice, open_fleet, open_harness

SECONDS = 60.0
RUNS = 50
REPOSITORIES = 5
TURN_SECONDS = 5.0
ON_POSTGRES, ON_SQLITE = 150.0, 50.0
"""Deliveries a second."""

_STRANGER = "rita"
_MARK = "IC_benchmark"
_SECRET, _DATABASE = "BENCH_SECRET", "BENCH_DATABASE"


def main() -> None:
    """Print both databases' latencies next to the floor's, and whether anything was lost."""
    asyncio.run(_on_sqlite())
    with postgres.running() as server:
        asyncio.run(_on_postgres(server.database()))


async def _on_sqlite() -> None:
    with tempfile.TemporaryDirectory(prefix="honk-bench-") as folder:
        url = f"sqlite:///{folder}/honk.db"
        async with open_harness(DATABASE_URL=url, HONK_CONCURRENCY=str(RUNS)) as harness:
            await _measure("SQLite", harness, url, ON_SQLITE)


async def _on_postgres(url: str) -> None:
    settings = {"HONK_CONCURRENCY": str(RUNS)}
    async with open_fleet(url, workers=1, settings=settings) as fleet:
        await _measure("Postgres", fleet, url, ON_POSTGRES)


async def _measure(name: str, harness: Harness, url: str, per_second: float) -> None:
    harness.patience = 400.0
    turns: Counter[str] = Counter()
    subjects = await _set_to_work(harness, turns)
    template = await _a_comment(harness, subjects[0])
    secret = (harness.home / "webhook-secret").read_text()
    assert harness.honk is not None
    port = int(harness.honk.url.rpartition(":")[2])
    async with _floor(url, secret) as floor_port:
        played = turns.total()
        honk, floor = await asyncio.gather(
            *(_load(template, secret, each, per_second) for each in (port, floor_port))
        )
        played = turns.total() - played
    taken, heard = _in_the_database(url)
    _tell("honk", honk, per_second)
    _tell("floor", floor, per_second)
    ratio = honk.percentile(99) / floor.percentile(99)
    answered = honk.statuses.get(202, 0)
    print(
        f"{name}: p99 {ratio:.2f} times the floor's; {answered} answered 202, {taken} of them in"
        f" the database, {heard} heard by the end of the minute; meanwhile {played} turns of"
        f" {RUNS} runs"
    )


async def _set_to_work(harness: Harness, turns: Counter[str]) -> list[Subject]:
    """Runs whose model calls a tool in the sandbox every few seconds, forever."""

    def play(request: dict[str, Any]) -> ScriptedTurn:
        turns[str(request["messages"][0])] += 1
        return never_twice("seq 1 500", request, seconds=TURN_SECONDS)

    harness.model.default = play
    subjects = [await harness.subject() for _ in range(REPOSITORIES)]
    for number in range(REPOSITORIES, RUNS):
        name = subjects[number % REPOSITORIES].repository
        issue = await harness.github.open_issue(name, "olivia", "Wrong", "It is.")
        subjects.append(Subject(harness, name, issue.number))
    for subject in subjects:
        await subject.label()
    await harness.until(lambda: len(turns) == RUNS and min(turns.values()) > 1, "not all work")
    return subjects


async def _a_comment(harness: Harness, subject: Subject) -> dict[str, Any]:
    """The event that GitHub sends for a stranger's comment, as a template for others."""
    await subject.comment("Me too.", by=_STRANGER)
    await harness.github.drained()
    event = copy.deepcopy(
        next(
            each.payload
            for each in reversed(harness.github.deliveries)
            if each.event == "issue_comment" and each.payload["comment"]["body"] == "Me too."
        )
    )
    event["comment"]["body"] = "/honk"
    return event


def _in_the_database(url: str) -> tuple[int, int]:
    """How many of our triggers are stored, and how many of them are finished."""
    database = Database(url)
    table = "workflow_status" if database.is_sqlite else "dbos.workflow_status"
    query = f"SELECT status, count(*) FROM {table} WHERE workflow_uuid LIKE :mark GROUP BY status"  # noqa: S608
    with database.engine.connect() as connection:
        found = connection.execute(sa.text(query), {"mark": f"%{_MARK}%"}).all()
    database.close()
    counts = {status: int(number) for status, number in found}
    return sum(counts.values()), counts.get("SUCCESS", 0)


def _tell(name: str, load: Load, per_second: float) -> None:
    print(
        f"{name:6} {per_second:4.0f}/s  p50 {load.percentile(50):6.1f} ms"
        f"   p99 {load.percentile(99):7.1f} ms   answers {load.statuses}"
    )


# -- the load, from a separate process


@dataclass
class _Order:
    template: dict[str, Any]
    secret: str
    port: int
    per_second: float


async def _load(template: dict[str, Any], secret: str, port: int, per_second: float) -> Load:
    order = json.dumps(vars(_Order(template, secret, port, per_second)))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.durable",
        "load",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    output, _ = await process.communicate(order.encode())
    told = json.loads(output)
    statuses = {int(status): number for status, number in told["statuses"].items()}
    return Load(told["seconds"], told["latencies"], statuses)


async def _send() -> None:
    order = _Order(**json.loads(sys.stdin.read()))
    load = await paced(order.port, _requests(order), per_second=order.per_second)
    print(json.dumps(vars(load)))


def _requests(order: _Order) -> Iterator[bytes]:
    event = order.template
    for number in range(int(order.per_second * SECONDS)):
        event["comment"]["node_id"] = f"{_MARK}{number}"
        event["comment"]["id"] = 10_000_000 + number
        body = json.dumps(event).encode()
        signature = hmac.new(order.secret.encode(), body, hashlib.sha256).hexdigest()
        yield (
            f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: honk\r\nX-GitHub-Event: issue_comment\r\n"
            f"X-Hub-Signature-256: sha256={signature}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body


# -- the floor


@asynccontextmanager
async def _floor(url: str, secret: str) -> AsyncIterator[int]:
    """Start the bare receiver in a separate process; return its port."""
    server = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-m", "benchmarks.durable", "floor"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, _SECRET: secret, _DATABASE: url},
    )
    try:
        assert server.stdout is not None
        yield int(await asyncio.to_thread(server.stdout.readline))
    finally:
        server.terminate()
        server.wait()


async def _serve_floor(secret: bytes, database: Database) -> None:
    table = sa.Table(
        "bench_floor",
        sa.MetaData(),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
    )
    database.transact(lambda connection: table.create(connection))

    async def receive(request: Request) -> Response:
        body = await request.body()
        expected = "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, request.headers["x-hub-signature-256"]):
            return Response(status_code=401)
        row = {"id": msgspec.json.decode(body)["comment"]["node_id"], "body": body.decode()}
        await database.run(lambda connection: connection.execute(sa.insert(table).values(**row)))
        return Response(status_code=202)

    app = Starlette(routes=[Route(WEBHOOK_PATH, receive, methods=["POST"])])
    config = uvicorn.Config(
        app, http="httptools", lifespan="off", log_config=None, access_log=False
    )
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        print(listener.getsockname()[1], flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["load"]:
            uvloop.run(_send())
        case ["floor"]:
            uvloop.run(_serve_floor(os.environ[_SECRET].encode(), Database(os.environ[_DATABASE])))
        case _:
            main()
