"""Name lookups: few of them, and a lookup that a busy resolver dropped is not an answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from app.egress.addresses import Addresses, NoAddressError


class Resolver:
    """Acts like a small resolver: drops lookups that arrive while it is busy with another."""

    def __init__(self, *failures: OSError) -> None:
        self.failures = list(failures)
        self.asked: list[str] = []
        self.busy = False

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if self.busy:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        self.busy = True
        await asyncio.sleep(0)
        self.busy = False
        if self.failures:
            raise self.failures.pop(0)
        return ["93.184.216.34"]


async def test_connections_at_once_share_one_lookup() -> None:
    resolver = Resolver()
    addresses = Addresses((), resolver)
    found = await asyncio.gather(*(addresses.of("files.test") for _ in range(50)))
    assert found == [["93.184.216.34"]] * 50
    assert resolver.asked == ["files.test"]


async def test_a_dropped_lookup_is_repeated_and_a_missing_name_is_not() -> None:
    dropped = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert await Addresses((), Resolver(dropped)).of("files.test") == ["93.184.216.34"]
    resolver = Resolver(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    addresses = Addresses((), resolver)
    for _ in range(2):
        with pytest.raises(NoAddressError):
            await addresses.of("missing.test")
    assert resolver.asked == ["missing.test"]


async def test_a_cancelled_lookup_is_made_by_the_next_caller() -> None:
    resolver = Resolver()
    addresses = Addresses((), resolver)
    first = asyncio.create_task(addresses.of("files.test"))
    second = asyncio.create_task(addresses.of("files.test"))
    await asyncio.sleep(0)
    first.cancel()
    resolver.busy = False
    assert await second == ["93.184.216.34"]


async def test_names_without_end_are_not_all_kept() -> None:
    resolver = Resolver()
    addresses = Addresses((), resolver)
    for number in (*range(1001), 0):
        await addresses.of(f"n{number}.test")
    assert resolver.asked.count("n0.test") == 2
