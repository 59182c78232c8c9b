"""What setup code may try against the proxy, which is its only way out."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.egress.addresses import is_public
from app.egress.rules import HostRule, host_rule
from app.egress.setup_proxy import EgressLimits
from app.errors import UserError
from app.sandbox.bubblewrap import Bubblewrap, SandboxSpec
from tests.support.registry import HOST, OpenGate, Registry, serving


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with serving() as registry:
        yield registry


@pytest.fixture
def sandbox(tmp_path: Path) -> Bubblewrap:
    return Bubblewrap.create(tmp_path)


@pytest.fixture
def workspace(sandbox: Bubblewrap, tmp_path: Path) -> Path:
    path = tmp_path / "workspace"
    path.mkdir()
    sandbox.claim(path)
    return path


@pytest.fixture
async def gate(sandbox: Bubblewrap, workspace: Path, registry: Registry) -> AsyncIterator[OpenGate]:
    opener = OpenGate(sandbox, workspace, registry)
    async with opener.stack:
        yield opener
    for writer in opener.writers:
        writer.transport.abort()


async def test_reading_is_what_works(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    answer = await opened.get("/simple/a/", "User-Agent: who I am\r\nAccept: text/html\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"ok")
    assert b"cookie" not in answer.lower()
    (seen,) = registry.seen
    assert seen.startswith(b"GET /simple/a/ HTTP/1.1\r\n") and b"accept: text/html" in seen
    assert b"who I am" not in seen
    assert opened.refused == []


async def test_one_connection_asks_for_many_things(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    reader, writer = await opened.tunnel(HOST)
    for number in range(3):
        writer.write(f"GET /{number} HTTP/1.1\r\nHost: {HOST}:{registry.port}\r\n\r\n".encode())
        assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert len(registry.seen) == 3


SENT_OUT = {
    "post": ("POST /upload", "Content-Length: 2\r\n", "hi", "POST could send"),
    "put": ("PUT /a", "Content-Length: 0\r\n", "", "PUT could send"),
    "odd method": ("SECRET /a", "", "", "SECRET could send"),
    "body of a GET": ("GET /a", "Content-Length: 2\r\n", "hi", "with a body"),
    "chunked body": ("GET /a", "Transfer-Encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n", "a body"),
    "two lengths": ("GET /a", "Content-Length: 0\r\nContent-Length: 2\r\n", "hi", "proper HTTP"),
    "length and chunked": (
        "GET /a",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\nGET /b HTTP/1.1\r\n\r\n",
        "with a body",
    ),
    "odd chunking": ("GET /a", "Transfer-Encoding: xchunked\r\n", "", "proper HTTP"),
    "space before colon": ("GET /a", "Content-Length : 2\r\n", "hi", "proper HTTP"),
    "folded header": ("GET /a", "Accept: a\r\n b\r\nX\r\n", "", "proper HTTP"),
    "upgrade": ("GET /a", "Upgrade: websocket\r\n", "", "upgrade"),
    "query": ("GET /a?secret", "", "", "query string"),
    "empty query": ("GET /a?", "", "", "query string"),
    "encoded query": ("GET /a%3Fsecret", "", "", "behind an encoding"),
    "encoded slash": ("GET /a%2f..%2fb", "", "", "behind an encoding"),
    "two encoded slashes": ("GET /@a%2fb%2fc", "", "", "behind an encoding"),
    "encoded dots": ("GET /a/%2e%2e/b", "", "", "behind an encoding"),
    "twice encoded": ("GET /a%252f", "", "", "behind an encoding"),
    "dots": ("GET /a/../b", "", "", "goes upwards"),
    "backslash": ("GET /a\\b", "", "", "no registry uses"),
    "fragment": ("GET /a#secret", "", "", "no registry uses"),
    "long path": ("GET /" + "a" * 2000, "", "", "longer than"),
    "huge header": ("GET /a", f"X: {'a' * 40_000}\r\n", "", "proper HTTP"),
    "absolute form": ("GET http://elsewhere.test/a", "", "", "its path is an address"),
    "double slash": ("GET //elsewhere.test/a", "", "", None),
    "tunnel in a tunnel": ("CONNECT elsewhere.test:443", "", "", "a tunnel in a tunnel"),
}


@pytest.mark.parametrize("name", SENT_OUT)
async def test_nothing_is_sent_out(gate: OpenGate, registry: Registry, name: str) -> None:
    line, headers, body, why = SENT_OUT[name]
    opened = await gate()
    answer = await opened.within(
        f"{line} HTTP/1.1\r\nHost: {HOST}:{registry.port}\r\n{headers}Connection: close\r\n\r\n"
        f"{body}".encode()
    )
    if why is None:
        # The registry itself reads a path here, never a host.
        assert registry.seen[0].startswith(b"GET //elsewhere.test/a HTTP/1.1\r\nhost: registry")
        return
    assert answer.startswith(b"HTTP/1.1 403 ") and why.encode() in answer, answer
    assert registry.seen == []
    assert any(why in each for each in opened.refused), opened.refused


async def test_a_second_request_is_not_smuggled(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    host = f"{HOST}:{registry.port}"
    answer = await opened.within(
        f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\nPOST /b HTTP/1.1\r\nHost: {host}\r\n"
        "Content-Length: 6\r\n\r\nsecret".encode()
    )
    assert answer.count(b"HTTP/1.1 200 ") == 1 and b"POST could send" in answer
    assert len(registry.seen) == 1


async def test_another_host_header(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    for host in ("elsewhere.test", HOST, f"{HOST}:1", f"{HOST}@elsewhere.test"):
        answer = await opened.within(f"GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert b" 403 " in answer
    twice = f"GET /a HTTP/1.1\r\nHost: {HOST}:{registry.port}\r\nHost: b\r\n\r\n"
    assert b" 403 " in await opened.within(twice.encode())
    assert registry.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "elsewhere.test:443",
        f"{HOST}:22",
        f"{HOST}:443",
        f"sub.{HOST}:443",
        f"{HOST}.elsewhere.test:443",
        "127.0.0.1:443",
        "127.1:443",
        "2130706433:443",
        "0x7f000001:443",
        "[::1]:443",
        "[::ffff:127.0.0.1]:443",
        "169.254.169.254:80",
        "user@registry.test:443",
        "registry.test",
        "registry.test:443:443",
        "registry.test:0",
        "registry.test:99999",
        "rеgistry.test:443",  # a Cyrillic letter
        "xn--rgistry-9of.test:443",
        "",
        "http://registry.test/",
    ],
)
async def test_other_places_are_refused(gate: OpenGate, registry: Registry, target: str) -> None:
    opened = await gate()
    answer = await opened.plain(f"CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert len(opened.refused) == 1
    assert registry.seen == []


@pytest.mark.parametrize(
    "target",
    [
        "http://elsewhere.test/",
        f"http://{HOST}/",
        f"http://{HOST}@elsewhere.test/",
        "http://[::1]/",
        "https://registry.test/",
        "ftp://registry.test/",
        "/",
        "*",
        "http:registry.test/",
    ],
)
async def test_addresses_of_other_places(gate: OpenGate, registry: Registry, target: str) -> None:
    opened = await gate()
    answer = await opened.plain(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert registry.seen == []


PRIVATE = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104
    *("127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
    *("::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:a00:1::1", "::10.0.0.1", "2001:0:a00:1::f5ff:fffe"),
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_for_a_private_address(
    gate: OpenGate, registry: Registry, address: str
) -> None:
    assert not is_public(ipaddress.ip_address(address))
    opened = await gate(networks=(), names={HOST: [address]})
    answer = await opened.get("/a")
    assert b" 403 " in answer and b"is not public" in answer
    assert registry.seen == []


async def test_public_addresses_are_public() -> None:
    # The controls of the test before.
    for address in ("8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        assert is_public(ipaddress.ip_address(address))


async def test_the_operator_allows_a_network(gate: OpenGate, registry: Registry) -> None:
    assert (await (await gate()).get("/a")).endswith(b"ok")


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/",
        "https://elsewhere.test/a",
        "//elsewhere.test/a",
        "https://elsewhere.test/a?secret",
        "file:///etc/passwd",
        "http://[::1]:1/",
        "https://registry.test:99999/",
        "https://[/",
    ],
)
async def test_redirects_elsewhere(gate: OpenGate, registry: Registry, to: str) -> None:
    opened = await gate()
    registry.answers["/a"] = redirect(to)
    answer = await opened.get("/a")
    assert answer.startswith(b"HTTP/1.1 403 "), answer
    assert len(registry.seen) == 1 and len(opened.refused) == 1


async def test_redirects_to_what_is_allowed(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    registry.answers["/a"] = redirect("/b/")
    assert b"location: /b/" in await opened.get("/a")
    # To a signed address: followed outside, since a query may not come from inside.
    registry.answers["/a"] = redirect(f"https://{HOST}:{registry.port}/c?signature=1")
    assert (await opened.get("/a")).endswith(b"ok")
    assert registry.seen[-1].startswith(b"GET /c?signature=1 ")
    registry.answers["/a"] = redirect("/a?again")
    registry.answers["/a?again"] = redirect("/a?again")
    assert b"redirects more than" in await opened.get("/a")


async def test_a_lock_file_names_another_registry(gate: OpenGate, registry: Registry) -> None:
    at = f"https://{HOST}:{registry.port}/mirror"
    opened = await gate(aliases={"public.test": at})
    for path in ("/is/-/is-1.tgz", "/@a%2fb"):
        request = f"GET {path} HTTP/1.1\r\nHost: public.test:{registry.port}\r\n"
        answer = await opened.within(
            f"{request}Connection: close\r\n\r\n".encode(), host="public.test"
        )
        assert answer.endswith(b"ok")
        assert registry.seen[-1].startswith(
            f"GET /mirror{path} HTTP/1.1\r\nhost: {HOST}:{registry.port}\r\n".encode()
        )
    # Other hosts are refused as ever, and a host of the policy's is asked itself.
    elsewhere = await opened.plain(b"CONNECT elsewhere.test:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert elsewhere.startswith(b"HTTP/1.1 403 ")
    allowed = await gate(HostRule("public.test", registry.port), aliases={"public.test": at})
    request = f"GET /a HTTP/1.1\r\nHost: public.test:{registry.port}\r\nConnection: close\r\n\r\n"
    await allowed.within(request.encode(), host="public.test")
    assert registry.seen[-1].startswith(b"GET /a HTTP/1.1\r\nhost: public.test")


async def test_settings_are_written_where_there_are_none(
    gate: OpenGate, sandbox: Bubblewrap, workspace: Path
) -> None:
    opened = await gate(
        files={"~/.m2/settings.xml": "ours", "$TOOL/kept": "ours", "$NOT_SET/lost": "ours"}
    )
    spec = SandboxSpec(
        workspace,
        mounts=(opened.door.mount,),
        environment={**opened.door.environment, "TOOL": "tool"},
    )
    script = "cat ~/.m2/settings.xml; ls -d tool '$NOT_SET' 2>&1 | wc -l"
    done = await sandbox.run(spec, opened.door.command(["bash", "-c", script]))
    assert done.text == "ours2\n"
    spec = replace(spec, environment={**opened.door.environment, "TOOL": "/workspace/tool"})
    for _ in range(2):
        script = "cat tool/kept; echo theirs > tool/kept"
        done = await sandbox.run(spec, opened.door.command(["bash", "-c", script]))
    assert done.text == "theirs\n"


async def test_credentials_are_added_outside(gate: OpenGate, registry: Registry) -> None:
    rule = HostRule(HOST, registry.port, authorization=SecretStr("Bearer operators"))
    opened = await gate(rule)
    await opened.get("/a", "Authorization: Bearer mine\r\nCookie: b=c\r\n")
    assert b"authorization: Bearer operators" in registry.seen[0]
    assert b"mine" not in registry.seen[0] and b"b=c" not in registry.seen[0]
    assert b"operators" not in repr(opened.door).encode()


async def test_endless_and_slow_answers(gate: OpenGate, registry: Registry) -> None:
    opened = await gate(bounds=EgressLimits(total_bytes=1 << 20, body_seconds=0.3))
    assert len(await opened.get("/endless")) < 2 << 20
    assert any("bytes in all" in each for each in opened.refused)
    slow = await gate(bounds=EgressLimits(body_seconds=0.3))
    assert not (await slow.get("/slow")).endswith(b"x" * 1000)


BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 4\r\n\r\nbusy"


async def test_a_registry_that_is_busy_for_a_while(gate: OpenGate, registry: Registry) -> None:
    opened = await gate()
    registry.in_turn = {"/a": [BUSY, BUSY]}
    assert (await opened.get("/a")).endswith(b"ok")
    assert len(registry.seen) == 3 and opened.refused == []


async def test_a_registry_that_stays_busy_is_named_and_not_waited_for_again(
    gate: OpenGate, registry: Registry
) -> None:
    opened = await gate(bounds=EgressLimits(busy_seconds=0.6))
    registry.answers["/a"] = BUSY
    assert (await opened.get("/a")).startswith(b"HTTP/1.1 503 ")
    tries = len(registry.seen)
    assert tries == 3
    assert (await opened.get("/a")).endswith(b"busy")
    assert len(registry.seen) == tries + 1
    (refused,) = opened.refused
    assert "the registry answers 503 (service unavailable)" in refused


async def test_slow_requests_end(gate: OpenGate) -> None:
    opened = await gate(bounds=EgressLimits(head_seconds=0.2))
    reader, writer = await opened.connection()
    with contextlib.suppress(ConnectionError):
        for byte in b"GET http://registry.test/ HTTP/1.1":
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""


async def test_ten_thousand_connections(gate: OpenGate, registry: Registry) -> None:
    opened = await gate(bounds=EgressLimits(connections=50))
    held = []
    for _ in range(10_000):
        _, writer = await opened.connection()
        held.append(writer)
        if len(held) > 100:
            held.pop(50).transport.abort()
    assert any("connections at once" in each for each in opened.refused)
    for writer in held:
        writer.transport.abort()
    await asyncio.sleep(0.05)
    assert (await opened.get("/a")).endswith(b"ok")


async def test_requests_and_misses_are_bounded(gate: OpenGate, registry: Registry) -> None:
    opened = await gate(bounds=EgressLimits(misses=3))
    missing = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    registry.answers = {f"/secret-{number}": missing for number in range(9)}
    reader, writer = await opened.tunnel(HOST)
    for number in range(4):
        writer.write(
            f"GET /secret-{number} HTTP/1.1\r\nHost: {HOST}:{registry.port}\r\n\r\n".encode()
        )
        assert b" 404 " in await reader.readuntil(b"\r\n\r\n")
    writer.write(f"GET /secret-5 HTTP/1.1\r\nHost: {HOST}:{registry.port}\r\n\r\n".encode())
    assert b"for what is not there" in await reader.read()
    assert len(registry.seen) == 4


async def test_a_tunnel_leads_to_its_own_host(gate: OpenGate, registry: Registry) -> None:
    opened = await gate(mode="connect")
    reader, writer = await opened.tunnel(HOST, sni=HOST)
    writer.write(b"POST /a HTTP/1.1\r\n\r\n")
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    with pytest.raises((OSError, ssl.SSLError)):
        await opened.tunnel(HOST, sni="elsewhere.test")
    assert any("TLS asks for elsewhere.test" in each for each in opened.refused)


async def test_a_tunnel_carries_tls_alone(gate: OpenGate, registry: Registry) -> None:
    opened = await gate(mode="connect")
    port = registry.port
    answer = await opened.plain(
        f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\nSSH-2.0-me\r\n".encode()
    )
    assert b"SSH" not in answer
    assert any("is no TLS" in each for each in opened.refused), opened.refused
    assert registry.seen == []


async def test_a_tunnel_to_a_private_address(gate: OpenGate) -> None:
    opened = await gate(mode="connect", networks=(), names={HOST: ["::ffff:127.0.0.1"]})
    with pytest.raises((OSError, ssl.SSLError)):
        await opened.tunnel(HOST, sni=HOST)
    assert any("is not public" in each for each in opened.refused)


async def test_rules_are_hosts() -> None:
    assert host_rule("*.Example.com").covers("a.example.com", 443, tls=True)
    assert not host_rule("*.example.com").covers("example.com", 443, tls=True)
    assert not host_rule("*.example.com").covers("aexample.com", 443, tls=True)
    assert host_rule("bücher.example").pattern == "xn--bcher-kva.example"
    for wrong in ("*", "*.com", "10.0.0.1", "[::1]", "a b", "https://a.test", "a.test:80", "", "1"):
        with pytest.raises(UserError):
            host_rule(wrong)


async def test_from_within_a_sandbox(
    gate: OpenGate, registry: Registry, sandbox: Bubblewrap, workspace: Path
) -> None:
    opened = await gate()
    script = (
        "import os, ssl, urllib.request as u\n"
        f"print(u.urlopen('https://{HOST}:{registry.port}/a').read())\n"
        "print(sorted(os.listdir('/run/honk/egress')))\n"
    )
    spec = SandboxSpec(workspace, mounts=(opened.door.mount,), environment=opened.door.environment)
    done = await sandbox.run(spec, opened.door.command(["python3", "-c", script]))
    assert done.text == "b'ok'\n['ca.p12', 'ca.pem', 'files.json', 'proxy.sock', 'relay.py']\n"
    # The same sandbox without the door has no way out.
    without = await sandbox.run(SandboxSpec(workspace), ["python3", "-c", script])
    assert not without.ok
