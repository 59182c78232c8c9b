"""A package registry on this machine, and a setup's proxy to it, used from outside the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.egress.addresses import Addresses
from app.egress.certificate_authority import Authority
from app.egress.rules import HostRule
from app.egress.setup_proxy import (
    EgressLimits,
    Mode,
    SetupProxy,
    open_setup_proxy,
)
from app.sandbox.bubblewrap import Bubblewrap

HOST = "registry.test"
LOOPBACK = [ipaddress.ip_network("127.0.0.0/8")]


@dataclass
class Registry:
    """A registry on this machine. It records requests and answers by path."""

    seen: list[bytes] = field(default_factory=list)
    answers: dict[str, bytes] = field(default_factory=dict)
    in_turn: dict[str, list[bytes]] = field(default_factory=dict)
    port: int = 0
    authority: Authority = field(default_factory=Authority)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.seen.append(head)
                path = (*head.split(b" "), b"")[1].decode()
                if path == "/endless":
                    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                    while True:
                        writer.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
                        await writer.drain()
                if path == "/slow":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                    while True:
                        writer.write(b"x")
                        await asyncio.sleep(0.05)
                in_turn = self.in_turn.get(path)
                writer.write(in_turn.pop(0) if in_turn else self.answers.get(path, OK))
                await writer.drain()
        writer.transport.abort()

    @property
    def rule(self) -> HostRule:
        return HostRule(HOST, self.port)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"


@asynccontextmanager
async def serving() -> AsyncIterator[Registry]:
    """A registry that listens until the block ends."""
    registry = Registry()
    context = registry.authority.context(HOST)
    # It answers to any name.
    context.sni_callback = lambda one, name, _: setattr(
        one, "context", registry.authority.context(name or HOST)
    )
    server = await asyncio.start_server(registry.serve, "127.0.0.1", 0, ssl=context)
    registry.port = server.sockets[0].getsockname()[1]
    try:
        yield registry
    finally:
        server.close()


@dataclass
class Gate:
    """An open proxy, used like a client inside would."""

    door: SetupProxy
    registry: Registry
    writers: list[asyncio.StreamWriter]

    async def plain(self, request: bytes) -> bytes:
        """The answer to bytes sent to the proxy itself."""
        reader, writer = await self.connection()
        writer.write(request)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""

    async def within(self, request: bytes, *, host: str = HOST) -> bytes:
        """The answer to bytes sent through the proxy to the registry."""
        reader, writer = await self.tunnel(host)
        writer.write(request)
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""

    async def get(self, path: str, headers: str = "") -> bytes:
        host = f"{HOST}:{self.registry.port}"
        close = "Connection: close\r\n"
        return await self.within(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{close}\r\n".encode()
        )

    async def connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        path = str(self.door.mount.source / "proxy.sock")
        reader, writer = await asyncio.open_unix_connection(path)
        self.writers.append(writer)
        return reader, writer

    async def tunnel(
        self, host: str, *, sni: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.connection()
        port = self.registry.port
        writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        trust = ssl.create_default_context(cafile=str(self.door.mount.source / "ca.pem"))
        trust.check_hostname = False
        if sni is not None:
            trust.verify_mode = ssl.CERT_NONE
        await writer.start_tls(trust, server_hostname=sni or host)
        return reader, writer

    @property
    def refused(self) -> list[str]:
        return [f"{each.host}: {each.why}" for each in self.door.tried]


class OpenGate:
    """Opens proxies to the registry that are closed at the test's end."""

    def __init__(self, sandbox: Bubblewrap, workspace: Path, registry: Registry) -> None:
        self.sandbox = sandbox
        self.workspace = workspace
        self.registry = registry
        self.stack = AsyncExitStack()
        self.writers: list[asyncio.StreamWriter] = []

    async def __call__(
        self,
        *rules: HostRule,
        mode: Mode = "fetch-only",
        names: dict[str, Sequence[str]] | None = None,
        networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = LOOPBACK,
        bounds: EgressLimits | None = None,
        **given: Any,
    ) -> Gate:
        async def lookup(host: str) -> Sequence[str]:
            return (names or {}).get(host, ["127.0.0.1"])

        authority = self.registry.authority.pem().decode()
        door = await self.stack.enter_async_context(
            open_setup_proxy(
                rules or [self.registry.rule],
                mode,
                sandbox=self.sandbox,
                workspace=self.workspace,
                addresses=Addresses(networks, lookup),
                bounds=bounds,
                **given,
                trust=ssl.create_default_context(cadata=authority),
            )
        )
        return Gate(door, self.registry, self.writers)
