"""Signed envelopes: DSSE with Ed25519 keys. Pure.

The envelope and what exactly is signed:
https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
https://github.com/secure-systems-lab/dsse/blob/master/envelope.md

Public keys are JSON Web Keys (RFC 7517, RFC 8037). A key's id is its thumbprint (RFC 7638), so it
follows from the key itself, and no other key can have the same id.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from app.domain.safe_json import json_value

MAX_ENVELOPE_BYTES = 32 << 20
MAX_KEYS = 10_000
_MAX_SIGNATURES = 16
_RAW_KEY_BYTES = 32
_STANDARD = re.compile(r"[A-Za-z0-9+/_-]*={0,2}")


class EnvelopeError(ValueError):
    """The envelope is unreadable, or none of our keys signed it; the text says which."""


class UnknownKeyError(EnvelopeError):
    """None of the given keys is one that the envelope names. `key_ids` are those it names."""

    def __init__(self, key_ids: tuple[str, ...]) -> None:
        super().__init__("It is signed with a key that is not among the given ones.")
        self.key_ids = key_ids


@dataclass(frozen=True)
class SigningKey:
    """A private key. It never shows itself in a `repr`."""

    _key: Ed25519PrivateKey

    @classmethod
    def from_pem(cls, pem: str) -> SigningKey:
        """Raises ValueError unless it is an unencrypted Ed25519 key in PEM."""
        try:
            key = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError):
            raise ValueError("this is not an unencrypted private key in PEM") from None
        if not isinstance(key, Ed25519PrivateKey):
            # The parser's own message could quote part of the key.
            raise ValueError("this is not an Ed25519 key")  # noqa: TRY004 - a value of the wrong kind
        return cls(key)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """The signature of a payload: 64 bytes."""
        return self._key.sign(_encoded(payload_type, payload))

    def __repr__(self) -> str:
        return f"SigningKey({self.public.key_id!r})"


@dataclass(frozen=True)
class PublicKey:
    """The public half of a key, as its 32 bytes."""

    raw: bytes

    @property
    def key_id(self) -> str:
        """The thumbprint: https://www.rfc-editor.org/rfc/rfc7638, with SHA-256, as base64url."""
        members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(self.raw)}
        text = json.dumps(members, sort_keys=True, separators=(",", ":"))
        return _base64url(hashlib.sha256(text.encode()).digest())

    def as_jwk(self) -> dict[str, str]:
        """https://www.rfc-editor.org/rfc/rfc8037#section-2"""
        return {
            "kty": "OKP",
            "crv": "Ed25519",
            "x": _base64url(self.raw),
            "kid": self.key_id,
            "use": "sig",
            "alg": "EdDSA",
        }

    @classmethod
    def from_jwk(cls, jwk: Any) -> PublicKey | None:
        """The key of a JWK; None for a key of another kind. Raises ValueError for a broken one."""
        if not isinstance(jwk, dict):
            raise ValueError("a key is not an object")  # noqa: TRY004 - foreign data
        if (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
            return None
        raw = _decoded(jwk.get("x"))
        if raw is None or len(raw) != _RAW_KEY_BYTES:
            raise ValueError("a key's `x` is not 32 bytes in base64url")
        return cls(raw)

    def signed(self, payload_type: str, payload: bytes, signature: bytes) -> bool:
        """Whether this key signed exactly this payload under exactly this type."""
        try:
            key = Ed25519PublicKey.from_public_bytes(self.raw)
            key.verify(signature, _encoded(payload_type, payload))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Envelope:
    """A payload with its signatures, each as (key id, signature). The key id is only a hint."""

    payload_type: str
    payload: bytes
    signatures: tuple[tuple[str, bytes], ...]

    def as_json(self) -> bytes:
        """The JSON envelope."""
        value = {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": key_id, "sig": base64.b64encode(signature).decode()}
                for key_id, signature in self.signatures
            ],
        }
        return json.dumps(value).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Envelope:
        """Read an envelope from anywhere. Raises EnvelopeError."""
        if len(text) > MAX_ENVELOPE_BYTES:
            raise EnvelopeError(f"It is larger than {MAX_ENVELOPE_BYTES >> 20} MiB.")
        try:
            value = json_value(text)
        except ValueError:
            raise EnvelopeError("It is not JSON, or it was cut off.") from None
        if not isinstance(value, dict):
            raise EnvelopeError("It is not a DSSE envelope.")
        payload_type, payload = value.get("payloadType"), _decoded(value.get("payload"))
        signatures = _signatures(value.get("signatures"))
        if not isinstance(payload_type, str) or payload is None or not signatures:
            raise EnvelopeError(
                "It is not a DSSE envelope: `payloadType`, `payload` or `signatures` is missing."
            )
        return cls(payload_type, payload, signatures)

    def signer(self, keys: Mapping[str, PublicKey]) -> str:
        """The id of the key among `keys` that signed this.

        Raises UnknownKeyError when none of them is named by a signature, and EnvelopeError when
        one is named but did not sign this.
        """
        named = tuple(key_id for key_id, _ in self.signatures)
        candidates = [
            (key_id, key, signature)
            for hint, signature in self.signatures
            for key_id, key in keys.items()
            if hint in ("", key_id)
        ]
        if not candidates:
            raise UnknownKeyError(named)
        for key_id, key, signature in candidates:
            if key.signed(self.payload_type, self.payload, signature):
                return key_id
        raise EnvelopeError("The signature does not match: the file was changed after signing.")


def key_set(text: bytes) -> dict[str, PublicKey]:
    """The Ed25519 keys of a JWK set, by key id. Raises ValueError.

    A key's id is computed, never taken from the set, so that a key cannot pretend to be another.
    """
    value = json_value(text)
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS:
        raise ValueError("this is not a JWK set")
    found = (PublicKey.from_jwk(jwk) for jwk in keys)
    return {key.key_id: key for key in found if key is not None}


def _encoded(payload_type: str, payload: bytes) -> bytes:
    """What is signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signatures(value: Any) -> tuple[tuple[str, bytes], ...]:
    """The readable signatures of an envelope."""
    if not isinstance(value, list) or len(value) > _MAX_SIGNATURES:
        return ()
    found = []
    for each in value:
        hint = each.get("keyid", "") if isinstance(each, dict) else None
        signature = _decoded(each.get("sig")) if isinstance(each, dict) else None
        if isinstance(hint, str) and signature:
            found.append((hint, signature))
    return tuple(found)


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: Any) -> bytes | None:
    """The bytes of standard or URL-safe base64, with or without padding; None if it is neither."""
    if not isinstance(text, str) or not _STANDARD.fullmatch(text):
        return None
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
