"""The way out of this machine, and GitHub's two addresses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from app import settings
from app.egress.addresses import Addresses
from app.egress.certificate_authority import Authority
from app.egress.proxy import EgressLimits, Endpoint, UpstreamClient
from app.egress.rules import BlockedRequestError as EgressRefusedError
from app.egress.rules import HostRule, url_rule
from app.egress.upstream_proxy import tunnel
from app.errors import RetryableError, UserError
from app.git.command import GitUntrustedError, git
from app.github.people import client_of
from app.github_urls import api_of, check_pair, server_of
from app.outgoing import Outgoing, untrusted
from app.playground.serving import serve_app
from tests.support.surroundings import Surroundings, surroundings

Network = tuple[Surroundings, Outgoing]
NAMES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "HONK_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*NAMES, *map(str.lower, NAMES), "GITHUB_API_URL", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


PAIRS = [
    ("https://api.github.com", "https://github.com"),
    ("https://api.octo.ghe.com", "https://octo.ghe.com"),
    ("https://ghe.example/api/v3", "https://ghe.example"),
    ("http://ghe.example:8443/api/v3", "http://ghe.example:8443"),
    ("http://127.0.0.1:3000/api/v3", "http://127.0.0.1:3000"),
    ("https://[2001:db8::7]:8443/api/v3", "https://[2001:db8::7]:8443"),
]


@pytest.mark.parametrize(("api", "server"), PAIRS)
def test_each_address_names_the_other(
    api: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (server_of(api), api_of(server)) == (server, api)
    for name, value in (("GITHUB_API_URL", api), ("GITHUB_SERVER_URL", f"{server}/")):
        monkeypatch.setenv(name, value)
        found = settings.load()
        assert (found.github_api_url, found.github_server_url) == (api, server)
        monkeypatch.delenv(name)
    monkeypatch.setenv("GITHUB_API_URL", api)
    monkeypatch.setenv("GITHUB_SERVER_URL", server)
    assert settings.load().github_server_url == server


@pytest.mark.parametrize(
    ("api", "said"),
    [
        ("https://ghe.example", "Enterprise Server's is https://ghe.example/api/v3"),
        ("https://github.com", "It is https://api.github.com"),
        ("https://octo.ghe.com", "It is https://api.octo.ghe.com"),
        ("https://api.github.com.evil.example", "not the address of a GitHub API"),
        ("https://name:word@ghe.example/api/v3", "without a name"),
        ("https://ghe.example/api/v3?x=1", "without a name, a query"),
        ("https://ghe.example:0x1/api/v3", "GITHUB_API_URL"),
        ("ghe.example/api/v3", "not an address"),
        ("http://api.github.com", "in the clear"),
        ("ftp://ghe.example/api/v3", "not an address"),
    ],
)
def test_an_api_that_does_not_tell_its_server_is_refused(
    api: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", api)
    with pytest.raises(UserError) as caught:
        settings.load()
    assert "GITHUB_API_URL" in str(caught.value)
    assert said in str(caught.value)
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(
    "server", ["https://api.github.com", "https://www.github.com", "https://x/y"]
)
def test_what_is_no_server_is_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_SERVER_URL", server)
    with pytest.raises(UserError, match="GITHUB_SERVER_URL"):
        settings.load()


@pytest.mark.parametrize(
    ("api", "server"),
    [
        ("https://ghe.example/api/v3", "https://github.com"),
        ("https://api.github.com", "https://ghe.example"),
        ("https://ghe.example/api/v3", "http://ghe.example"),
        ("https://ghe.example/api/v3", "https://ghe.example.evil"),
        ("https://api.octo.ghe.com", "https://other.ghe.com"),
        ("http://127.0.0.1:1/api/v3", "https://github.com"),
    ],
)
def test_two_githubs_are_refused(api: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_API_URL", api)
    monkeypatch.setenv("GITHUB_SERVER_URL", server)
    with pytest.raises(UserError, match="are not the same GitHub"):
        settings.load()


def test_an_emulator_with_two_addresses_of_its_own_is_taken() -> None:
    check_pair("http://emulator:8080", "http://emulator:8080")
    check_pair("http://localhost:1", "http://127.0.0.1:2")
    check_pair("https://api.git.example", "https://git.example")


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("", "https://ghe.example/x", False),
        ("ghe.example", "https://ghe.example/x", True),
        ("ghe.example", "https://media.ghe.example/x", True),
        (".ghe.example", "https://ghe.example./x", True),
        ("*.ghe.example", "https://media.ghe.example/x", True),
        ("ghe.example", "https://notghe.example/x", False),
        ("ghe.example:443", "https://GHE.example/x", True),
        ("ghe.example:8443", "https://ghe.example/x", False),
        ("a.test, GHE.Example b.test", "https://ghe.example/x", True),
        ("*", "https://ghe.example/x", True),
        ("10.0.0.0/8", "https://10.1.2.3/x", True),
        ("10.0.0.0/8", "https://11.1.2.3/x", False),
        ("2001:db8::/32", "https://[2001:db8::7]/x", True),
        ("::1", "https://ghe.example/x", False),
        ("x:y:z, :, ,", "https://ghe.example/x", False),
        ("", "https://127.0.0.1:5000/x", True),
        ("", "http://localhost/x", True),
        ("", "http://[::1]/x", True),
    ],
)
def test_what_goes_around_the_proxy(
    entries: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128/")
    monkeypatch.setenv("NO_PROXY", entries)
    found = Outgoing.of(settings.load())
    assert found.proxy_for(url) == (None if direct else "http://proxy.example:3128")
    assert ("https_proxy" in found.git_environment(url)) is not direct


def test_a_proxy_for_one_kind_of_address_is_not_used_for_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "https://ada:p%40ss@proxy.example")
    found = Outgoing.of(settings.load())
    assert found.proxy_for("http://ghe.example") is None
    assert found.proxy_for("https://ghe.example") == "https://ada:p%40ss@proxy.example"
    assert {"p%40ss", "p@ss"} <= settings.load().secrets()
    assert "p%40ss" not in repr(found)


@pytest.mark.parametrize("given", ["socks5://proxy.example:1080", "http://", "http://x:no"])
def test_what_is_no_http_proxy_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", given)
    with pytest.raises(UserError, match="HTTPS_PROXY is not the URL of an HTTP proxy"):
        Outgoing.of(settings.load())


def test_the_bundle_is_honks_own_setting_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    one.write_bytes(Authority().pem())
    two.write_bytes(Authority().pem())
    monkeypatch.setenv("SSL_CERT_FILE", str(two))
    assert Outgoing.of(settings.load()).git_environment("https://x")["GIT_SSL_CAINFO"] == str(two)
    monkeypatch.setenv("HONK_CA_BUNDLE", str(one))
    found = Outgoing.of(settings.load())
    assert found.git_environment("https://x")["GIT_SSL_CAINFO"] == str(one)
    assert len(found.trust.get_ca_certs()) == 1


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_bundle_that_holds_nothing_is_named(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("HONK_CA_BUNDLE", str(path))
    with pytest.raises(UserError, match="HONK_CA_BUNDLE"):
        Outgoing.of(settings.load())


@pytest_asyncio.fixture
async def company(tmp_path: Path) -> AsyncIterator[Network]:
    """A network in which only its proxy knows `github.corp.test`, and the way out to it."""
    async with surroundings(tmp_path / "network") as network, serve_app(_hello()) as url:
        await network.put("github.corp.test", url)
        settled = {"https": network.url}
        yield network, Outgoing(settled, bundle=network.bundle, chosen_by="HONK_CA_BUNDLE")


def _hello() -> Any:
    async def hello(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    return hello


async def test_people_are_asked_about_through_the_proxy(company: Network) -> None:
    network, outgoing = company
    async with client_of(outgoing) as client:
        assert (await client.get("https://github.corp.test/user")).text == "hello"
    assert network.asked == ["github.corp.test:443"]


async def test_an_authority_that_is_not_named_is_not_trusted(company: Network) -> None:
    _, outgoing = company
    for other in (replace(outgoing, bundle=None), replace(outgoing, proxies={})):
        async with client_of(other) as client:
            with pytest.raises(httpx.ConnectError) as caught:
                await client.get("https://github.corp.test/user")
        assert untrusted(caught.value) is (other.bundle is None)


async def test_set_up_goes_by_name_where_the_proxy_alone_knows_it(company: Network) -> None:
    network, outgoing = company

    async def nobody_knows(host: str) -> list[str]:
        raise OSError

    place = Endpoint("github.corp.test", 443, tls=True)
    named = [HostRule("github.corp.test")]
    configured = [*named, url_rule("https://github.corp.test/simple")]
    every = [ip_network("0.0.0.0/0")]
    for rules, networks, fetched, tunneled in (
        (named, [], False, False),
        # Inside a tunnel, Honk does not check who answers.
        (configured, [], True, False),
        (named, every, True, True),
    ):
        network.asked.clear()
        addresses = Addresses(networks, nobody_knows)
        outside = UpstreamClient(rules, addresses, EgressLimits(), outgoing.trust, outgoing)
        with nullcontext() if fetched else pytest.raises(EgressRefusedError, match="look the name"):
            async with outside.answer(place, "GET", "/x", []) as answer:
                assert await answer.aread() == b"hello"
        with nullcontext() if tunneled else pytest.raises(EgressRefusedError, match="0/0"):
            _, writer = await outside.connection(place)
            writer.transport.abort()
        await outside.aclose()
        assert network.asked == ["github.corp.test:443"] * (fetched + tunneled)


@pytest.mark.parametrize("found", ["10.0.0.7", "169.254.169.254", "127.0.0.1"])
async def test_no_proxy_makes_an_internal_address_allowed(company: Network, found: str) -> None:
    network, outgoing = company

    async def known(host: str) -> list[str]:
        return [found]

    outside = UpstreamClient(
        [HostRule("github.corp.test")],
        Addresses((), known),
        EgressLimits(),
        outgoing.trust,
        outgoing,
    )
    place = Endpoint("github.corp.test", 443, tls=True)
    with pytest.raises(EgressRefusedError, match="HONK_EGRESS_NETWORKS"):
        async with outside.answer(place, "GET", "/x", []):
            pass
    with pytest.raises(EgressRefusedError, match="HONK_EGRESS_NETWORKS"):
        await outside.connection(place)
    await outside.aclose()
    assert network.asked == []


async def test_a_tunnel_of_set_up_goes_through_the_proxy(company: Network) -> None:
    network, outgoing = company

    async def known(host: str) -> list[str]:
        return ["10.0.0.7"]

    networks = [ip_network("10.0.0.0/8")]
    rules = [HostRule("github.corp.test"), HostRule("unknown.corp.test")]
    outside = UpstreamClient(
        rules, Addresses(networks, known), EgressLimits(), outgoing.trust, outgoing
    )
    reader, writer = await outside.connection(Endpoint("github.corp.test", 443, tls=True))
    await writer.start_tls(outgoing.trust, server_hostname="github.corp.test")
    writer.write(b"GET /x HTTP/1.1\r\nHost: github.corp.test\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b"hello\r\n0\r\n\r\n")
    writer.close()
    with pytest.raises(EgressRefusedError, match=r"proxy does not let it through \(403\)"):
        await outside.connection(Endpoint("unknown.corp.test", 443, tls=True))
    await outside.aclose()
    assert network.asked == ["github.corp.test:443", "unknown.corp.test:443"]


@pytest.mark.parametrize("encrypted", [False, True])
async def test_a_proxy_that_wants_a_password_gets_it(company: Network, encrypted: bool) -> None:
    network, outgoing = company
    bare = network.encrypted_url if encrypted else network.url
    proxy = bare.replace("://", "://ada:p%40ss@")
    network.wanted = "ada:p@ss"
    outgoing = replace(outgoing, proxies={"https": proxy})
    url = "https://github.corp.test/octo/app.git"
    async with client_of(outgoing) as client:
        assert (await client.get(url)).text == "hello"
    _, writer = await tunnel(proxy, outgoing.trust, "github.corp.test", 443)
    writer.transport.abort()
    # To git, the response looks like a repository without a branch.
    environment = outgoing.git_environment(url)
    assert await git(["ls-remote", url], url=url, token="ghs_1", environment=environment) == b""
    assert set(network.asked) == {"github.corp.test:443"}
    wrong = replace(outgoing, proxies={"https": bare})
    async with client_of(wrong) as client:
        with pytest.raises(httpx.ProxyError):
            await client.get(url)


async def test_git_names_untrusted_certificates_and_proxy_refusals(company: Network) -> None:
    _, outgoing = company
    for url, given, error in (
        ("https://github.corp.test/a/b.git", replace(outgoing, bundle=None), GitUntrustedError),
        ("https://unknown.corp.test/a/b.git", outgoing, RetryableError),
    ):
        with pytest.raises(error) as caught:
            await git(["ls-remote", url], url=url, environment=given.git_environment(url))
        if isinstance(caught.value, UserError):
            assert "HONK_CA_BUNDLE" in caught.value.next_step
