"""The proxy of one setup: it parses requests from inside and makes its own requests outside.

h11 parses requests strictly, and httpcore makes new ones: only a checked path and a few checked
headers of the client's bytes leave the machine. Everything from inside is untrusted.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import h11
import httpcore

from app.egress.addresses import Addresses, CheckedBackend
from app.egress.certificate_authority import Authority
from app.egress.client_hello import ClientHello
from app.egress.go_proxy import OnlyModules
from app.egress.rules import (
    BlockedRequestError,
    HostRule,
    Mode,
    authority,
    checked_path,
    incoming,
    outgoing,
    refuse_body,
    rule_for,
    url_rule,
)
from app.egress.upstream_proxy import through, tunnel
from app.outgoing import DIRECT, Outgoing
from app.sandbox.spec import GIB

_USER_AGENT = b"honk-setup"
_CHUNK = 1 << 16
_MAX_HEAD = 16 << 10
_HEAD_CHUNK = 4 << 10
_MAX_REDIRECTS = 5
_MAX_RECORDED = 200
_REDIRECTS = (301, 302, 303, 307, 308)
_BUSY = {
    429: "too many requests",
    502: "bad gateway",
    503: "service unavailable",
    504: "gateway timeout",
}
_LONGEST_WAIT = 30.0
_ABSOLUTE = re.compile(r"http://([^/?#]*)(/[^#]*)?")


@dataclass(frozen=True)
class BlockedRequest:
    """A host that setup tried to reach and was blocked from, why, and how often."""

    host: str
    why: str
    count: int = 1


@dataclass(frozen=True)
class EgressLimits:
    """Network limits of one setup, in counts, bytes and seconds.

    `requests` and `misses` (404 and 410 responses) limit what could be leaked by the choice of
    paths alone. `head_seconds` is for a request head, `body_seconds` for a whole response,
    `idle_seconds` for each read or write. `busy_seconds`: how long requests to a busy or
    unreachable registry are retried.
    """

    connections: int = 256
    total_bytes: int = 8 * GIB
    requests: int = 50_000
    misses: int = 2_000
    head_seconds: float = 30.0
    idle_seconds: float = 60.0
    body_seconds: float = 900.0
    busy_seconds: float = 90.0


@dataclass(frozen=True)
class Endpoint:
    """A server."""

    host: str
    port: int
    tls: bool

    @property
    def origin(self) -> str:
        """Scheme, host and port as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def host_header(self) -> bytes:
        """The Host header, without a default port."""
        usual = ":443" if self.tls else ":80"
        return self.origin.partition("://")[2].removesuffix(usual).encode()


class EgressRecord:
    """Counts one setup's usage and its blocked requests."""

    def __init__(self, bounds: EgressLimits) -> None:
        self._bounds = bounds
        self._refused: Counter[tuple[str, str]] = Counter()
        self._bytes = 0
        self._requests = 0
        self._misses = 0
        self.unavailable: set[str] = set()
        """Hosts that stayed busy for all tries of a request. They are not waited for again."""

    @property
    def tried(self) -> tuple[BlockedRequest, ...]:
        """Blocked requests, most frequent first."""
        return tuple(BlockedRequest(*what, count) for what, count in self._refused.most_common())

    def refuse(self, host: str, why: str) -> None:
        """Record a blocked request; beyond `_MAX_RECORDED` different ones they are merged."""
        known = (host, why) in self._refused or len(self._refused) < _MAX_RECORDED
        self._refused[(host, why) if known else ("", "many other places")] += 1

    def request(self) -> None:
        """Count a request. Raises BlockedRequestError above the limit."""
        self._requests += 1
        if self._requests > self._bounds.requests:
            raise BlockedRequestError(f"more than {self._bounds.requests} requests")
        if self._misses > self._bounds.misses:
            raise BlockedRequestError(
                f"more than {self._bounds.misses} requests for what is not there"
            )

    def answer(self, status: int) -> None:
        self._misses += status in (404, 410)

    def count_bytes(self, number: int) -> None:
        """Count bytes of a response or tunnel. Raises BlockedRequestError above the limit."""
        self._bytes += number
        if self._bytes > self._bounds.total_bytes:
            raise BlockedRequestError(f"more than {self._bounds.total_bytes} bytes in all")


class UpstreamClient:
    """The proxy's client for the registries."""

    def __init__(
        self,
        rules: Sequence[HostRule],
        addresses: Addresses,
        bounds: EgressLimits,
        trust: ssl.SSLContext,
        outgoing: Outgoing = DIRECT,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self._rules = rules
        self._aliases = dict(aliases or {})
        self._addresses = addresses
        self._wait = bounds.idle_seconds
        self._trust = trust
        self._outgoing = outgoing
        self._pools: dict[str | None, httpcore.AsyncConnectionPool] = {}

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, proxy: str | None) -> httpcore.AsyncConnectionPool:
        """The connection pool for one of the operator's proxies, or for direct connections."""
        if proxy not in self._pools:
            way: dict[str, Any] = (
                {"network_backend": CheckedBackend(self._addresses)}
                if proxy is None
                else {"proxy": through(proxy, self._trust)}
            )
            self._pools[proxy] = httpcore.AsyncConnectionPool(
                ssl_context=self._trust,
                max_connections=64,
                max_keepalive_connections=16,
                keepalive_expiry=15.0,
                **way,
            )
        return self._pools[proxy]

    def rule(self, endpoint: Endpoint) -> HostRule:
        """The rule that allows the endpoint. Raises BlockedRequestError."""
        return rule_for(self._rules, endpoint.host, endpoint.port, tls=endpoint.tls)

    def known_as(self, endpoint: Endpoint, target: str) -> tuple[Endpoint, str]:
        """The registry to use instead of another, and the path there."""
        allowed = any(rule.pattern == endpoint.host for rule in self._rules)
        if allowed or endpoint.host not in self._aliases:
            return endpoint, target
        parts = urlsplit(self._aliases[endpoint.host])
        rule = url_rule(self._aliases[endpoint.host])
        return Endpoint(rule.pattern, rule.port, rule.tls), parts.path.rstrip("/") + target

    async def redirect(self, endpoint: Endpoint, target: str) -> str:
        """Where one path redirects to; empty if it does not. Raises as `answer`."""
        async with self._open_stream(endpoint, "HEAD", target, ()) as response:
            onward = _redirect_target(endpoint, target, response)
        return onward[0].origin if onward else ""

    async def connection(
        self, endpoint: Endpoint
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a checked address. Raises BlockedRequestError, OSError, TimeoutError.

        Through an operator's proxy too, the name must resolve here: only the client inside could
        check who answers in a tunnel, and it is not trusted.
        """
        proxy = self._outgoing.proxy_for(endpoint.origin)
        async with asyncio.timeout(15):
            if proxy is None:
                address = (await self._addresses.of(endpoint.host))[0]
                return await asyncio.open_connection(address, endpoint.port)
            await self._addresses.check(endpoint.host, known=False)
            return await tunnel(proxy, self._trust, endpoint.host, endpoint.port)

    @asynccontextmanager
    async def answer(
        self, endpoint: Endpoint, method: str, target: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> AsyncIterator[httpcore.Response]:
        """A registry's response. A redirect to a host that is not allowed is refused.

        Redirects to URLs with a query are followed here: a registry makes these to signed URLs of
        its storage, and the sandbox may not send queries. Raises BlockedRequestError, or what
        httpcore raises.
        """
        for _ in range(_MAX_REDIRECTS):
            async with self._open_stream(endpoint, method, target, headers) as response:
                onward = _redirect_target(endpoint, target, response)
                if onward is not None:
                    endpoint, target = onward
                    self.rule(endpoint)
                if onward is None or "?" not in target:
                    yield response
                    return
        raise BlockedRequestError(f"it redirects more than {_MAX_REDIRECTS} times")

    @asynccontextmanager
    async def _open_stream(
        self, endpoint: Endpoint, method: str, target: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> AsyncIterator[httpcore.Response]:
        sent = [(b"host", endpoint.host_header), (b"user-agent", _USER_AGENT), *headers]
        rule = self.rule(endpoint)
        if rule.authorization is not None:
            sent.append((b"authorization", rule.authorization.get_secret_value().encode()))
        timeout = {"connect": 15.0, "read": self._wait, "write": self._wait, "pool": self._wait}
        url = httpcore.URL(
            scheme="https" if endpoint.tls else "http",
            host=endpoint.host,
            port=endpoint.port,
            target=target,
        )
        proxy = self._outgoing.proxy_for(endpoint.origin)
        if proxy is not None:
            await self._addresses.check(endpoint.host, known=rule.known)
        async with self._pool(proxy).stream(
            method, url, headers=sent, extensions={"timeout": timeout}
        ) as response:
            yield response


def _redirect_target(
    endpoint: Endpoint, target: str, response: httpcore.Response
) -> tuple[Endpoint, str] | None:
    """A redirect's target, or None if it is not one. Raises BlockedRequestError if invalid."""
    location = next((v for k, v in response.headers if k.lower() == b"location"), None)
    if response.status not in _REDIRECTS or location is None:
        return None
    try:
        whole = urlsplit(urljoin(endpoint.origin + target, location.decode("ascii")))
        host, port = authority(whole.netloc, 443 if whole.scheme == "https" else 80)
    except ValueError as error:
        raise BlockedRequestError("it redirects to no address") from error
    if whole.scheme not in ("http", "https"):
        raise BlockedRequestError("it redirects out of HTTP")
    query = f"?{whole.query}" if whole.query else ""
    return Endpoint(host, port, whole.scheme == "https"), (whole.path or "/") + query


class Proxy:
    """Serves the connections of one setup."""

    def __init__(
        self,
        upstream: UpstreamClient,
        mode: Mode,
        bounds: EgressLimits,
        authority: Authority,
        only_modules: OnlyModules | None = None,
    ) -> None:
        self.upstream = upstream
        self.mode = mode
        self.bounds = bounds
        self.authority = authority
        self.only_modules = only_modules
        self.record = EgressRecord(bounds)
        self._open: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """Close every connection."""
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self.upstream.aclose()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection from inside, unless there are too many."""
        if len(self._open) >= self.bounds.connections:
            self.record.refuse("", f"more than {self.bounds.connections} connections at once")
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = _Conversation(self, reader, writer)
        try:
            await conversation.serve()
            await conversation.end()
        except (OSError, TimeoutError, EOFError, h11.ProtocolError):
            pass  # the client disconnected, was too slow, or does not speak HTTP
        finally:
            writer.transport.abort()


class _Conversation:
    """One connection from inside. Blocked requests are recorded under `_host`."""

    def __init__(
        self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._within: Endpoint | None = None
        self._host = ""

    async def serve(self) -> None:
        """Answer requests until either side closes."""
        while True:
            try:
                request = await self._request()
                if request is None:
                    return
                if request.method == b"CONNECT":
                    if not await self._connect(request):
                        return
                    continue
                await self._fetch(request)
            except BlockedRequestError as refusal:
                self._proxy.record.refuse(self._host, str(refusal))
                await self._send_error(403, str(refusal))
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def end(self) -> None:
        """Flush the response and close."""
        async with asyncio.timeout(5):
            self._writer.close()
            await self._writer.wait_closed()

    async def _request(self) -> h11.Request | None:
        """The next request's head within the time limit; None at the end. Raises
        BlockedRequestError.
        """
        async with asyncio.timeout(self._proxy.bounds.head_seconds):
            while True:
                try:
                    event = self._http.next_event()
                except h11.RemoteProtocolError as error:
                    raise BlockedRequestError("this is no proper HTTP") from error
                if isinstance(event, h11.Request):
                    return event
                if event is not h11.NEED_DATA:
                    return None
                self._http.receive_data(await self._reader.read(_HEAD_CHUNK))

    async def _connect(self, request: h11.Request) -> bool:
        """Handle CONNECT; True if requests follow on it. Raises BlockedRequestError."""
        target = request.target.decode("ascii", "replace")
        self._host = target[:100]
        if self._within is not None:
            raise BlockedRequestError("a tunnel in a tunnel")
        endpoint = Endpoint(*authority(target, 443), tls=True)
        self._host = endpoint.host
        _same_host(request, endpoint)
        upstream = self._proxy.upstream
        tunnel = self._proxy.mode == "connect"
        upstream.rule(endpoint if tunnel else upstream.known_as(endpoint, "/")[0])
        self._proxy.record.request()
        self._consume_end()
        await self._send(h11.Response(status_code=200, headers=[], reason=b"Connection opened"))
        early = self._http.trailing_data[0]
        if tunnel:
            await self._tunnel(endpoint, early)
            return False
        if early:
            return False
        context = self._proxy.authority.context(endpoint.host)
        await self._writer.start_tls(context, ssl_handshake_timeout=15)
        self._within = endpoint
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        return True

    # Requests made on behalf of the sandbox

    async def _fetch(self, request: h11.Request) -> None:
        """Make a new request outside. Raises BlockedRequestError before any response is sent."""
        endpoint, target = self._target_of(request)
        self._host = endpoint.host
        method = request.method.decode("ascii", "replace")
        refuse_body(method, request.headers)
        _same_host(request, endpoint)
        checked_path(target)
        endpoint, target = self._proxy.upstream.known_as(endpoint, target)
        if self._proxy.only_modules is not None:
            self._proxy.only_modules.check(
                endpoint.host, endpoint.port, tls=endpoint.tls, target=target
            )
        self._proxy.record.request()
        try:
            async with asyncio.timeout(self._proxy.bounds.body_seconds):
                await self._until_available(endpoint, method, target, outgoing(request.headers))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as error:
            why = str(error) or type(error).__name__
            self._proxy.record.refuse(endpoint.host, f"it does not answer ({why[:200]})")
            await self._send_error(502, "the registry does not answer")

    async def _until_available(
        self, endpoint: Endpoint, method: str, target: str, headers: Sequence[tuple[bytes, bytes]]
    ) -> None:
        """Forward; retry for a while if the registry is busy. Raises as `_forward`."""
        record, host = self._proxy.record, endpoint.host
        patience = 0.0 if host in record.unavailable else self._proxy.bounds.busy_seconds
        waits = retry_waits(patience)
        wait = next(waits, None)
        while True:
            try:
                asked = await self._forward(endpoint, method, target, headers, last=wait is None)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if wait is None:
                    record.unavailable.add(host)
                    raise
                asked = 0.0
            if asked is None:
                return
            await asyncio.sleep(max(asked, wait or 0.0))
            wait = next(waits, None)

    def _target_of(self, request: h11.Request) -> tuple[Endpoint, str]:
        """A request's endpoint and path. Raises BlockedRequestError."""
        target = request.target.decode("ascii", "replace")
        if self._within is not None:
            if not target.startswith("/"):
                raise BlockedRequestError("its path is an address")
            return self._within, target
        self._host = target[:100]
        found = _ABSOLUTE.fullmatch(target)
        if found is None:
            raise BlockedRequestError("this is no address that a proxy serves")
        return Endpoint(*authority(found[1], 80), tls=False), found[2] or "/"

    async def _forward(
        self,
        endpoint: Endpoint,
        method: str,
        target: str,
        headers: Sequence[tuple[bytes, bytes]],
        *,
        last: bool,
    ) -> float | None:
        """Pass the registry's response on. If it is busy and this is not the `last` try, instead
        return the number of seconds to wait.
        """
        record = self._proxy.record
        async with self._proxy.upstream.answer(endpoint, method, target, headers) as response:
            if response.status in _BUSY:
                if not last:
                    return retry_after(response.headers)
                record.unavailable.add(endpoint.host)
                record.refuse(
                    endpoint.host,
                    f"the registry answers {response.status} ({_BUSY[response.status]}); "
                    "this is not the repository's fault, try again later",
                )
            record.answer(response.status)
            self._consume_end()
            kept = incoming(response.headers)
            await self._send(h11.Response(status_code=response.status, headers=kept))
            if method != "HEAD":
                async for part in response.aiter_stream():
                    record.count_bytes(len(part))
                    await self._send(h11.Data(data=part))
            await self._send(h11.EndOfMessage())
        return None

    def _consume_end(self) -> None:
        if self._http.their_state is h11.SEND_BODY:
            self._http.next_event()

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            async with asyncio.timeout(self._proxy.bounds.idle_seconds):
                await self._writer.drain()

    async def _send_error(self, status: int, why: str) -> None:
        """Send an error with its reason and close: an unread request body may follow."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            raise EOFError
        text = f"Honk's setup proxy: {why}.\n".encode()
        headers = [
            ("content-type", "text/plain; charset=utf-8"),
            ("content-length", str(len(text))),
            ("connection", "close"),
        ]
        await self._send(h11.Response(status_code=status, headers=headers))
        await self._send(h11.Data(data=text))
        await self._send(h11.EndOfMessage())

    # Tunnels

    async def _tunnel(self, endpoint: Endpoint, early: bytes) -> None:
        """Copy bytes both ways after checking that the client's TLS names this host.

        Raises BlockedRequestError; no response can be sent then, as the client expects TLS.
        """
        hello = await self._read_hello(early)
        if hello.server_name is None or hello.server_name.lower() != endpoint.host:
            raise BlockedRequestError(f"its TLS asks for {str(hello.server_name)[:253]}")
        reader, writer = await self._proxy.upstream.connection(endpoint)
        try:
            writer.write(hello.data)
            async with asyncio.timeout(self._proxy.bounds.idle_seconds) as clock:
                await asyncio.gather(
                    self._copy(self._reader, writer, clock),
                    self._copy(reader, self._writer, clock),
                )
        finally:
            writer.transport.abort()

    async def _read_hello(self, early: bytes) -> ClientHello:
        hello = ClientHello()
        data = early
        async with asyncio.timeout(self._proxy.bounds.head_seconds):
            while not hello.complete:
                data = data or await self._reader.read(_CHUNK)
                if not data:
                    raise EOFError
                try:
                    hello.feed(data)
                except ValueError as error:
                    raise BlockedRequestError("what is in the tunnel is no TLS") from error
                data = b""
        return hello

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: asyncio.Timeout
    ) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(_CHUNK):
            clock.reschedule(loop.time() + self._proxy.bounds.idle_seconds)
            self._proxy.record.count_bytes(len(data))
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def retry_waits(patience: float) -> Iterator[float]:
    """Seconds to wait between tries, twice as long each time, `patience` in all."""
    wait = 0.5
    while patience > 0:
        yield min(wait, patience)
        patience -= wait
        wait = min(2 * wait, _LONGEST_WAIT)


def retry_after(headers: Sequence[tuple[bytes, bytes]]) -> float:
    """Seconds that a response asks to wait, at most half a minute; 0 if it names a date or nothing.

    https://www.rfc-editor.org/rfc/rfc9110#name-retry-after
    """
    named = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return min(float(named), _LONGEST_WAIT) if re.fullmatch(rb"[0-9]{1,9}", named) else 0.0


def _same_host(request: h11.Request, endpoint: Endpoint) -> None:
    """The Host header must name this endpoint. Raises BlockedRequestError."""
    named = [value for key, value in request.headers if key == b"host"]
    default = 443 if endpoint.tls else 80
    for value in named:
        if authority(value.decode("ascii", "replace"), default) != (endpoint.host, endpoint.port):
            raise BlockedRequestError("the Host header names another place")
