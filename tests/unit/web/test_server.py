"""The limits of the server: slow, endless and broken clients, and a graceful end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket

import pytest

from app.errors import UserError
from app.web.server import MAX_HEADER_BYTES, MAX_HEADERS, serve
from tests.support.deliveries import encoded, labeled
from tests.unit.web.support import delivery, head, read_answer, running_site

LABELED = encoded(labeled())
_START = b"GET /healthz HTTP/1.1\r\nhost: honk\r\n"


async def _closed_within(reader: asyncio.StreamReader, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read() == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("start", [b"", b"\r\n", b"POST", _START, _START + b"x: "])
async def test_headers_that_never_end_are_not_waited_for(start: bytes) -> None:
    async with running_site(header_seconds=0.2) as site, site.connected() as (reader, writer):
        writer.write(start)
        assert await _closed_within(reader, 2)


@pytest.mark.parametrize("start", [b"\r\n", b"P", _START])
async def test_the_next_request_has_its_own_deadline(start: bytes) -> None:
    async with running_site(header_seconds=0.2) as site, site.connected() as (reader, writer):
        writer.write(_START + b"\r\n")
        assert (await read_answer(reader)).status == 200
        await asyncio.sleep(0.4)  # idle is not slow
        writer.write(_START + b"\r\n")
        assert (await read_answer(reader)).status == 200
        writer.write(start)
        assert await _closed_within(reader, 2)


async def test_a_byte_at_a_time_does_not_move_the_deadline() -> None:
    async with (
        running_site(header_seconds=0.3) as site,
        site.connected() as (reader, writer),
    ):
        closed = asyncio.create_task(_closed_within(reader, 1.0))
        for byte in _START:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)
            if closed.done():
                break
        assert await closed


async def test_an_abandoned_body_ends_too() -> None:
    async with running_site(drain_seconds=0.2) as site, site.connected() as (reader, writer):
        writer.write(head("issues", LABELED, content_type="text/plain"))
        assert (await read_answer(reader)).status == 415
        for byte in LABELED[:3]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert await _closed_within(reader, 2)


async def test_a_refused_request_leaves_the_connection_of_use() -> None:
    async with running_site(header_seconds=0.3) as site, site.connected() as (reader, writer):
        writer.write(delivery("issues", LABELED, content_type="text/plain"))
        writer.write(delivery("issues", LABELED))
        assert (await read_answer(reader)).status == 415
        assert (await read_answer(reader)).status == 202
        writer.write(delivery("issues", LABELED))
        assert (await read_answer(reader)).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        b"x: " + b"a" * 1_000_000 + b"\r\n",
        b"a" * (MAX_HEADER_BYTES + 1) + b": x\r\n",
        b"x: y\r\n" * 5_000,
        b"x: y\r\n" * MAX_HEADERS,
        b"".join(b"x: " + b"a" * 1000 + b"\r\n" for _ in range(40)),
    ],
    ids=["1 MB", "long name", "5000", "one too many", "many long"],
)
async def test_too_much_header_is_refused(headers: bytes) -> None:
    async with running_site() as site:
        assert (await site.send(_START + headers + b"\r\n")).status == 431
        assert (await site.get("/healthz")).status == 200


async def test_an_address_that_is_too_long_is_refused() -> None:
    async with running_site() as site:
        assert (await site.get("/" + "a" * MAX_HEADER_BYTES)).status == 431


@pytest.mark.parametrize(
    "request_", [b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0" * 100]
)
async def test_what_is_no_http_is_refused(request_: bytes) -> None:
    async with running_site() as site:
        assert (await site.send(request_)).status == 400


async def test_two_lengths_are_no_request() -> None:
    async with running_site() as site:
        request = delivery("issues", LABELED, headers={"Transfer-Encoding": "chunked"})
        assert (await site.send(request)).status == 400


async def test_slow_clients_do_not_block_others() -> None:
    async with running_site() as site, contextlib.AsyncExitStack() as slow:
        for _ in range(64):
            _, writer = await slow.enter_async_context(site.connected())
            writer.write(b"POST /webh")
        assert (await asyncio.wait_for(site.deliver("issues", LABELED), 1)).status == 202


async def test_stopping_finishes_what_is_under_way() -> None:
    async with running_site() as site:
        site.intake.slow = 0.4
        under_way = asyncio.create_task(site.deliver("issues", LABELED))
        await asyncio.sleep(0.2)
    assert (await under_way).status == 202
    with pytest.raises(ConnectionRefusedError):
        await site.get("/healthz")


async def test_signals_stay_the_callers() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with running_site():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_port_in_use_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}: Address already in use"):
            await serve(_no_app, host="127.0.0.1", port=port, stop=asyncio.Event())


async def _no_app(*_: object) -> None:
    raise AssertionError("nobody calls")
