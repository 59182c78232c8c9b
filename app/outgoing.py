"""The proxy and CA certificates of every outgoing connection.

Libraries read `HTTPS_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` differently, or not at all. So none of
them reads the environment: code that opens a connection asks here.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from app.errors import UserError
from app.github_urls import is_this_machine
from app.settings import Settings

_SYSTEM_STORES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Outgoing:
    """The operator's proxy settings. By default: no proxy, and the system's CA certificates.

    `proxies` maps the scheme of a requested URL to the proxy's address; `bypass` holds the entries
    of `NO_PROXY`. `bundle` is the CA bundle, and `chosen_by` the setting that names it, or empty
    for the system's.
    """

    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    bypass: tuple[str, ...] = ()
    bundle: Path | None = None
    chosen_by: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Outgoing:
        """Raises UserError for an invalid proxy address or an unreadable CA bundle."""
        chosen, bundle = settings.ca_bundle()
        found = cls(settings.proxies(), settings.bypassed(), bundle or system_store(), chosen)
        if bundle is not None:
            # Fail now rather than on the first connection.
            _ = found.trust
        return found

    def proxy_for(self, url: str) -> str | None:
        """The proxy for a URL; None for a direct connection.

        Loopback addresses are always reached directly.
        """
        parts = urlsplit(url)
        if is_this_machine(url) or any(_covers(entry, parts) for entry in self.bypass):
            return None
        return self.proxies.get(parts.scheme)

    @cached_property
    def trust(self) -> ssl.SSLContext:
        """The context that verifies servers' certificates. Raises UserError."""
        try:
            context = ssl.create_default_context(cafile=self.bundle)
        except (OSError, ssl.SSLError) as problem:
            why = problem.strerror or str(problem)
            raise UserError(
                f"{self.chosen_by or 'The certificate store'}: {self.bundle} holds no certificate "
                f"that can be read ({why}).",
                next_step="Use a PEM file with certificates.",
            ) from None
        # Python 3.13 and later reject many company CAs for formal errors. git accepts them, and all
        # our clients should trust the same CAs.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    def transport(self, limits: httpx.Limits | None = None) -> httpx.AsyncBaseTransport:
        """A transport for an httpx client, which must be created with `trust_env=False`."""
        return _Transport(self, limits or httpx.Limits())

    def git_environment(self, url: str) -> dict[str, str]:
        """Environment variables that configure git for one remote.

        They are not on the command line because a proxy's address may contain a password.
        """
        trusted = ("GIT_SSL_CAINFO", "GIT_PROXY_SSL_CAINFO")
        found = {} if self.bundle is None else dict.fromkeys(trusted, str(self.bundle))
        proxy = self.proxy_for(url)
        if proxy is not None:
            found |= dict.fromkeys(("http_proxy", "https_proxy"), proxy)
        return found


DIRECT = Outgoing()
"""No proxy, and OpenSSL's default certificates."""


class _Transport(httpx.AsyncBaseTransport):
    """Chooses the proxy for each request: one client may be redirected to several hosts."""

    def __init__(self, outgoing: Outgoing, limits: httpx.Limits) -> None:
        self._outgoing = outgoing
        self._limits = limits
        self._transports: dict[str | None, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy = self._outgoing.proxy_for(str(request.url))
        if proxy not in self._transports:
            self._transports[proxy] = self._transport_via(proxy)
        return await self._transports[proxy].handle_async_request(request)

    def _transport_via(self, proxy: str | None) -> httpx.AsyncHTTPTransport:
        trust = self._outgoing.trust
        through = (
            None if proxy is None else httpx.Proxy(proxy, ssl_context=proxy_trust(proxy, trust))
        )
        return httpx.AsyncHTTPTransport(
            verify=trust, proxy=through, limits=self._limits, trust_env=False
        )

    async def aclose(self) -> None:
        for transport in self._transports.values():
            await transport.aclose()


def untrusted(problem: BaseException) -> bool:
    """Whether a connection failed because the server's certificate is not trusted."""
    return "CERTIFICATE_VERIFY_FAILED" in str(problem)


def proxy_trust(proxy: str, trust: ssl.SSLContext) -> ssl.SSLContext | None:
    """The TLS context for the connection to the proxy itself; None for a plain HTTP proxy."""
    return trust if proxy.startswith("https://") else None


def system_store() -> Path | None:
    """The system's CA bundle, or None."""
    built_in = ssl.get_default_verify_paths().openssl_cafile
    return next((path for path in map(Path, (built_in, *_SYSTEM_STORES)) if path.is_file()), None)


def _covers(entry: str, parts: SplitResult) -> bool:
    """Whether an entry of NO_PROXY matches this URL, with the rules of curl(1) and Go.

    An entry is `*`, a host (which includes its subdomains) or a network such as 10.0.0.0/8, each
    with an optional port.
    """
    host = (parts.hostname or "").removesuffix(".")
    name, _, port = entry.rpartition(":") if _has_port(entry) else (entry, "", "")
    if port and int(port) != (parts.port or _PORTS.get(parts.scheme)):
        return False
    if name == "*":
        return True
    name = name.strip("[]").lower().removeprefix("*").removeprefix(".").removesuffix(".")
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return bool(name) and (host == name or host.endswith(f".{name}"))


def _has_port(entry: str) -> bool:
    """Whether an entry ends with a port: `host:443` and `[::1]:443` do, `::1` does not."""
    before, colon, port = entry.rpartition(":")
    bare = ":" not in before or before.endswith("]")
    return bool(colon) and port.isdecimal() and bool(before) and bare
