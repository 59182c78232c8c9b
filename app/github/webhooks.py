"""Verify and parse webhook deliveries. No I/O, no framework.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

import codecs
import functools
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import unquote_to_bytes

import msgspec

from app.domain.event import ACTED_ON, BY_NAME, Event, EventError, OtherEvent

ContentType = Literal["application/json", "application/x-www-form-urlencoded"]
Body = bytes | bytearray | memoryview

_SIGNATURE = re.compile(rb"sha256=([0-9a-f]{64})")
_PAYLOAD_FIELD = re.compile(rb"(?:^|&)payload=([^&]*)")
_SLICE = 64 * 1024
_ESCAPE = 3  # the length of one `%41`

_other = msgspec.json.Decoder(OtherEvent)
_acted_on: dict[str, msgspec.json.Decoder[Event]] = {
    name: msgspec.json.Decoder(kind) for name, kind in BY_NAME.items()
}


def signature_of(header: bytes) -> bytes | None:
    """The 64 hexadecimal digits of an `X-Hub-Signature-256` header.

    None for any other form: SHA-1, upper case, another length.
    """
    found = _SIGNATURE.fullmatch(header)
    return found[1] if found else None


class SignatureCheck:
    """Hashes a body chunk by chunk, under each secret: there are two during a rotation."""

    def __init__(self, signature: bytes, secrets: Sequence[bytes]) -> None:
        """`signature` is from `signature_of`. Raises ValueError for a missing or empty secret."""
        if not secrets or not all(secrets):
            raise ValueError("a delivery cannot be checked with an empty secret")
        self._signature = signature
        self._hashes = [_keyed(secret).copy() for secret in secrets]

    def update(self, chunk: Body) -> None:
        """Add the next bytes of the body, exactly as received."""
        for each in self._hashes:
            each.update(chunk)

    def holds(self) -> bool:
        """Whether one of the secrets signed the body; compares in constant time."""
        answers = [
            hmac.compare_digest(each.hexdigest().encode(), self._signature) for each in self._hashes
        ]
        return any(answers)


@functools.lru_cache(maxsize=2)
def _keyed(secret: bytes) -> hmac.HMAC:
    """To be copied, so that the key is set up only once."""
    return hmac.new(secret, digestmod=hashlib.sha256)


def verify(body: Body, header: bytes, secrets: Sequence[bytes]) -> bool:
    """Whether the signature in the header matches the whole body."""
    signature = signature_of(header)
    if signature is None:
        return False
    check = SignatureCheck(signature, secrets)
    check.update(body)
    return check.holds()


def content_type_of(header: bytes) -> ContentType | None:
    """GitHub's content type that a `Content-Type` header names, if any."""
    media_type = header.partition(b";")[0].strip().lower()
    if media_type == b"application/json":
        return "application/json"
    if media_type == b"application/x-www-form-urlencoded":
        return "application/x-www-form-urlencoded"
    return None


def read(name: str, content_type: ContentType, body: Body) -> Event:
    """Parse the event `name` from a body whose signature is valid.

    Keeps only the fields in `app.domain.event`. Raises EventError if the body is not a JSON object
    in UTF-8, is nested too deeply, or lacks a required field of an event that Honk acts on.
    """
    text = body if content_type == "application/json" else _payload_field(body)
    _require_utf8(text)
    try:
        return _decode(name, text)
    except RecursionError:
        raise EventError("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise EventError(f"The body is not the JSON of an event ({problem}).") from None


def _decode(name: str, text: Body) -> Event:
    """Actions that Honk ignores may lack required fields."""
    decoder = _acted_on.get(name)
    if decoder is not None:
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            other = _other.decode(text)
            if (name, other.action) in ACTED_ON:
                raise
            return other
    return _other.decode(text)


def _payload_field(body: Body) -> bytearray:
    """Decode `payload=...` in slices: unquoting it at once would build a huge list."""
    found = _PAYLOAD_FIELD.search(body)
    if found is None:
        raise EventError("The form holds no field called payload.")
    decoded = bytearray()
    for piece in _slices(found[1]):
        decoded += unquote_to_bytes(piece.replace(b"+", b" "))
    return decoded


def _slices(field: bytes) -> Iterator[bytes]:
    """Cut a field into pieces, never within an escape."""
    start = 0
    while start < len(field):
        end = min(start + _SLICE, len(field))
        cut = field.rfind(b"%", max(start, end - _ESCAPE + 1), end) if end < len(field) else -1
        end = cut if cut > start else end
        yield field[start:end]
        start = end


def _require_utf8(text: Body) -> None:
    """The parser validates only the strings it keeps; check all of it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    view = memoryview(text)
    try:
        for start in range(0, len(view), _SLICE):
            decoder.decode(view[start : start + _SLICE])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as problem:
        raise EventError(f"The body is not UTF-8 ({problem.reason}).") from None
