"""The signature of Slack's requests, over the raw bytes.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import re

WINDOW_SECONDS = 300
"""How old a request may be, so that a recorded one cannot be sent again later."""

_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_SIGNATURE = re.compile(rb"v0=[0-9a-f]{64}")


def holds(secret: bytes, timestamp: bytes, signature: bytes, body: bytes, *, now: float) -> bool:
    """Whether Slack signed this body within the last five minutes; False for anything malformed."""
    if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
        return False
    if abs(now - int(timestamp)) > WINDOW_SECONDS:
        return False
    return hmac.compare_digest(sign(secret, timestamp, body), signature)


def sign(secret: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The signature of a body: `v0=` and the HMAC in hexadecimal."""
    digest = hmac.new(secret, b"v0:" + timestamp + b":" + body, hashlib.sha256)
    return b"v0=" + digest.hexdigest().encode()
