"""Who gets an attestation as a file, and that everybody gets the keys to check it with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from app.domain import dsse
from app.domain.attestation import PAYLOAD_TYPE
from app.domain.dsse import Envelope
from app.domain.trigger import Signal, Trigger
from app.domain.values import RepoName, RunId
from app.github.people import Access
from app.settings import Settings
from app.store.attestations import Attestations, StoredAttestation
from app.store.database import Database
from app.web.attestations import KEYS_PATH, AttestationDownloads, key_route
from app.web.login import AuthMiddleware
from app.web.pages import open_pages
from app.web.rendering import Renderer
from app.web.repository_access import RepositoryAccess
from app.web.sessions import Cookies, WebSession
from tests.support.keys import signing_key

ID = "0" * 32
PATH = f"/attestations/{ID}"
SECRET = SecretStr("a-session-secret-that-is-long-enough-for-all")


class NoTriggers:
    """A queue that nothing may enter."""

    async def enqueue(self, trigger: Trigger | Signal) -> Literal["accepted", "known"]:
        raise AssertionError(trigger)


class OneReader:
    """GitHub, where only Olivia can read the repository with the id 7."""

    async def access(self, token: SecretStr, repo: RepoName, repository_id: int) -> Access:
        may = (token.get_secret_value(), str(repo), repository_id) == ("olivia", "acme/one", 7)
        return Access.READ if may else Access.NONE


@dataclass
class Site:
    client: httpx.AsyncClient
    cookies: Cookies
    database: Database

    async def get(self, path: str, login: str = "") -> httpx.Response:
        session = WebSession(login, 1, login, "form", time.time() + 60)
        headers = {"cookie": f"honk-session={self.cookies.seal(session)}"} if login else {}
        return await self.client.get(path, headers=headers)


@pytest.fixture(name="site")
async def _site(tmp_path: Path) -> AsyncIterator[Site]:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    kept, key = Attestations(database), signing_key(1)
    await kept.publish(signing_key(2).public)
    payload = b'{"is": "signed"}'
    signature = (key.public.key_id, key.sign(PAYLOAD_TYPE, payload))
    stored = StoredAttestation(
        id=ID,
        repository="Acme/One",
        repository_id=7,
        run_id=RunId("run"),
        base_sha="a" * 40,
        head_sha="b" * 40,
        created_at=1.0,
        envelope=Envelope(PAYLOAD_TYPE, payload, (signature,)),
    )
    await kept.put(stored, key.public)
    people = cast("Any", OneReader())
    cookies = Cookies(SECRET, is_secure=False)
    auth = AuthMiddleware(people, RepositoryAccess(people), cookies, Renderer((), time.time))
    routes = [key_route(kept), AttestationDownloads(auth, kept).route()]
    transport = httpx.ASGITransport(Starlette(routes=routes))
    async with httpx.AsyncClient(transport=transport, base_url="http://honk") as client:
        yield Site(client, cookies, database)
    database.close()


async def test_a_reader_of_the_repository_gets_a_file_whose_signature_fits(site: Site) -> None:
    answer = await site.get(PATH, "olivia")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == (
        'attachment; filename="acme-one-bbbbbbb.intoto.json"'
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    keys = dsse.key_set((await site.get(KEYS_PATH)).content)
    envelope = Envelope.from_json(answer.content)
    assert envelope.signer(keys) == signing_key(1).public.key_id
    assert envelope.payload == b'{"is": "signed"}'


async def test_to_others_it_does_not_exist(site: Site) -> None:
    hidden = await site.get(PATH, "rita")
    unknown = await site.get(f"/attestations/{'1' * 32}", "rita")
    odd = [
        await site.get(f"/attestations/{name}", "olivia")
        for name in ("x", "0" * 33, "%00", "..%2fruns", "' or 1=1 --", "Ä" * 32)
    ]
    assert {each.status_code for each in (hidden, unknown, *odd)} == {404}
    assert hidden.text == unknown.text
    assert "signed" not in hidden.text


async def test_a_visitor_returns_to_the_page_after_signing_in(site: Site) -> None:
    answer = await site.get(PATH)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?then=%2Fattestations%2F{ID}"


async def test_everybody_gets_all_keys_and_nothing_secret(site: Site) -> None:
    answer = await site.get(KEYS_PATH)
    assert answer.headers["access-control-allow-origin"] == "*"
    found = json.loads(answer.content)["keys"]
    assert {jwk["kid"] for jwk in found} == {signing_key(n).public.key_id for n in (1, 2)}
    assert {*found[0]} == {"kty", "crv", "x", "kid", "use", "alg"}  # `d` is the private half


async def test_while_the_database_is_away_nothing_is_claimed(site: Site) -> None:
    site.database.transact(
        lambda c: c.exec_driver_sql("alter table attestation_keys rename to gone")
    )
    answer = await site.get(KEYS_PATH)
    assert answer.status_code == 503
    assert "keys" not in answer.json()


async def test_without_sign_in_the_keys_are_there_and_the_files_are_not(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    settings = Settings(_env_file=None)
    async with open_pages(settings, database, NoTriggers(), asyncio.Event()) as routes:
        transport = httpx.ASGITransport(Starlette(routes=routes))
        async with httpx.AsyncClient(transport=transport, base_url="http://honk") as client:
            assert (await client.get(KEYS_PATH)).json() == {"keys": []}
            for path in (PATH, "/runs", "/usage"):
                assert (await client.get(path)).status_code == 503
            # The front page, which health checks of platforms ask for, is the application's.
            assert (await client.get("/")).status_code == 404
    database.close()
