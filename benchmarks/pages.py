"""How fast are the pages with a large history, and how soon does a turn reach who watches?

`ONLY=pages make bench`: a SQLite database with `RUNS` (100,000) runs, one of which has 2,000 turns.
The floor of a page is its own templates with the same values in memory: no database, no session, no
question to GitHub. Requests go straight into the ASGI application, so that no client counts. Then
turns are recorded while 1 and 100 people watch the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.types import ASGIApp

from app.domain.values import RunId
from app.github.people import People
from app.store.database import Database, now
from app.store.run_lists import RunLists
from app.store.schema import runs, turns
from app.store.turns import Turns
from app.web.login import AuthMiddleware
from app.web.pages import Pages
from app.web.rendering import STATIC, Renderer
from app.web.repository_access import RepositoryAccess
from app.web.run_page import RunPages
from app.web.sessions import Cookies, WebSession
from tests.support.runs import LARGE, open_run

RUNS = int(os.environ.get("RUNS", "100000"))
TURNS = 2_000
ROUNDS = 60
RECORDED = 15
BATCH = 5_000
REPOSITORIES = 30
WATCHED = "watched"

_SECRET = SecretStr("only-for-measuring-and-long-enough-for-that")


def main() -> None:
    """Print the pages' times as multiples of their floors, their sizes, and the delays of turns."""
    with tempfile.TemporaryDirectory(prefix="honk-bench-pages-") as folder:
        asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> None:
    database = Database(f"sqlite:///{folder / 'honk.db'}")
    database.migrate()
    await _fill(database)
    async with _site(database) as (site, renderer, cookie):
        for path in ("/runs", f"/runs/{WATCHED}"):
            await _measure_page(site, renderer, cookie(1), path)
        for watchers in (1, 100):
            delays = await _measure_stream(site, cookie, database, watchers)
            print(
                f"a turn on the page, {watchers} watching: median {statistics.median(delays):.2f} s"
                f", p99 {sorted(delays)[int(len(delays) * 0.99)]:.2f} s"
            )
    database.close()


async def _fill(database: Database) -> None:
    run = await open_run(database, WATCHED, "acme/one", 1)
    await open_run(database, "other", "acme/one", 2)
    columns = [column.name for column in runs.columns]

    def copy(connection: sa.Connection) -> None:
        row = connection.execute(sa.select(runs).where(runs.c.id == "other")).mappings().one()
        first = now() - RUNS
        for begin in range(0, RUNS, BATCH):
            rows = []
            for number in range(begin, min(RUNS, begin + BATCH)):
                repository = f"acme/r{number % REPOSITORIES}"
                one = {name: row[name] for name in columns} | {
                    "id": f"r{number}",
                    "trigger_id": f"t{number}",
                    "subject": f"{repository}#{number}",
                    "repository": repository,
                    "number": number,
                    "phase": "finished",
                    "outcome": "done",
                    "created_at": first + number,
                    "finished_at": first + number + 60,
                }
                rows.append(one)
            connection.execute(sa.insert(runs), rows)
        connection.execute(
            sa.insert(turns),
            [
                {"run_id": run.id, "seq": seq, "record": _record(seq), "created_at": first + seq}
                for seq in range(TURNS)
            ],
        )

    await database.run(copy)


def _record(seq: int) -> dict[str, Any]:
    if seq % 2:
        content: list[dict[str, Any]] = [
            {"type": "text", "text": f"Now I look at **file {seq}** and its tests."},
            {
                "type": "tool_use",
                "id": f"call-{seq}",
                "name": "bash",
                "input": {"command": f"sed -n 1,80p app/file_{seq}.py"},
            },
        ]
        return {"seq": seq, "role": "assistant", "content": content}
    output = "\n".join(f"def function_{line}(value): return value + {line}" for line in range(60))
    result = {"type": "tool_result", "tool_use_id": f"call-{seq - 1}", "content": output}
    return {"seq": seq, "role": "user", "content": [result]}


class _NoTriggers:
    async def enqueue(self, trigger: object) -> Any:
        raise AssertionError(trigger)


class _KeepingRenderer(Renderer):
    """A renderer that keeps what it was asked to render."""

    def __init__(self, secrets: tuple[str, ...], clock: Callable[[], float]) -> None:
        super().__init__(secrets, clock)
        self.calls: list[Callable[[], object]] = []

    def page(self, template: str, status: int = 200, **values: Any) -> Any:
        made = super().page
        self.calls.append(lambda: made(template, status, **values))
        return made(template, status, **values)

    def fragment(self, template: str, **values: Any) -> Any:
        made = super().fragment
        self.calls.append(lambda: made(template, **values))
        return made(template, **values)


Site = tuple[ASGIApp, _KeepingRenderer, Callable[[int], str]]
"""The application, its renderer, and a cookie for each person by number."""


@asynccontextmanager
async def _site(
    database: Database,
) -> AsyncIterator[tuple[ASGIApp, _KeepingRenderer, Callable[[int], str]]]:
    def github(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"id": LARGE, "permissions": {"push": True}})

    client = httpx.AsyncClient(transport=httpx.MockTransport(github))
    people = People(client, "https://gh.test", "https://gh.test/api/v3", "id", SecretStr("s"))
    cookies = Cookies(_SECRET, is_secure=False)
    renderer = _KeepingRenderer((), time.time)
    auth = AuthMiddleware(people, RepositoryAccess(people), cookies, renderer)
    server = "https://gh.test"
    pages = Pages(auth, RunLists(database), server, "")
    stop = asyncio.Event()
    run_pages = RunPages(auth, database, _NoTriggers(), "honk", server, stop)

    def cookie(number: int) -> str:
        session = WebSession("olivia", number, f"ghu_{number}", "form", time.time() + 3600)
        return f"honk-session={cookies.seal(session)}"

    site = Starlette(routes=[*pages.routes(), *run_pages.routes()])
    yield site, renderer, cookie
    stop.set()
    await client.aclose()


async def _measure_page(site: ASGIApp, renderer: _KeepingRenderer, cookie: str, path: str) -> None:
    renderer.calls.clear()
    body = await _get(site, path, cookie)
    calls = list(renderer.calls)
    took, plain = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await _get(site, path, cookie)
        took.append(time.perf_counter() - began)
        began = time.perf_counter()
        for call in calls:
            call()
        plain.append(time.perf_counter() - began)
    page, floor = statistics.median(took), statistics.median(plain)
    assets = sum((STATIC / name).stat().st_size for name in ("honk.css", "mark.svg"))
    assets += (
        (STATIC / re.findall(rb"/static/(\w+\.js)|$", body)[0].decode()).stat().st_size
        if (b".js" in body)
        else 0
    )
    print(
        f"{path}: {page * 1000:.1f} ms, {page / floor:.1f} times its templates alone "
        f"({floor * 1000:.1f} ms); first load {(len(body) + assets) / 1024:.0f} KiB"
    )


async def _get(site: ASGIApp, path: str, cookie: str) -> bytes:
    parts: list[bytes] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200, message
        parts.append(message.get("body", b""))

    await _ask(site, path, cookie, send)
    return b"".join(parts)


async def _ask(site: ASGIApp, path: str, cookie: str, send: Callable[[Any], Any]) -> None:
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"honk"), (b"cookie", cookie.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    await site(scope, receive, send)


async def _measure_stream(
    site: ASGIApp, cookie: Callable[[int], str], database: Database, watchers: int
) -> list[float]:
    """The seconds from recording a turn until each watcher has it."""
    recorded: dict[int, float] = {}
    delays: list[float] = []
    ready: set[int] = set()

    def watcher(number: int) -> Callable[[Any], Any]:
        async def send(message: Any) -> None:
            for event in message.get("body", b"").split(b"\n\n"):
                if b"event: part" in event:
                    ready.add(number)
                found = re.search(rb'"id": "step-(\d+)"', event)
                if found and int(found[1]) in recorded:
                    delays.append(time.perf_counter() - recorded[int(found[1])])

        return send

    path = f"/runs/{WATCHED}/events"
    tasks = [asyncio.create_task(_ask(site, path, cookie(n), watcher(n))) for n in range(watchers)]
    while len(ready) < watchers:  # noqa: ASYNC110 - each watcher is in another task
        await asyncio.sleep(0.1)
    store = Turns(database, RunId(WATCHED))
    begin = await store.last() + 1
    begin += 1 - begin % 2
    for seq in range(begin, begin + 2 * RECORDED, 2):
        recorded[seq] = time.perf_counter()
        await store.record(seq, _record(seq), cost_usd=0.0, snapshot=None, by_model=True)
        await asyncio.sleep(0.7)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    expected = watchers * RECORDED
    assert len(delays) == expected, json.dumps({"got": len(delays), "wanted": expected})
    return delays
