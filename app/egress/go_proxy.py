"""Limits requests to Go module proxies to the modules that the repository names.

https://go.dev/ref/mod#goproxy-protocol, https://go.dev/design/25530-sumdb#checksum-database
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.egress.rules import BlockedRequestError, HostRule

_MODULE = re.compile(
    r"/(?P<path>[^@]+)/@(?:latest|v/(?:list|(?P<version>[^/]+)\.(?:info|mod|zip)))"
)
_LOOKUP = re.compile(r"/lookup/(?P<path>[^@]+)@(?P<version>[^@/]+)")
_OF_ALL = re.compile(
    r"/supported|/latest|/tile/\d{1,2}/(?:data|\d{1,2})/(?:x\d{3}/){0,5}\d{3}(?:\.p/\d{1,3})?"
)
_SUM_IN_PROXY = re.compile(r"/sumdb/[^/]+(?P<rest>/.*)")
_TOOLCHAIN = re.compile(
    r"golang\.org/toolchain(?:@v0\.0\.1-go[0-9][0-9a-z.]*\.[a-z0-9]+-[a-z0-9]+)?"
)
"""Go's own versions, which `GOTOOLCHAIN` gets as a module: its host is always the same."""


@dataclass(frozen=True)
class ModuleServer:
    """A module proxy or checksum database. `rule` is its host; its paths begin with `prefix`.

    `alone`: this host serves nothing else that is allowed.
    """

    rule: HostRule
    prefix: str
    alone: bool = True


class OnlyModules:
    """Refuses requests for other modules than those named, as `path@version`."""

    def __init__(self, servers: Sequence[ModuleServer], modules: frozenset[str]) -> None:
        self._servers = servers
        self._modules = modules
        self._paths = {module.partition("@")[0] for module in modules}

    def check(self, host: str, port: int, *, tls: bool, target: str) -> None:
        """Check a request's path. Raises BlockedRequestError."""
        here = [each for each in self._servers if each.rule.covers(host, port, tls=tls)]
        below = [each for each in here if target.startswith(f"{each.prefix}/")]
        if below:
            longest = max(below, key=lambda each: len(each.prefix))
            self._check(target.removeprefix(longest.prefix))
        elif any(each.alone for each in here):
            raise BlockedRequestError("this is no request for a Go module")

    def _check(self, target: str) -> None:
        in_proxy = _SUM_IN_PROXY.fullmatch(target)
        target = in_proxy["rest"] if in_proxy else target
        if _OF_ALL.fullmatch(target):
            return
        match = _MODULE.fullmatch(target) or _LOOKUP.fullmatch(target)
        if match is None:
            raise BlockedRequestError("this is no request for a Go module")
        path, version = _unescaped(match["path"]), match["version"]
        named = f"{path}@{_unescaped(version)}" if version else path
        known = named in self._modules if version else path in self._paths
        if not known and not _TOOLCHAIN.fullmatch(named):
            raise BlockedRequestError(
                f"the Go module {named[:200]} is in no go.mod or go.sum of the base branch; run "
                "`go mod tidy` and commit them, or put `network: {allow: [go]}` into "
                "`.github/honk.yml`"
            )


def _unescaped(text: str) -> str:
    """Capital letters are `!` and the small one. https://go.dev/ref/mod#module-cache"""
    return re.sub("!([a-z])", lambda match: match[1].upper(), text)
