"""Which requests go to a Go module proxy, and which do not."""

from __future__ import annotations

import pytest

from app.egress.go_proxy import ModuleServer, OnlyModules
from app.egress.rules import BlockedRequestError, HostRule

MODULES = frozenset({"example.com/A/b@v1.2.3", "example.com/c/v2@v2.0.0-rc.1"})
PROXY, SUMS = HostRule("modules.test"), HostRule("sums.test")
ONLY = OnlyModules([ModuleServer(PROXY, "/go"), ModuleServer(SUMS, "")], MODULES)

ASKED = [
    "/go/example.com/!a/b/@v/list",
    "/go/example.com/!a/b/@latest",
    "/go/example.com/!a/b/@v/v1.2.3.info",
    "/go/example.com/!a/b/@v/v1.2.3.zip",
    "/go/example.com/c/v2/@v/v2.0.0-rc.1.mod",
    "/go/golang.org/toolchain/@v/list",
    "/go/golang.org/toolchain/@v/v0.0.1-go1.22.12.linux-amd64.zip",
    "/go/sumdb/sums.test/supported",
    "/go/sumdb/sums.test/lookup/example.com/!a/b@v1.2.3",
    "/go/sumdb/sums.test/tile/8/0/x012/345",
    "/go/sumdb/sums.test/tile/8/1/240.p/113",
]
REFUSED = [
    "/go/evil.test/secret/@v/list",
    "/go/example.com/!a/b/secret/@latest",
    "/go/example.com/a/b/@v/v1.2.3.info",
    "/go/example.com/!a/b/@v/secret.info",
    "/go/example.com/!a/b/@v/v1.2.4.zip",
    "/go/golang.org/toolchain/@v/v0.0.1-secret.zip",
    "/go/sumdb/sums.test/lookup/evil.test/secret@v1.0.0",
    "/go/sumdb/sums.test/tile/8/0/x012/345/secret",
    "/go/sumdb/secret/lookup",
    "/go/",
    "/elsewhere/evil.test/secret/@v/list",
]


@pytest.mark.parametrize("target", ASKED)
def test_what_the_repository_names_is_asked_for(target: str) -> None:
    ONLY.check("modules.test", 443, tls=True, target=target)


@pytest.mark.parametrize("target", REFUSED)
def test_other_modules_are_not(target: str) -> None:
    with pytest.raises(BlockedRequestError):
        ONLY.check("modules.test", 443, tls=True, target=target)


def test_the_checksum_database_itself() -> None:
    ONLY.check("sums.test", 443, tls=True, target="/lookup/example.com/!a/b@v1.2.3")
    with pytest.raises(BlockedRequestError, match="go mod tidy"):
        ONLY.check("sums.test", 443, tls=True, target="/lookup/evil.test/a@v1.2.3")


def test_other_registries_on_the_same_host() -> None:
    shared = OnlyModules([ModuleServer(PROXY, "/go", alone=False)], MODULES)
    shared.check("modules.test", 443, tls=True, target="/pypi/simple/six/")
    shared.check("elsewhere.test", 443, tls=True, target="/evil.test/a/@latest")
    with pytest.raises(BlockedRequestError):
        shared.check("modules.test", 443, tls=True, target="/go/evil.test/a/@latest")
