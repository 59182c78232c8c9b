"""Keys that sign attestations, the same in every run."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from app.domain.dsse import SigningKey


def key_pem(seed: int) -> str:
    """A private key in PEM; the same seed gives the same key."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def signing_key(seed: int) -> SigningKey:
    return SigningKey.from_pem(key_pem(seed))
