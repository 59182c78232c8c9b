"""Network access for one setup: a proxy outside, on a socket that only its sandbox sees.

A client inside connects to `127.0.0.1`, where `relay.py` forwards its bytes to the socket. Requests
must match the allow-list (`rules.py`) and the addresses that the operator allows (`addresses.py`);
blocked ones are recorded and reported.

`fetch-only`: the proxy terminates TLS, with an authority that only this sandbox trusts, reads the
request and makes a new one outside: GET and HEAD, no query, no body, few headers. `connect`: a
tunnel to an allowed host, closed unless its TLS handshake names that host. Its content is not
inspected.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from app.ecosystems import ECOSYSTEMS
from app.egress.addresses import Addresses, Network
from app.egress.certificate_authority import TRUST_STORE_PASSWORD, Authority
from app.egress.go_proxy import OnlyModules
from app.egress.package_clients import PackageClients, Registries
from app.egress.proxy import (
    BlockedRequest,
    EgressLimits,
    Proxy,
    UpstreamClient,
)
from app.egress.rules import WITH_REGISTRY, HostRule, Mode
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
    """What a sandbox needs to use the proxy, and the requests blocked so far."""

    mount: Mount
    environment: Mapping[str, str]
    _prefix: tuple[str, ...]
    _proxy: Proxy

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command, wrapped so that the relay runs first."""
        return [*self._prefix, *argv]

    def report(self, problem: BlockedRequest) -> None:
        """Report a problem, such as an unknown registry, together with the blocked requests."""
        self._proxy.record.refuse(problem.host, problem.why)

    @property
    def tried(self) -> tuple[BlockedRequest, ...]:
        """Blocked requests, most frequent first."""
        return self._proxy.record.tried


class SetupProxies:
    """Opens proxies for setups, based on their policies' allow-lists.

    `networks` are the operator's: addresses in them are allowed although they are not public.
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
        self,
        allow: Sequence[str],
        mode: Mode,
        workspace: Path,
        *,
        only_go_modules: frozenset[str] | None = None,
    ) -> AsyncIterator[SetupProxy]:
        """A proxy for the sandboxes of one workspace while the context is open.

        `allow` contains hosts, `*.suffix` and ecosystem names. Raises UserError for others.
        `only_go_modules` (from `go_modules`) are the only Go modules that may be fetched; None:
        all. They limit `fetch-only`; nothing in a tunnel is inspected.
        """
        found = await self._clients.resolve(allow)
        async with open_setup_proxy(
            found.rules,
            mode,
            sandbox=self._sandbox,
            workspace=workspace,
            addresses=self._addresses,
            environment={**_clients_environment(allow), **found.environment},
            files=found.files,
            aliases=found.aliases,
            only_modules=_only_modules(found, only_go_modules),
            outgoing=self._outgoing,
        ) as proxy:
            for problem in found.problems:
                proxy.report(problem)
            yield proxy


@asynccontextmanager
async def open_setup_proxy(
    rules: Sequence[HostRule],
    mode: Mode,
    *,
    sandbox: Sandbox,
    workspace: Path,
    addresses: Addresses,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
    only_modules: OnlyModules | None = None,
    bounds: EgressLimits | None = None,
    trust: ssl.SSLContext | None = None,
    outgoing: Outgoing = DIRECT,
) -> AsyncIterator[SetupProxy]:
    """Let the sandboxes of one workspace reach what the rules allow, until the context exits.

    `files` are written inside, where their client looks for them, unless there is one already.
    `aliases`: see `Registries`. `trust` verifies the registries' certificates; the default is that
    of `outgoing`.
    """
    folder = Path(tempfile.mkdtemp(prefix="honk-egress-"))
    bounds = bounds or EgressLimits()
    outside = UpstreamClient(rules, addresses, bounds, trust or outgoing.trust, outgoing, aliases)
    proxy = Proxy(outside, mode, bounds, Authority(), only_modules)
    try:
        _write_files(folder, proxy, outgoing, files or {})
        sandbox.claim(folder, like=workspace)
        listener = _listener(folder)
        server = await asyncio.start_unix_server(proxy.accept, sock=listener)
        try:
            yield _with_relay(folder, sandbox, proxy, environment or {})
        finally:
            server.close()
            await proxy.aclose()
            await server.wait_closed()
    finally:
        removed([folder])


def _write_files(folder: Path, proxy: Proxy, outgoing: Outgoing, files: Mapping[str, str]) -> None:
    shutil.copyfile(Path(__file__).with_name("relay.py"), folder / "relay.py")
    (folder / "files.json").write_text(json.dumps(dict(files)))
    if proxy.mode == "fetch-only":
        (folder / "ca.pem").write_bytes(proxy.authority.pem())
        (folder / "ca.p12").write_bytes(proxy.authority.java_trust_store())
    else:
        # A tunnel ends at the registry, whose certificate the operator's bundle verifies.
        bundle = outgoing.bundle or system_store()
        (folder / "ca.pem").write_bytes(b"" if bundle is None else bundle.read_bytes())
    for path in folder.iterdir():
        path.chmod(0o644)


def _listener(folder: Path) -> socket.socket:
    """A socket that only the folder's owner can use, bound by a short path under /proc."""
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


def _with_relay(
    folder: Path, sandbox: Sandbox, proxy: Proxy, environment: Mapping[str, str]
) -> SetupProxy:
    mount = Mount(folder, INSIDE)
    seen = sandbox.seen(mount)
    # A fixed port is free only in a sandbox that has its own loopback interface.
    port = str(PORT if seen == INSIDE else 0)
    prefix = ("/usr/bin/python3", "-I", "-S", f"{seen}/relay.py", f"{seen}/proxy.sock", port)
    return SetupProxy(mount, {**_environment(seen, proxy.mode), **environment}, prefix, proxy)


_MAVEN_FOLLOWS_THE_PROXY = (
    "aether.connector.http.useSystemProperties",
    "aether.transport.apache.useSystemProperties",
)
"""Since version 3.9 Maven's own client ignores Java's proxy unless one of these is set: Maven 3.9,
and Maven 4. https://maven.apache.org/resolver/configuration.html"""


def _environment(seen: str, mode: Mode) -> dict[str, str]:
    """Variables that tell each client about the proxy and the CA certificate."""
    url = "http://127.0.0.1:@PORT@"
    proxies = ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"]
    authorities = ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"]
    for ecosystem in ECOSYSTEMS:
        proxies += ecosystem.proxy_variables
        authorities += ecosystem.ca_variables
    java = [
        f"-D{scheme}.proxy{what}={value}"
        for scheme in ("http", "https")
        for what, value in (("Host", "127.0.0.1"), ("Port", "@PORT@"))
    ]
    java += [f"-D{name}=true" for name in _MAVEN_FOLLOWS_THE_PROXY]
    if mode == "fetch-only":
        java += [
            f"-Djavax.net.ssl.trustStore={seen}/ca.p12",
            f"-Djavax.net.ssl.trustStorePassword={TRUST_STORE_PASSWORD}",
            "-Djavax.net.ssl.trustStoreType=PKCS12",
        ]
    return {
        **dict.fromkeys(proxies, url),
        **dict.fromkeys(authorities, f"{seen}/ca.pem"),
        "JAVA_TOOL_OPTIONS": " ".join(java),
        "npm_config_noproxy": "",
        "no_proxy": "",
    }


def _only_modules(found: Registries, modules: frozenset[str] | None) -> OnlyModules | None:
    return None if modules is None else OnlyModules(found.modules, modules)


def _clients_environment(allow: Sequence[str]) -> dict[str, str]:
    """Variables that keep the clients from sending data and from using hosts that are not
    allowed.
    """
    only_registries = all(entry in WITH_REGISTRY for entry in allow)
    variables = {"DO_NOT_TRACK": "1"}
    for ecosystem in ECOSYSTEMS:
        variables |= ecosystem.setup_environment
        variables |= ecosystem.no_downloads if only_registries else {}
    return variables
