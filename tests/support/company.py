"""A harness in a company: an Enterprise Server with a private CA, behind a single proxy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.playground.run import environment
from app.playground.serving import serve_app
from tests.support.harness import Harness, a_home, open_harness_in
from tests.support.surroundings import Alone, Surroundings, surroundings

GITHUB, MODEL = "github.corp.test", "model.corp.test"
PACKAGES, TRACES = "packages.corp.test", "traces.corp.test"


@dataclass
class Company(Harness):
    """The product alone in a network namespace; it reaches everything by name through the proxy."""

    network: Surroundings | None = None
    traced: list[bytes] = field(default_factory=list)

    async def start(self) -> None:
        """Start the product with what its operator would set there, and no more."""
        await self._lay_out()
        assert self.network is not None
        self.start_by = Alone(self.network.socket)
        self.honk = await self._serve("serve")
        # Nothing gets in, so GitHub's log is read.
        self.github.webhook_url = None

    async def _lay_out(self) -> None:
        enter = self._stack.enter_async_context
        self.network = await enter(surroundings(self.home / "network"))
        put = self.network.put
        traces = await enter(serve_app(self._collector()))
        self.github.url = await put(GITHUB, self.settings.pop("GITHUB_SERVER_URL"))
        self.settings |= {
            "GITHUB_API_URL": f"{self.github.url}/api/v3",
            "ANTHROPIC_BASE_URL": await put(MODEL, self.settings["ANTHROPIC_BASE_URL"]),
            "OTEL_EXPORTER_OTLP_ENDPOINT": await put(TRACES, traces),
            "HONK_INTAKE": "log",
            # Setup may reach names that only the proxy can resolve.
            "HONK_EGRESS_NETWORKS": "0.0.0.0/0",
            **self.network.settings,
        }
        await put(PACKAGES, await enter(serve_app(_package)))

    def _collector(self) -> Any:
        async def collect(scope: Any, receive: Any, send: Any) -> None:
            self.traced.append((await receive())["body"])
            await _answer(send, b"")

        return collect

    async def doctor(self, **settings: str) -> tuple[int, dict[str, Any]]:
        """Run `honk doctor --json` in this network; its exit code and output."""
        assert self.network is not None
        log = (self.home / "doctor.log").open("ab")
        given = environment({**self.settings, **settings})
        words = ("app", "doctor", "--json")
        process = Alone(self.network.socket)(words, given, self.home, log)
        assert process.stdout is not None
        said = await asyncio.to_thread(process.stdout.read)
        code = await asyncio.to_thread(process.wait)
        process.stdout.close()
        log.close()
        return code, json.loads(said)


@asynccontextmanager
async def open_company() -> AsyncIterator[Company]:
    """A new company with the product running in it."""
    with a_home() as home:
        async with open_harness_in(home, {}, Company) as harness:
            assert isinstance(harness, Company)
            yield harness


async def _package(scope: Any, receive: Any, send: Any) -> None:
    await _answer(send, b"package")


async def _answer(send: Any, body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})
