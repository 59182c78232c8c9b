"""Resolve a host name to addresses that may be connected to.

Names are resolved outside the sandbox and the addresses checked. The connection then uses the
checked address itself, so DNS rebinding (another answer to a second lookup) has no effect.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import httpcore

from app.egress.rules import BlockedRequestError
from app.retrying import NAME_LOOKUP, Retries

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup = Callable[[str], Awaitable[Sequence[str]]]

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_LOOKUP_SECONDS = 20.0
_FRESH_SECONDS = 30.0
_UNKNOWN_SECONDS = 10.0
_MAX_NAMES = 1000


async def system_lookup(host: str) -> Sequence[str]:
    """Resolve with this machine's resolver. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Whether the address is globally reachable. An embedded IPv4 address counts instead.

    https://www.iana.org/assignments/iana-ipv6-special-registry
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address in _NAT64_LOCAL:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class NoAddressError(BlockedRequestError):
    """This machine cannot resolve the name."""

    def __init__(self) -> None:
        super().__init__("the name has no address")


class Addresses:
    """Resolves hosts and refuses addresses that the operator does not allow.

    `networks` are allowed although they are not public. An answer is kept for 30 seconds, since a
    package client opens dozens of connections to one host at once, and a small resolver drops some
    of as many lookups.
    """

    def __init__(self, networks: Iterable[Network] = (), lookup: Lookup = system_lookup) -> None:
        self._networks = tuple(networks)
        self._lookup = lookup
        self._asking: dict[str, asyncio.Lock] = {}
        self._known: dict[str, tuple[float, Sequence[str]]] = {}

    def allows(self, address: Address) -> bool:
        """Whether it may be connected to."""
        if is_public(address):
            return True
        forms = [address]
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            forms.append(address.ipv4_mapped)
        return any(form in network for form in forms for network in self._networks)

    async def check(self, host: str, *, known: bool) -> None:
        """Check a host that the operator's proxy connects to. Raises BlockedRequestError.

        Names that this machine can resolve must follow the usual rules. In a network without
        external DNS only the proxy can resolve a name, and it may be an internal server's. Such a
        name must be `known` from the operator's own clients, unless the operator allows every
        address.
        """
        try:
            await self.of(host)
        except NoAddressError as problem:
            if not known and not self._allows_every():
                raise BlockedRequestError(
                    "this machine cannot look the name up; the operator can allow such names with "
                    "HONK_EGRESS_NETWORKS=0.0.0.0/0"
                ) from problem

    def _allows_every(self) -> bool:
        return any(network.prefixlen == 0 for network in self._networks)

    async def of(self, host: str) -> list[str]:
        """The addresses of the host that may be connected to.

        Raises BlockedRequestError when it has none, or only refused ones.
        """
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await self._found(host)
        except (TimeoutError, UnicodeError) as error:
            raise NoAddressError from error
        if not found:
            raise NoAddressError
        allowed = [text for text in found if self.allows(ipaddress.ip_address(_bare(text)))]
        if not allowed:
            raise BlockedRequestError(_not_public(found))
        return allowed

    async def _found(self, host: str) -> Sequence[str]:
        """One lookup of a name at a time; empty if this machine cannot resolve it."""
        async with self._asking.setdefault(host, asyncio.Lock()):
            until, found = self._known.get(host, (0.0, ()))
            if time.monotonic() < until:
                return found
            found = await self._looked_up(host)
            if len(self._known) >= _MAX_NAMES:
                self._known.clear()
                self._asking.clear()
            fresh = _FRESH_SECONDS if found else _UNKNOWN_SECONDS
            self._known[host] = (time.monotonic() + fresh, found)
            return found

    async def _looked_up(self, host: str) -> Sequence[str]:
        retries = Retries(NAME_LOOKUP)
        while True:
            try:
                return await self._lookup(host)
            except socket.gaierror as error:
                if error.errno != socket.EAI_AGAIN or not await retries.pause():
                    return ()
            except OSError:
                return ()


def _not_public(found: Sequence[str]) -> str:
    named = ", ".join(found[:3])
    return (
        f"resolves to {named}, which is not public; "
        "the operator can allow it with HONK_EGRESS_NETWORKS"
    )


def _bare(text: str) -> str:
    return text.partition("%")[0]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """A network backend for httpcore that connects only to checked addresses."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Try the host's addresses in turn. Raises BlockedRequestError, httpcore.ConnectError."""
        problem: Exception = httpcore.ConnectError("no address answers")
        for address in (await self._addresses.of(host))[:4]:
            try:
                return await self._real.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem

    async def sleep(self, seconds: float) -> None:
        await self._real.sleep(seconds)
