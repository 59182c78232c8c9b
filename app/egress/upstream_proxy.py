"""Connect through the operator's own proxy, in networks without direct access."""

from __future__ import annotations

import asyncio
import base64
import ssl
from urllib.parse import unquote, urlsplit

import h11
import httpcore

from app.egress.rules import BlockedRequestError
from app.outgoing import proxy_trust

_PORTS = {"http": 80, "https": 443}


def through(proxy: str, trust: ssl.SSLContext) -> httpcore.Proxy:
    """The proxy in httpcore's form."""
    parts = urlsplit(proxy)
    name = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return httpcore.Proxy(url, auth=name, ssl_context=proxy_trust(proxy, trust))


async def tunnel(
    proxy: str, trust: ssl.SSLContext, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a host through the proxy's CONNECT. Raises BlockedRequestError, OSError.

    https://www.rfc-editor.org/rfc/rfc9110#name-connect
    """
    parts = urlsplit(proxy)
    reader, writer = await asyncio.open_connection(
        parts.hostname,
        parts.port or _PORTS[parts.scheme],
        ssl=proxy_trust(proxy, trust),
    )
    try:
        named = f"[{host}]" if ":" in host else host
        await _connect(reader, writer, f"{named}:{port}", _authorization(proxy))
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


async def _connect(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    target: str,
    headers: list[tuple[str, str]],
) -> None:
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(method="CONNECT", target=target, headers=[("host", target), *headers])
    writer.write(http.send(request) or b"")
    while (event := http.next_event()) is h11.NEED_DATA:
        # One byte at a time: the response is short, and bytes after it belong to the tunnel.
        http.receive_data(await reader.read(1))
    status = event.status_code if isinstance(event, h11.Response) else 0
    if not 200 <= status < 300:
        raise BlockedRequestError(f"the operator's proxy does not let it through ({status})")


def _authorization(proxy: str) -> list[tuple[str, str]]:
    parts = urlsplit(proxy)
    if not parts.username:
        return []
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [("proxy-authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")]
