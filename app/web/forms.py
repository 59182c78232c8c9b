"""Forms that people send, for every server with pages."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request


async def read_form(request: Request, *, max_bytes: int, seconds: float) -> dict[str, str]:
    """The submitted form; empty when it is too long, too slow or incomplete."""
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    return {}
    except (TimeoutError, ClientDisconnect):
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace")))


def is_same(given: str, expected: str) -> bool:
    """Compare with a secret, in a time that does not depend on where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
