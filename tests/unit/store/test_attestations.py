"""Attestations outlive their runs, and their keys are there as long as they are."""

from __future__ import annotations

import asyncio

from app.domain.attestation import PAYLOAD_TYPE
from app.domain.dsse import Envelope, SigningKey
from app.domain.run import Outcome
from app.domain.values import RepoName, RunId
from app.store.attestations import Attestations, StoredAttestation
from app.store.database import Database
from app.store.history import History
from app.store.runs import Runs
from tests.support.keys import signing_key
from tests.support.runs import open_run

REPO = RepoName(owner="Acme", name="One")


def stored(
    key: SigningKey, name: str = "a", *, at: float = 10.0, payload: bytes = b"{}", head: str = "b"
) -> StoredAttestation:
    signature = (key.public.key_id, key.sign(PAYLOAD_TYPE, payload))
    return StoredAttestation(
        id=name,
        repository="acme/one",
        repository_id=2**40,
        run_id=RunId("run"),
        base_sha="a" * 40,
        head_sha=head * 40,
        created_at=at,
        envelope=Envelope(PAYLOAD_TYPE, payload, (signature,)),
    )


async def test_what_is_stored_is_found_and_its_signature_fits(database: Database) -> None:
    kept, key = Attestations(database), signing_key(1)
    payload = '{"name": "ü"}'.encode() * 1_000
    await kept.put(stored(key, payload=payload), key.public)
    found = await kept.find("a")
    assert found == stored(key, payload=payload)
    assert found.envelope.signer(await kept.keys()) == key.public.key_id
    assert await kept.find("b") is None


async def test_a_repeated_step_writes_to_the_same_row(database: Database) -> None:
    kept, key, other = Attestations(database), signing_key(1), signing_key(2)
    await asyncio.gather(*(kept.put(stored(key, at=float(n)), key.public) for n in range(5)))
    await kept.put(stored(other, payload=b"[]"), other.public)
    found = await kept.find("a")
    assert found == stored(other, payload=b"[]")
    assert list(await kept.keys()) == [other.public.key_id, key.public.key_id]


async def test_the_newest_of_a_commit_is_found_however_the_name_is_spelled(
    database: Database,
) -> None:
    kept, key = Attestations(database), signing_key(1)
    await kept.put(stored(key, "a", at=2.0), key.public)
    await kept.put(stored(key, "b", at=3.0), key.public)
    await kept.put(stored(key, "c", at=4.0, head="c"), key.public)
    found = await kept.latest(REPO, "b" * 40)
    assert found is not None
    assert found.id == "b"
    assert await kept.latest(RepoName(owner="acme", name="two"), "b" * 40) is None


async def test_old_ones_go_and_a_key_goes_with_its_last_one(database: Database) -> None:
    kept, old, young, unused = (Attestations(database), *map(signing_key, (1, 2, 3)))
    for number in range(250):
        await kept.put(stored(old, f"old{number}", at=1.0), old.public)
    await kept.put(stored(young, "young", at=3.0), young.public)
    await kept.publish(unused.public)
    # Both keys were used just now, long after this moment.
    assert await kept.forget(2.0) == 250
    assert {*await kept.keys()} == {key.public.key_id for key in (old, young, unused)}
    # In a thousand years only the key that an attestation still needs is left.
    await kept.put(stored(young, "young", at=1e12), young.public)
    assert await kept.forget(5e11) == 0
    assert {*await kept.keys()} == {young.public.key_id}


async def test_an_attestation_outlives_its_run(database: Database) -> None:
    run = await open_run(database, "run", "acme/one", 1)
    kept, key = Attestations(database), signing_key(1)
    await kept.put(stored(key), key.public)
    row = await Runs(database).finish(run.id, Outcome.DONE)
    assert await History(database).forget(row.updated_at + 10) == 1
    assert await kept.find("a") is not None
