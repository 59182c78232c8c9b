"""Signed URLs: valid for a limited time, for anybody who has them.

GitHub gives such ones for private images and for logs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time

PRIVATE_SECONDS = 300
"""How long the URL of a private image is valid."""

_SECRET = secrets.token_bytes(32)
_IMAGE = re.compile(r"!\[([^\]\n]*)\]\((\S*?)/user-attachments/assets/([0-9a-f-]{36})\)")

_FOREIGN = re.compile(r"!\[([^\]\n]*)\]\((https?://[^\s()<>\"]+)\)")
_PROXY = "https://camo.githubusercontent.com"


def signed_url(path: str, expires: float) -> str:
    """The path with its permission until this moment, in seconds since 1970."""
    return f"{path}?jwt={int(expires)}.{_signature(path, int(expires))}"


def is_good(path: str, permission: str, now: float) -> bool:
    """Whether a permission belongs to this path and is still valid."""
    expires, _, signature = permission.partition(".")
    if not expires.isdecimal() or int(expires) < now:
        return False
    return hmac.compare_digest(signature.encode(), _signature(path, int(expires)).encode())


def image_path(attachment_id: str) -> str:
    """Where a private image is served."""
    return f"/private-user-images/{attachment_id}.png"


def with_images(html: str) -> str:
    """A text in HTML whose Markdown images became images: those of attachments by signed
    addresses, all others through GitHub's proxy.
    """

    def image(match: re.Match[str]) -> str:
        words, host, attachment_id = match.groups()
        path = image_path(attachment_id)
        address = host + signed_url(path, time.time() + PRIVATE_SECONDS)
        link = f'<a target="_blank" rel="noopener noreferrer" href="{address}">'
        return f'{link}<img src="{address}" alt="{words}" style="max-width: 100%;"></a>'

    def foreign(match: re.Match[str]) -> str:
        words, address = match.groups()
        proxied = f"{_PROXY}/{_signature(address, 0)}/{address.encode().hex()}"
        return f'<img src="{proxied}" alt="{words}" data-canonical-src="{address}">'

    return _FOREIGN.sub(foreign, _IMAGE.sub(image, html))


def _signature(path: str, expires: int) -> str:
    return hmac.new(_SECRET, f"{path} {expires}".encode(), hashlib.sha256).hexdigest()
