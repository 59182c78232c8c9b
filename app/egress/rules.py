"""What setup may request from the network, decided from the request alone. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote_to_bytes, urlsplit

import idna
from pydantic import SecretStr

from app.ecosystems import ECOSYSTEMS
from app.errors import UserError

Mode = Literal["fetch-only", "connect"]

WITH_REGISTRY = tuple(each.name for each in ECOSYSTEMS if each.registry)
"""Names in an allow-list that mean the hosts an ecosystem's client is configured for."""

MAX_TARGET = 1024
"""Bytes of a request's path: enough for names of packages and files, too short for a file's
content."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_SCOPED = re.compile(r"/@[A-Za-z0-9._~-]+%2[Ff](?=[A-Za-z0-9._~-])")
_NEVER_ENCODED = frozenset(b"/\\%?#.") | frozenset(range(0x20)) | frozenset(range(0x7F, 0x100))

# Headers that clients need; all others stay inside.
_REQUEST_HEADERS = {
    b"accept": re.compile(rb"[A-Za-z0-9.+*/;=, _-]{1,200}"),
    b"accept-encoding": re.compile(rb"[a-z*;=0-9., ]{1,60}"),
    b"range": re.compile(rb"bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})"),
}
_RESPONSE_HEADERS = frozenset(
    (
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"content-range",
        b"accept-ranges",
        b"etag",
        b"last-modified",
        b"cache-control",
        b"location",
    )
)


class BlockedRequestError(Exception):
    """A request that setup may not make; the message tells people why."""


@dataclass(frozen=True)
class HostRule:
    """An allowed destination: an exact host, or every host below `*.suffix`.

    `authorization` is the operator's credential for this registry, added outside the sandbox.
    `known` means that the operator's own clients use the host, not just a repository's policy.
    """

    pattern: str
    port: int = 443
    tls: bool = True
    authorization: SecretStr | None = field(default=None, compare=False)
    known: bool = field(default=False, compare=False)

    def covers(self, host: str, port: int, *, tls: bool) -> bool:
        """Whether the rule allows this host and port, with or without TLS."""
        if (port, tls) != (self.port, self.tls):
            return False
        if self.pattern.startswith("*."):
            return host.endswith(self.pattern[1:])
        return host == self.pattern


def host_rule(text: str) -> HostRule:
    """Parse an allow-list entry that is not an ecosystem. Raises UserError if it is invalid.

    Non-ASCII names are converted to their encoded form (IDNA 2008), which clients request.
    """
    wildcard, name = (True, text[2:]) if text.startswith("*.") else (False, text)
    try:
        encoded = idna.encode(name, uts46=True).decode() if not name.isascii() else name.lower()
    except idna.IDNAError:
        encoded = ""
    if not _HOST.fullmatch(encoded) or _is_address(encoded) or (wildcard and "." not in encoded):
        raise UserError(
            f"{text[:100]!r} is neither a host, `*.suffix`, nor one of {', '.join(WITH_REGISTRY)}.",
            next_step="Fix `network.allow` in `.github/honk.yml`.",
        )
    return HostRule(("*." if wildcard else "") + encoded)


def url_rule(url: str, authorization: SecretStr | None = None) -> HostRule:
    """The rule for a URL a client is configured with. Raises ValueError for other schemes."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("neither http nor https")
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return HostRule(plain_host(parts.hostname), port, tls, authorization, known=True)


def rule_for(rules: Iterable[HostRule], host: str, port: int, *, tls: bool) -> HostRule:
    """The rule that allows a request; the operator's rules win. Raises BlockedRequestError."""
    found = [rule for rule in rules if rule.covers(host, port, tls=tls)]
    if found:
        return max(found, key=lambda rule: (rule.authorization is not None, rule.known))
    if any(rule.covers(host, rule.port, tls=rule.tls) for rule in rules):
        raise BlockedRequestError(f"port {port} is not the one that is allowed there")
    raise BlockedRequestError("the host is not on the allow-list")


def plain_host(text: str) -> str:
    """A normalized host: lower case, no trailing dot. Raises BlockedRequestError."""
    host = text.lower().removesuffix(".")
    if _is_address(host) or _HOST.fullmatch(host):
        return host
    raise BlockedRequestError("this is no host name")


def authority(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of `host`, `host:port` or `[address]:port`. Raises BlockedRequestError."""
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#\s]+)(?::([0-9]{1,5}))?", text)
    if match is None:
        raise BlockedRequestError("this is no host and port")
    port = int(match[2]) if match[2] else default_port
    if not 0 < port < 65536:
        raise BlockedRequestError("this is no port")
    return plain_host(match[1].strip("[]")), port


def checked_path(target: str) -> str:
    """Check that a request's path can only name a resource. Raises BlockedRequestError.

    Only one spelling is allowed, so that the registry reads exactly what was checked here. The only
    encoded slash that may pass is that of npm's scoped names (`/@scope%2fname`).
    """
    if "?" in target:
        raise BlockedRequestError("a query string could carry something out")
    if len(target) > MAX_TARGET:
        raise BlockedRequestError(f"the path is longer than {MAX_TARGET} bytes")
    if not _PATH.fullmatch(target):
        raise BlockedRequestError("the path holds characters that no registry uses")
    rest = _SCOPED.sub("/@scope/", target, count=1)
    if any(byte in _NEVER_ENCODED for byte in _encoded_bytes(rest)):
        raise BlockedRequestError("the path hides a character behind an encoding")
    if any(segment in (".", "..") for segment in rest.split("/")):
        raise BlockedRequestError("the path goes upwards")
    return target


def _encoded_bytes(path: str) -> bytes:
    return b"".join(unquote_to_bytes(code) for code in re.findall("%..", path))


def refuse_body(method: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
    """Allow only GET and HEAD without a body. Raises BlockedRequestError."""
    if method not in ("GET", "HEAD"):
        raise BlockedRequestError(
            f"{method[:20]} could send something out; only GET and HEAD are made"
        )
    for name, value in headers:
        if name == b"transfer-encoding" or (name == b"content-length" and value.strip() != b"0"):
            raise BlockedRequestError("a request with a body could send something out")
        if name in (b"upgrade", b"expect"):
            raise BlockedRequestError(f"{name.decode()} is not part of reading")


def outgoing(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The client's headers to send: only known ones, short and of a known form."""
    kept = []
    for name, shape in _REQUEST_HEADERS.items():
        values = [value for key, value in headers if key == name]
        if len(values) == 1 and shape.fullmatch(values[0]):
            kept.append((name, values[0]))
    return kept


def incoming(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The response headers to pass on to the client."""
    return [(name.lower(), value) for name, value in headers if name.lower() in _RESPONSE_HEADERS]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # The C library also reads 127.1, 0x7f000001 and 2130706433 as addresses.
        return bool(re.fullmatch(r"(?:[a-z0-9_.-]*\.)?(?:0x[0-9a-f]*|[0-9]+)", host))
    return True
