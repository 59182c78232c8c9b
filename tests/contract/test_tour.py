"""Every endpoint of the simulated GitHub, and a whole run of the product, against the contract."""

from __future__ import annotations

from pathlib import Path

import httpx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.playground.github import AppRegistration, GitHub, graphql, serve
from app.playground.github.app import ROUTER
from tests.support.harness import FINISH, FIX, open_harness, script
from tests.support.openapi import SESSION, contract

from .tour import EVENTS, PERMISSIONS, REPO, Tour


async def test_every_endpoint_keeps_the_contract(tmp_path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    app = AppRegistration(7, "honk", pem, "secret", permissions=PERMISSIONS, events=EVENTS)
    github = GitHub.create(tmp_path / "github", app)
    people = {"writer": "write", "reader": "read"}
    files = {"a.py": b"one\n", "src/b.py": b"two\n"}
    await github.add_repository(REPO, files=files, permissions=people)
    async with serve(github), httpx.AsyncClient(trust_env=False) as client:
        with contract(github) as seen:
            await Tour(github, key, client).go()
            await github.drained()
    went_well = {(r.method, r.template) for r in github.requests if r.status < 400}
    missed = {(one.method, one.template) for one in ROUTER.endpoints} - went_well
    assert missed == set(), "the tour leaves these out"
    said = "\n".join(r.body["query"] for r in github.requests if r.template == "/graphql")
    fields = graphql.QUERIES.keys() | graphql.MUTATIONS.keys()
    assert {name for name in fields if name not in said} == set(), "nobody asked for these"
    events = {(one.event, one.action) for one in github.deliveries}
    assert {event for event, _ in events} >= set(EVENTS) - {"release"}
    assert min(seen.totals.values()) > 0


async def test_a_run_of_the_product_keeps_the_contract() -> None:
    before = SESSION.totals.copy()
    async with open_harness() as harness:
        subject = await harness.subject(plays=script([FIX], [{"verify": {}}], [FINISH]))
        await subject.label()
        await subject.settled()
        assert subject.labels == ["honk:done"]
    made = SESSION.totals - before
    assert made["requests"] > 20
    assert made["answers"] > 20
    assert made["webhooks"] > 10
