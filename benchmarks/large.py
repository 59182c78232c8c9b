"""What do eight wrongly signed bodies of 20 MB at once cost: memory, and other people's time?

`python -m benchmarks.large`: a process of its own sends eight at a time, again and again, each with
a signature of the right shape that is not that of the body. Meanwhile signed events of 12 KB come
at a fixed pace, counted from when each was due. Memory is the server's own (resident, read every
few milliseconds), beyond what it held while only the small ones came.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from app.web.app import WEBHOOK_PATH
from benchmarks.load import generate, paced
from benchmarks.receiver import delivery, serving_process

LARGE_BYTES = 20_000_000
AT_ONCE = 8
PER_SECOND = 100
SECONDS = 15.0
WARM_UP_SECONDS = 2.0
_LOOK_SECONDS = 0.005
_MIB = 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Print the growth of memory, the latencies without and with them, and what they were told."""
    uvloop.run(_measure())


async def _measure() -> None:
    request = delivery()
    count = int(PER_SECOND * SECONDS)
    async with serving_process("honk") as (port, pid):
        await generate(port, request, connections=8, seconds=WARM_UP_SECONDS)
        quiet = await paced(port, (request for _ in range(count)), per_second=PER_SECOND)
        before = _resident(pid)
        told: Counter[str] = Counter()
        async with _watched(pid) as most, _attack(port, told):
            beside = await paced(port, (request for _ in range(count)), per_second=PER_SECOND)
    for name, load in (("alone", quiet), ("beside them", beside)):
        print(
            f"{name:12} p50 {load.percentile(50):5.1f} ms   p99 {load.percentile(99):6.1f} ms"
            f"   answers {load.statuses}"
        )
    print(f"memory {before / _MIB:.0f} MiB before, {(most[0] - before) / 1e6:.0f} MB more at most")
    print(f"large requests: {', '.join(f'{what} {n}' for what, n in sorted(told.items()))}")


@asynccontextmanager
async def _watched(pid: int) -> AsyncIterator[list[int]]:
    """A list with one entry: the peak resident bytes while the context was open."""
    most = [_resident(pid)]

    async def watch() -> None:
        while True:
            most[0] = max(most[0], _resident(pid))
            await asyncio.sleep(_LOOK_SECONDS)

    task = asyncio.create_task(watch())
    try:
        yield most
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


@asynccontextmanager
async def _attack(port: int, told: Counter[str]) -> AsyncIterator[None]:
    """Send the large bodies from a separate process; its answers are summed at the end."""
    attacker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "benchmarks.large",
        str(port),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert attacker.stdout is not None
        await attacker.stdout.readline()
        yield
    finally:
        seen, _ = await attacker.communicate(b"")
        told.update(json.loads(seen))


# -- the attacker


async def _send_large(port: int) -> None:
    """Eight at once until standard input ends."""
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    request = (
        f"POST {WEBHOOK_PATH} HTTP/1.1\r\nHost: honk\r\nX-GitHub-Event: issues\r\n"
        f"X-Hub-Signature-256: sha256={'0' * 64}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {LARGE_BYTES}\r\n\r\n"
    ).encode() + bytes(LARGE_BYTES)
    print("ready", flush=True)
    seen: Counter[str] = Counter()
    while not ended.done():
        seen.update(await asyncio.gather(*(_send(port, request) for _ in range(AT_ONCE))))
    print(json.dumps(seen), flush=True)


async def _send(port: int, request: bytes) -> str:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    except (ConnectionError, asyncio.IncompleteReadError):
        return "connection lost"
    return f"answered {answer[9:12].decode()}"


if __name__ == "__main__":
    match sys.argv[1:]:
        case [port]:
            uvloop.run(_send_large(int(port)))
        case _:
            main()
