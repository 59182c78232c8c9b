"""The network of a set-up: a proxy outside, on a socket that only this set-up's sandbox sees.

A client inside speaks to `127.0.0.1`, where `relay.py` carries its bytes to the socket. What it
asks for is held to the allow-list (`egress_rules.py`) and to the addresses that the operator
allows (`egress_addresses.py`); whatever is refused is kept and told.

`fetch-only`: the proxy speaks TLS with the client itself, as an authority that this sandbox alone
trusts, reads the request, and makes it anew outside: GET and HEAD, no query, no body, few headers.
`connect`: a tunnel to the allowed host, closed unless its TLS names that very host. Nobody reads
what is in it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.egress.addresses import Addresses, Network
from app.egress.certificate_authority import TRUST_STORE_PASSWORD, Authority
from app.egress.package_clients import PackageClients
from app.egress.proxy import (
    BlockedRequest,
    EgressLimits,
    Proxy,
    UpstreamClient,
)
from app.egress.rules import HostRule, Mode
from app.outgoing import DIRECT, Outgoing, system_store
from app.sandbox.removal import removed
from app.sandbox.spec import Mount, Sandbox

__all__ = [
    "BlockedRequest",
    "EgressLimits",
    "Mode",
    "SetupProxies",
    "SetupProxy",
    "open_setup_proxy",
]

INSIDE = "/run/honk/egress"
PORT = 3128


@dataclass(frozen=True)
class SetupProxy:
    """What a sandbox needs to use the proxy, and what the proxy refused so far."""

    mount: Mount
    environment: Mapping[str, str]
    _prefix: tuple[str, ...]
    _proxy: Proxy

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command, with the way to the proxy opened before it."""
        return [*self._prefix, *argv]

    def tell(self, problem: BlockedRequest) -> None:
        """Say together with the refusals what could not even be allowed."""
        self._proxy.ledger.refuse(problem.host, problem.why)

    @property
    def tried(self) -> tuple[BlockedRequest, ...]:
        """What was refused, most often first."""
        return self._proxy.ledger.tried


class SetupProxies:
    """Opens doors for set-ups, by the allow-lists of policies.

    `networks` are the operator's: addresses in them may be reached though they are not public.
    """

    def __init__(
        self, sandbox: Sandbox, networks: Iterable[Network] = (), outgoing: Outgoing = DIRECT
    ) -> None:
        self._sandbox = sandbox
        self._addresses = Addresses(networks)
        self._outgoing = outgoing
        self._clients = PackageClients(self._addresses, outgoing)

    @asynccontextmanager
    async def open(
        self, allow: Sequence[str], mode: Mode, workspace: Path
    ) -> AsyncIterator[SetupProxy]:
        """A door for the sandboxes of one workspace, as long as the context lasts.

        `allow` holds hosts, `*.suffix` and names of ecosystems. Raises UserError for others.
        """
        found = await self._clients.resolve(allow)
        async with open_setup_proxy(
            found.rules,
            mode,
            sandbox=self._sandbox,
            workspace=workspace,
            addresses=self._addresses,
            environment=found.environment,
            outgoing=self._outgoing,
        ) as door:
            for problem in found.problems:
                door.tell(problem)
            yield door


@asynccontextmanager
async def open_setup_proxy(
    rules: Sequence[HostRule],
    mode: Mode,
    *,
    sandbox: Sandbox,
    workspace: Path,
    addresses: Addresses,
    environment: Mapping[str, str] | None = None,
    bounds: EgressLimits | None = None,
    trust: ssl.SSLContext | None = None,
    outgoing: Outgoing = DIRECT,
) -> AsyncIterator[SetupProxy]:
    """Let the sandboxes of one workspace reach what the rules name, until the context ends.

    `trust` is what the registries' certificates are checked with: that of `outgoing`, when left
    out.
    """
    folder = Path(tempfile.mkdtemp(prefix="honk-egress-"))
    bounds = bounds or EgressLimits()
    outside = UpstreamClient(rules, addresses, bounds, trust or outgoing.trust, outgoing)
    proxy = Proxy(outside, mode, bounds, Authority())
    try:
        _lay_out(folder, proxy, outgoing)
        sandbox.claim(folder, like=workspace)
        listener = _listener(folder)
        server = await asyncio.start_unix_server(proxy.accept, sock=listener)
        try:
            yield _door(folder, sandbox, proxy, environment or {})
        finally:
            server.close()
            await proxy.aclose()
            await server.wait_closed()
    finally:
        removed([folder])


def _lay_out(folder: Path, proxy: Proxy, outgoing: Outgoing) -> None:
    shutil.copyfile(Path(__file__).with_name("relay.py"), folder / "relay.py")
    if proxy.mode == "fetch-only":
        (folder / "ca.pem").write_bytes(proxy.authority.pem())
        (folder / "ca.p12").write_bytes(proxy.authority.java_trust_store())
    else:
        # A tunnel ends at the registry, which the operator's certificates vouch for.
        bundle = outgoing.bundle or system_store()
        (folder / "ca.pem").write_bytes(b"" if bundle is None else bundle.read_bytes())
    for path in folder.iterdir():
        path.chmod(0o644)


def _listener(folder: Path) -> socket.socket:
    """A socket for the folder's owner alone. Its name may be too long for an address."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at = os.open(folder, os.O_PATH)
    try:
        listener.bind(f"/proc/self/fd/{at}/proxy.sock")
        owner = folder.stat()
        path = folder / "proxy.sock"
        path.chmod(0o600)
        if owner.st_uid != os.geteuid():
            os.chown(path, owner.st_uid, owner.st_gid)
    finally:
        os.close(at)
    return listener


def _door(
    folder: Path, sandbox: Sandbox, proxy: Proxy, environment: Mapping[str, str]
) -> SetupProxy:
    mount = Mount(folder, INSIDE)
    seen = sandbox.seen(mount)
    # Only a sandbox with a loopback of its own has this port for itself.
    port = str(PORT if seen == INSIDE else 0)
    prefix = ("/usr/bin/python3", "-I", "-S", f"{seen}/relay.py", f"{seen}/proxy.sock", port)
    return SetupProxy(mount, {**_environment(seen, proxy.mode), **environment}, prefix, proxy)


def _environment(seen: str, mode: Mode) -> dict[str, str]:
    """How each client is told of the proxy and of whom to trust."""
    url = "http://127.0.0.1:@PORT@"
    proxies = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "CARGO_HTTP_PROXY")
    bundles = (
        "SSL_CERT_FILE",
        "PIP_CERT",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "CARGO_HTTP_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "npm_config_cafile",
        "UV_SSL_CERT_FILE",
    )
    java = [
        f"-D{scheme}.proxy{what}={value}"
        for scheme in ("http", "https")
        for what, value in (("Host", "127.0.0.1"), ("Port", "@PORT@"))
    ]
    if mode == "fetch-only":
        java += [
            f"-Djavax.net.ssl.trustStore={seen}/ca.p12",
            f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
        ]
    return {
        **dict.fromkeys(proxies, url),
        **dict.fromkeys(bundles, f"{seen}/ca.pem"),
        "JAVA_TOOL_OPTIONS": " ".join(java),
        # Modules come from the module proxy; version control is no registry.
        "GOVCS": "*:off",
        "npm_config_noproxy": "",
        "no_proxy": "",
    }
