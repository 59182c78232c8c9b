"""Do signed deliveries get their answer while others are slow on purpose, or sign wrongly?

`python -m benchmarks.slow` measures the receiver with the same load twice, in turns: quiet, and
under attack by a process of its own: 64 clients that send a byte a second, half of them their
headers and half their body, each reconnecting as soon as it is cut off, and a flood of wrong
signatures over 16 connections, as fast as they are answered. Logging has its default settings. On a
shared machine, read the result as a ratio.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from benchmarks.load import Load, generate
from benchmarks.receiver import CONNECTIONS, delivery, serving

SLOW_CLIENTS = 64
FLOOD_CONNECTIONS = 16
ROUNDS = 4
SECONDS = 4.0
SIEGE_SECONDS = 6.0
"""Until the slow clients are disconnected for the first time."""

WARM_UP_SECONDS = 1.0
A_BYTE_EVERY = 1.0


def main() -> None:
    """Print p99 of both and the ratio, and the outcome of the attack."""
    uvloop.run(_measure())


async def _measure() -> None:
    request = delivery()
    quiet: list[Load] = []
    attacked: list[Load] = []
    told: Counter[str] = Counter()
    async with serving("honk", LOG_LEVEL="info") as port:
        await generate(port, request, connections=CONNECTIONS, seconds=WARM_UP_SECONDS)
        for _ in range(ROUNDS):
            quiet.append(await generate(port, request, connections=CONNECTIONS, seconds=SECONDS))
            async with _attack(port, told):
                await asyncio.sleep(SIEGE_SECONDS)
                load = await generate(port, request, connections=CONNECTIONS, seconds=SECONDS)
            attacked.append(load)
    before, after = (_p99(loads) for loads in (quiet, attacked))
    _print("quiet", quiet)
    _print("attacked", attacked)
    print(f"attackers: {', '.join(f'{what} {number:,}' for what, number in sorted(told.items()))}")
    print(f"p99 {before:.1f} ms quiet, {after:.1f} ms under attack: {after / before:.2f} times")


def _p99(loads: list[Load]) -> float:
    return statistics.median(load.percentile(99) for load in loads)


def _print(name: str, loads: list[Load]) -> None:
    statuses = sum((Counter(load.statuses) for load in loads), Counter[int]())
    per_second = statistics.median(load.per_second for load in loads)
    p50 = statistics.median(load.percentile(50) for load in loads)
    print(
        f"{name:9} {per_second:8,.0f} requests/s   p50 {p50:5.1f} ms   p99 {_p99(loads):5.1f} ms"
        f"   answers {dict(statuses)}"
    )


@asynccontextmanager
async def _attack(port: int, told: Counter[str]) -> AsyncIterator[None]:
    """Attackers in a separate process; their results are summed at the end."""
    attacker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.slow", str(port), stdout=subprocess.PIPE
    )
    try:
        assert attacker.stdout is not None
        await attacker.stdout.readline()
        yield
    finally:
        attacker.terminate()
        seen, _ = await attacker.communicate()
        told.update(json.loads(seen))


# -- the attackers


async def _attackers(port: int) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    seen: Counter[str] = Counter()
    # Complete and well-formed: only hashing reveals that the signature is wrong.
    wrong = delivery(secret=b"somebody else's")
    head, _, body = wrong.partition(b"\r\n\r\n")
    tasks = [
        *(asyncio.create_task(_slow(port, head, body, n % 2, seen)) for n in range(SLOW_CLIENTS)),
        *(asyncio.create_task(_flood(port, wrong, seen)) for _ in range(FLOOD_CONNECTIONS)),
    ]
    print("ready", flush=True)
    await stop.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(json.dumps(seen), flush=True)


async def _slow(port: int, head: bytes, body: bytes, in_body: int, seen: Counter[str]) -> None:
    """One client: a byte a second, again and again."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        seen["slow connections"] += 1
        ended = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            writer.write(head + b"\r\n\r\n" if in_body else b"")
            for byte in body if in_body else head:
                writer.write(bytes([byte]))
                await asyncio.wait({ended}, timeout=A_BYTE_EVERY)
                if ended.done():
                    break
        seen["slow connections that were ended"] += ended.done()
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        writer.close()


async def _flood(port: int, wrong: bytes, seen: Counter[str]) -> None:
    """One connection that sends one wrong signature after another."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(wrong)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        seen[f"wrong signatures answered {answer[9:12].decode()}"] += 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case [port]:
            uvloop.run(_attackers(int(port)))
        case _:
            main()
