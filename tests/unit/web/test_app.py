"""The other endpoints, and what every answer carries."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from tests.unit.web.support import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_the_process_is_up_whatever_the_database_does(site: Site) -> None:
    site.ready = False
    assert (await site.get("/healthz")).status == 200


async def test_readiness_follows_the_database(site: Site) -> None:
    assert (await site.get("/readyz")).status == 200
    site.ready = False
    assert (await site.get("/readyz")).status == 503


async def test_the_front_page_names_honk_and_its_version(site: Site) -> None:
    page = await site.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert b"Honk 0." in page.body


async def test_editors_get_the_schema_of_the_policy(site: Site) -> None:
    answer = await site.get("/honk.schema.json")
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "verify" in json.loads(answer.body)["properties"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/nothing", 404),
        ("GET", "/webhooks/github", 405),
        ("POST", "/webhooks/github", 401),
        ("POST", "/webhooks/github/", 401),
        ("GET", "/webhooks/github/", 405),
        ("DELETE", "/", 405),
        ("GET", "/%2e%2e/%00/etc/passwd", 404),
    ],
)
async def test_every_answer_carries_the_security_headers(
    site: Site, method: str, path: str, status: int
) -> None:
    answer = await site.get(path, method)
    assert answer.status == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "server" not in answer.headers


async def test_the_web_process_loads_neither_agent_nor_client_of_github() -> None:
    program = (
        "import sys, app.web.app, app.web.pages, app.web.server\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('githubkit', 'anthropic')"
        " or m.startswith(('app.agent', 'app.runs'))])"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    loaded, _ = await process.communicate()
    assert loaded.strip() == b"[]"
