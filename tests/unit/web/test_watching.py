"""Who may read what about a process: health, readiness, metrics."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest

from app.errors import RetryableError
from app.web.health import HealthChecks, create_health_app

HERE = ("127.0.0.1", 4711)
ELSEWHERE = ("203.0.113.7", 4711)


@dataclass
class Process:
    away: bool = False
    asked: int = 0
    told: bytes = field(default=b"honk_usd_total 1.5\n")

    async def ready(self) -> None:
        if self.away:
            raise RetryableError("The lease was not renewed lately.")

    async def metrics(self) -> bytes:
        self.asked += 1
        await self.ready()
        return self.told

    async def get(
        self,
        path: str,
        client: tuple[str, int] = HERE,
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        app = create_health_app(HealthChecks(self.ready, self.metrics, "text/plain", token))
        transport = httpx.ASGITransport(app, client=client)
        async with httpx.AsyncClient(transport=transport, base_url="http://honk") as session:
            return await session.get(path, headers=headers)


async def test_up_is_not_ready() -> None:
    process = Process()
    assert (await process.get("/readyz")).status_code == 200
    process.away = True
    assert (await process.get("/readyz")).status_code == 503
    assert (await process.get("/healthz")).status_code == 200


async def test_metrics_are_served_on_this_machine() -> None:
    answer = await Process().get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == "honk_usd_total 1.5\n"
    assert (await Process().get("/metrics", client=("::1", 1))).status_code == 200


async def test_while_the_database_is_away_there_are_none() -> None:
    answer = await Process(away=True).get("/metrics")
    assert answer.status_code == 503


@pytest.mark.parametrize("client", [ELSEWHERE, ("", 0), ("not an address", 1)])
async def test_other_machines_do_not_get_them(client: tuple[str, int]) -> None:
    process = Process()
    answer = await process.get("/metrics", client=client)
    assert answer.status_code == 403
    assert "HONK_METRICS_TOKEN" in answer.text
    assert process.asked == 0


async def test_a_proxy_on_this_machine_is_not_this_machine() -> None:
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        answer = await Process().get("/metrics", headers={header: "203.0.113.7"})
        assert answer.status_code == 403, header


@pytest.mark.parametrize(
    ("given", "status"),
    [("Bearer right", 200), ("bearer right", 200), ("Bearer wrong", 401), ("Basic right", 401)],
)
async def test_with_the_token_other_machines_get_them(given: str, status: int) -> None:
    answer = await Process().get("/metrics", ELSEWHERE, "right", {"Authorization": given})
    assert answer.status_code == status


async def test_with_a_token_this_machine_needs_it_too() -> None:
    assert (await Process().get("/metrics", token="right")).status_code == 401
