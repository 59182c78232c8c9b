"""A company's network on this machine: its own names and certificates, and one way out.

    processes in the namespace -> 127.0.0.2:3128 there -> a socket in a folder -> the proxy here

The namespace has nothing but its loopback: no route, no name server. What passes between the two is
a Unix socket, which has a name in the file system and belongs to no network.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from app.egress.certificate_authority import Authority

_WHO_ARE_YOU = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=proxy\r\n"
    b"Content-Length: 0\r\nConnection: close\r\n\r\n"
)
_WRAPPER = Path(__file__).with_name("alone.py")


@dataclass
class Surroundings:
    """Names that only the proxy knows, each with a server that shows a certificate for it."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    asked: list[str] = field(default_factory=list)
    """What the proxy was asked to connect to, in order."""
    wanted: str = ""
    """`name:password` that the proxy requires; empty if it requires none."""
    url: str = ""
    """The proxy's URL in this machine's network."""
    encrypted_url: str = ""
    """The same, spoken to by TLS."""
    _places: dict[str, int] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """Where the proxy listens."""
        return self.folder / "proxy.sock"

    @property
    def bundle(self) -> Path:
        """The certificate of the company's authority."""
        return self.folder / "company-ca.pem"

    @property
    def settings(self) -> dict[str, str]:
        """The settings of an operator for an isolated process."""
        return {"HTTPS_PROXY": "http://127.0.0.2:3128", "HONK_CA_BUNDLE": str(self.bundle)}

    async def put(self, name: str, url: str) -> str:
        """Let `https://name` lead to a server on this machine; return that URL."""
        there = urlsplit(url)

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _both_ways(
                reader, writer, *await asyncio.open_connection("127.0.0.1", there.port)
            )

        context: ssl.SSLContext = self.authority.context(name)
        server = await asyncio.start_server(carry, "127.0.0.1", 0, ssl=context)
        self._servers.append(server)
        self._places[name] = server.sockets[0].getsockname()[1]
        return f"https://{name}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection to the proxy: CONNECT and nothing else."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), _closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, *_ = head.decode().split(" ")
            self.asked.append(target)
            if self.wanted and _who(head) != self.wanted:
                writer.write(_WHO_ARE_YOU)
                await writer.drain()
                return
            name, _, port = target.rpartition(":")
            if method != "CONNECT" or port != "443" or name not in self._places:
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                there = await asyncio.open_connection("127.0.0.1", self._places[name])
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _both_ways(reader, writer, *there)

    def close(self) -> None:
        for server in self._servers:
            server.close()


@asynccontextmanager
async def surroundings(folder: Path) -> AsyncIterator[Surroundings]:
    """The network, with its proxy running. `folder` is for it alone."""
    folder.mkdir()
    found = Surroundings(folder)
    found.bundle.write_bytes(found.authority.pem())
    proxy = await asyncio.start_unix_server(found.serve, found.socket)
    beside = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{beside.sockets[0].getsockname()[1]}"
    context = found.authority.context("localhost")
    encrypted = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    found.encrypted_url = f"https://localhost:{encrypted.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        proxy.close()
        beside.close()
        encrypted.close()
        found.close()


@dataclass(frozen=True)
class Alone:
    """Starts processes in a network namespace of their own: a `PlaygroundStart`."""

    socket: Path

    def __call__(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, errors: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(_WRAPPER), str(self.socket), sys.executable, "-m", *words],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
        )


@contextlib.contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.close()


def _who(head: bytes) -> str:
    found = re.search(rb"proxy-authorization: Basic (\S+)", head, re.IGNORECASE)
    return base64.b64decode(found[1]).decode() if found else ""


async def _both_ways(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far_writer: asyncio.StreamWriter,
) -> None:
    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await source.read(1 << 16):
                sink.write(data)
                await sink.drain()
        with contextlib.suppress(OSError, RuntimeError):
            sink.close()

    await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))
