"""Signed envelopes: what is signed, and every way in which a file can be wrong."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from app.domain import dsse
from app.domain.dsse import Envelope, EnvelopeError, PublicKey, SigningKey, UnknownKeyError
from tests.support.keys import signing_key

TYPE = "application/vnd.in-toto+json"


def pem(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, *, password: bytes = b""
) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def signed(key: SigningKey, payload: bytes = b"{}") -> Envelope:
    return Envelope(TYPE, payload, ((key.public.key_id, key.sign(TYPE, payload)),))


def by_id(*keys: SigningKey) -> dict[str, PublicKey]:
    return {key.public.key_id: key.public for key in keys}


def test_what_is_signed_is_encoded_as_the_specification_says() -> None:
    # The example of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    assert dsse._encoded("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_key_is_named_by_its_thumbprint() -> None:
    # The example of https://www.rfc-editor.org/rfc/rfc8037#appendix-A.3
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    key = PublicKey.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "another"})
    assert key is not None
    assert key.key_id == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    assert key.as_jwk()["x"] == x


def test_what_was_signed_is_found_to_be_signed() -> None:
    key = signing_key(1)
    envelope = Envelope.from_json(signed(key).as_json())
    assert envelope.signer(by_id(signing_key(2), key)) == key.public.key_id


def test_a_changed_payload_type_or_signature_is_found() -> None:
    key = signing_key(1)
    good = signed(key, b'{"a": 1}')
    ((key_id, signature),) = good.signatures
    for bad in (
        Envelope(TYPE, b'{"a": 2}', good.signatures),
        Envelope(f"{TYPE};", good.payload, good.signatures),
        Envelope(TYPE, good.payload, ((key_id, signature[:-1] + b"\0"),)),
        Envelope(TYPE, good.payload, ((key_id, b"\0"),)),
    ):
        with pytest.raises(EnvelopeError, match="changed after signing"):
            bad.signer(by_id(key))


def test_a_key_that_is_not_given_is_named() -> None:
    key = signing_key(1)
    with pytest.raises(UnknownKeyError) as caught:
        signed(key).signer(by_id(signing_key(2)))
    assert caught.value.key_ids == (key.public.key_id,)


def test_another_key_under_the_same_hint_does_not_help() -> None:
    key, attacker = signing_key(1), signing_key(2)
    forged = Envelope(TYPE, b"{}", ((key.public.key_id, attacker.sign(TYPE, b"{}")),))
    with pytest.raises(EnvelopeError, match="changed after signing"):
        forged.signer(by_id(key))
    # A set that offers the attacker's key under our key's id gives it its own id.
    jwk = {**attacker.public.as_jwk(), "kid": key.public.key_id}
    keys = dsse.key_set(json.dumps({"keys": [jwk]}).encode())
    with pytest.raises(UnknownKeyError):
        forged.signer(keys)


def test_a_signature_without_a_hint_is_tried_with_every_key() -> None:
    key = signing_key(1)
    envelope = Envelope(TYPE, b"{}", (("", key.sign(TYPE, b"{}")),))
    assert envelope.signer(by_id(signing_key(2), key)) == key.public.key_id


def test_both_kinds_of_base64_are_read() -> None:
    key = signing_key(1)
    payload = bytes(range(256))
    signature = key.sign(TYPE, payload)
    text = json.dumps(
        {
            "payloadType": TYPE,
            "payload": base64.urlsafe_b64encode(payload).decode().rstrip("="),
            "signatures": [{"sig": base64.urlsafe_b64encode(signature).decode()}],
        }
    )
    assert Envelope.from_json(text.encode()).signer(by_id(key)) == key.public.key_id


def test_a_file_that_was_cut_off_anywhere_is_refused() -> None:
    text = signed(signing_key(1)).as_json().rstrip()
    for length in range(len(text)):
        with pytest.raises(EnvelopeError):
            Envelope.from_json(text[:length])


def test_a_huge_file_is_refused_unread() -> None:
    with pytest.raises(EnvelopeError, match="larger than 32 MiB"):
        Envelope.from_json(b" " * (dsse.MAX_ENVELOPE_BYTES + 1))


@pytest.mark.parametrize(
    "text",
    [
        b"{}",
        b"[]",
        b"null",
        b'{"payloadType": 1, "payload": "", "signatures": [{"sig": "AA=="}]}',
        b'{"payloadType": "t", "payload": "!", "signatures": [{"sig": "AA=="}]}',
        b'{"payloadType": "t", "payload": "", "signatures": []}',
        b'{"payloadType": "t", "payload": "", "signatures": [{"sig": ""}]}',
        b'{"payloadType": "t", "payload": "", "signatures": "AA=="}',
        b'{"payloadType": "t", "payload": "", "signatures": [' + b'{"sig": "AA=="},' * 16 + b"1]}",
        b"[" * 100_000,
    ],
)
def test_whatever_is_no_envelope_is_refused(text: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.from_json(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.from_json(text)


def test_only_an_ed25519_key_signs() -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    locked = pem(ed25519.Ed25519PrivateKey.generate(), password=b"x")
    for text in (pem(p256), locked, "", "x", "-----BEGIN PRIVATE KEY-----\n"):
        with pytest.raises(ValueError, match="this is not"):
            SigningKey.from_pem(text)


def test_a_key_does_not_show_itself() -> None:
    text = pem(ed25519.Ed25519PrivateKey.generate())
    shown = repr(SigningKey.from_pem(text))
    assert not [line for line in text.splitlines()[1:-1] if line in shown]


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"keys": 1}',
        b'{"keys": [1]}',
        b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AA"}]}',
    ],
)
def test_a_broken_key_set_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"JWK set|object|32 bytes"):
        dsse.key_set(text)


def test_keys_of_other_kinds_are_passed_over() -> None:
    key = signing_key(1)
    text = json.dumps({"keys": [{"kty": "EC", "crv": "P-256"}, key.public.as_jwk()]})
    assert dsse.key_set(text.encode()) == by_id(key)
