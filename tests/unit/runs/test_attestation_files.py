"""An attestation is believed only with a key that a person chose, whatever the file says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.routing import Route

from app.domain import attestation
from app.domain.attestation import PAYLOAD_TYPE
from app.domain.dsse import MAX_ENVELOPE_BYTES, Envelope, SigningKey
from app.errors import UserError
from app.outgoing import DIRECT
from app.playground.serving import serve_app
from app.runs import attestation_files
from app.store.database import Database
from tests.support.evidence import HEAD, attested
from tests.support.keys import signing_key


def signed(key: SigningKey, payload: bytes | None = None) -> Envelope:
    payload = attestation.payload(attested()) if payload is None else payload
    return Envelope(PAYLOAD_TYPE, payload, ((key.public.key_id, key.sign(PAYLOAD_TYPE, payload)),))


def key_file(folder: Path, *keys: SigningKey) -> str:
    path = folder / "keys.json"
    path.write_text(json.dumps({"keys": [key.public.as_jwk() for key in keys]}))
    return str(path)


@pytest.fixture(name="url")
async def _url() -> AsyncIterator[str]:
    key = signing_key(1).public.as_jwk()
    routes = [
        Route("/keys", lambda _: JSONResponse({"keys": [key]})),
        Route("/text", lambda _: PlainTextResponse("no keys")),
        Route("/long", lambda _: PlainTextResponse(" " * (5 << 20))),
        Route("/moved", lambda _: RedirectResponse("/keys")),
    ]
    async with serve_app(Starlette(routes=routes)) as address:
        yield address


async def test_a_good_file_is_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.intoto.json"
    path.write_bytes(signed(signing_key(1)).as_json())
    trusted, source = await attestation_files.keys(
        key_file(tmp_path, signing_key(2), signing_key(1)), None, DIRECT
    )
    envelope = await attestation_files.read_file(path)
    assert attestation_files.check(envelope, trusted) == (
        attested(),
        signing_key(1).public.key_id,
    )
    assert source.endswith("keys.json")


async def test_a_changed_payload_is_not_believed(tmp_path: Path) -> None:
    trusted, _ = await attestation_files.keys(key_file(tmp_path, signing_key(1)), None, DIRECT)
    good = signed(signing_key(1))
    changed = good.payload.replace(b"not-proven", b"proven").replace(b'"FFPP"', b'"PPPP"')
    assert changed != good.payload
    with pytest.raises(UserError, match="Don't trust"):
        attestation_files.check(Envelope(PAYLOAD_TYPE, changed, good.signatures), trusted)


async def test_another_honks_key_is_not_trusted_by_itself(tmp_path: Path) -> None:
    trusted, _ = await attestation_files.keys(key_file(tmp_path, signing_key(1)), None, DIRECT)
    with pytest.raises(UserError, match="not trusted") as caught:
        attestation_files.check(signed(signing_key(2)), trusted)
    assert "--keys https://" in caught.value.next_step


async def test_without_keys_nothing_is_believed() -> None:
    trusted, source = await attestation_files.keys(None, None, DIRECT)
    assert (trusted, source) == ({}, "this Honk's database")
    with pytest.raises(UserError, match="not trusted"):
        attestation_files.check(signed(signing_key(1)), trusted)


async def test_what_is_signed_but_something_else_is_refused(tmp_path: Path) -> None:
    trusted, _ = await attestation_files.keys(key_file(tmp_path, signing_key(1)), None, DIRECT)
    with pytest.raises(UserError, match="not an attestation"):
        attestation_files.check(signed(signing_key(1), b"{}"), trusted)


@pytest.mark.parametrize("text", [b"", b"{", b"\x00" * 100, b'{"payload": "AA=="}'])
async def test_a_file_of_another_kind_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(text)
    with pytest.raises(UserError, match="not an attestation"):
        await attestation_files.read_file(path)


async def test_a_huge_file_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(MAX_ENVELOPE_BYTES * 1_000)
    with pytest.raises(UserError, match="larger than"):
        await attestation_files.read_file(path)


async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            await attestation_files.read_file(path)
        with pytest.raises(UserError, match="cannot be read"):
            await attestation_files.keys(str(path), None, DIRECT)


async def test_keys_come_from_a_url(url: str) -> None:
    trusted, source = await attestation_files.keys(f"{url}/keys", None, DIRECT)
    assert list(trusted) == [signing_key(1).public.key_id]
    assert source == f"{url}/keys"


@pytest.mark.parametrize(
    ("path", "problem"),
    [("/text", "no keys"), ("/long", "too long"), ("/moved", "307"), ("/missing", "404")],
)
async def test_a_url_without_keys_is_refused(url: str, path: str, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        await attestation_files.keys(f"{url}{path}", None, DIRECT)


async def test_keys_never_come_in_the_clear_from_another_machine() -> None:
    with pytest.raises(UserError, match="replaced in transit"):
        await attestation_files.keys("http://honk.example/keys", None, DIRECT)


@pytest.mark.parametrize("given", ["http://[", "https://[", "https://a b/", "https:///keys"])
async def test_what_is_no_url_is_refused(given: str) -> None:
    with pytest.raises(UserError):
        await attestation_files.keys(given, None, DIRECT)


async def test_a_commit_that_is_not_in_the_database_is_named(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'honk.db'}")
    database.migrate()
    for there in (database, None):
        with pytest.raises(UserError, match="no attestation of o/r") as caught:
            await attestation_files.stored(there, "o/r", HEAD)
        assert "honk verify FILE" in caught.value.next_step
    database.close()


@pytest.mark.parametrize(("repository", "sha"), [("o", HEAD), ("o/r", "b0b"), ("../..", HEAD)])
async def test_what_names_no_commit_is_refused(repository: str, sha: str) -> None:
    with pytest.raises(UserError, match="is not") as caught:
        await attestation_files.stored(None, repository, sha)
    assert "honk verify octocat/hello-world" in caught.value.next_step
