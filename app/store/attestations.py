"""Signed attestations, and the public keys that they are checked with."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import sqlalchemy as sa

from app.domain.attestation import PAYLOAD_TYPE
from app.domain.dsse import MAX_ENVELOPE_BYTES, Envelope, PublicKey
from app.domain.values import RepoName, RunId
from app.store.database import Database, now
from app.store.schema import attestation_keys, attestations

_BATCH_SIZE = 200


@dataclass(frozen=True)
class StoredAttestation:
    """One attestation. `repository` is its lower-case name at that time, with GitHub's id."""

    id: str
    repository: str
    repository_id: int
    run_id: RunId
    base_sha: str
    head_sha: str
    created_at: float
    envelope: Envelope


class Attestations:
    """Attestations by id and by commit. Raises RetryableError while the database is unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, attestation: StoredAttestation, key: PublicKey) -> None:
        """Store an attestation signed by `key`, replacing an earlier one with the same id."""
        row = _row(attestation)

        def replace(connection: sa.Connection) -> None:
            self._publish(connection, key)
            insert = self._database.insert(attestations).values(**row)
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=row))

        await self._database.run(replace)

    async def find(self, attestation: str) -> StoredAttestation | None:
        """The attestation with this id."""
        query = sa.select(attestations).where(attestations.c.id == attestation)
        return await self._one(query)

    async def latest(self, repo: RepoName, head: str) -> StoredAttestation | None:
        """The newest attestation of a commit."""
        query = (
            sa.select(attestations)
            .where(
                attestations.c.repository == str(repo).lower(),
                attestations.c.head_sha == head,
            )
            .order_by(attestations.c.created_at.desc())
            .limit(1)
        )
        return await self._one(query)

    async def _one(self, query: sa.Select[tuple[object, ...]]) -> StoredAttestation | None:
        row = await self._database.run(lambda c: c.execute(query).mappings().one_or_none())
        return None if row is None else _stored(row)

    async def publish(self, key: PublicKey) -> None:
        """Publish a key that attestations will be signed with."""
        await self._database.run(lambda connection: self._publish(connection, key))

    async def keys(self) -> dict[str, PublicKey]:
        """All published keys by id, the most recently used first."""
        query = sa.select(attestation_keys.c.public).order_by(attestation_keys.c.used_at.desc())
        rows = await self._database.run(lambda c: c.execute(query).scalars().all())
        found = (PublicKey(bytes(raw)) for raw in rows)
        return {key.key_id: key for key in found}

    async def forget(self, before: float) -> int:
        """Delete attestations made before then, and keys that no kept one needs and that were last
        used before then; return how many attestations."""
        total = 0
        while True:
            deleted = await self._database.run(lambda connection: _forget_batch(connection, before))
            total += deleted
            if deleted < _BATCH_SIZE:
                break
        await self._database.run(lambda connection: _forget_keys(connection, before))
        return total

    def _publish(self, connection: sa.Connection, key: PublicKey) -> None:
        row = {"id": key.key_id, "public": key.raw, "used_at": now()}
        insert = self._database.insert(attestation_keys).values(**row)
        again = {"used_at": row["used_at"]}
        connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=again))


def _row(attestation: StoredAttestation) -> dict[str, object]:
    ((key_id, signature),) = attestation.envelope.signatures
    return {
        "id": attestation.id,
        "repository": attestation.repository.lower(),
        "repository_id": attestation.repository_id,
        "run_id": attestation.run_id,
        "base_sha": attestation.base_sha,
        "head_sha": attestation.head_sha,
        "key_id": key_id,
        "signature": signature,
        "payload": zlib.compress(attestation.envelope.payload),
        "created_at": attestation.created_at,
    }


def _stored(row: sa.RowMapping) -> StoredAttestation:
    payload = zlib.decompressobj().decompress(bytes(row["payload"]), MAX_ENVELOPE_BYTES)
    signature = (row["key_id"], bytes(row["signature"]))
    return StoredAttestation(
        id=row["id"],
        repository=row["repository"],
        repository_id=row["repository_id"],
        run_id=RunId(row["run_id"]),
        base_sha=row["base_sha"],
        head_sha=row["head_sha"],
        created_at=row["created_at"],
        envelope=Envelope(PAYLOAD_TYPE, payload, (signature,)),
    )


def _forget_batch(connection: sa.Connection, before: float) -> int:
    old = sa.select(attestations.c.id).where(attestations.c.created_at < before).limit(_BATCH_SIZE)
    ids = list(connection.execute(old).scalars())
    connection.execute(sa.delete(attestations).where(attestations.c.id.in_(ids)))
    return len(ids)


def _forget_keys(connection: sa.Connection, before: float) -> None:
    needed = sa.select(attestations.c.id).where(attestations.c.key_id == attestation_keys.c.id)
    connection.execute(
        sa.delete(attestation_keys).where(attestation_keys.c.used_at < before, ~sa.exists(needed))
    )
