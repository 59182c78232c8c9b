"""How soon a person sees that it was heard: from the label to the eyes and the status comment.

On the playground, with every run slot free and with every slot busy. The floor is what as many API
calls as an intake makes cost when a bare client makes them one after the other.
"""

from __future__ import annotations

import asyncio
import statistics
import time

import httpx

from tests.support.harness import FINISH, FIX, Harness, Subject, open_harness, script

ROUNDS = 60
SLOTS = 2
_FLOOR_CALLS = 7


async def _heard(subject: Subject) -> float:
    """Seconds from the label to the eyes and the status comment."""
    started = time.perf_counter()
    await subject.label()
    while not (subject.reactions and subject.ours):  # noqa: ASYNC110 - people look, too
        await asyncio.sleep(0.002)
    return time.perf_counter() - started


async def _floor(harness: Harness, subject: Subject) -> float:
    """Seconds for as many bare API calls as an intake makes."""
    url = f"{harness.settings['GITHUB_API_URL']}/repos/{subject.repository}/issues/{subject.number}"
    async with httpx.AsyncClient() as client:
        started = time.perf_counter()
        for _ in range(_FLOOR_CALLS):
            await client.get(url)
        return time.perf_counter() - started


async def _measure(harness: Harness, words: str) -> None:
    times, floors = [], []
    for _ in range(ROUNDS):
        subject = await harness.subject(plays=script([FIX], [FINISH]))
        floors.append(await _floor(harness, subject))
        times.append(await _heard(subject))
    times.sort()
    p99 = times[min(len(times) - 1, int(len(times) * 0.99))]
    print(
        f"{words:<24} median {statistics.median(times) * 1000:6.0f} ms   "
        f"p99 {p99 * 1000:6.0f} ms   floor of the calls {statistics.median(floors) * 1000:5.0f} ms"
    )


async def _fill_the_slots(harness: Harness) -> None:
    """Runs that take longer than the whole measurement."""
    endless = script({"use": [{"bash": {"command": "sleep 300"}}]})
    busy = [await harness.subject(plays=endless) for _ in range(SLOTS)]
    for subject in busy:
        await subject.label()
    await harness.until(
        lambda: all("honk:running" in subject.labels for subject in busy), "the slots are not full"
    )


async def _main() -> None:
    async with open_harness(HONK_CONCURRENCY=str(SLOTS)) as harness:
        await _measure(harness, "while slots are free")
        await _fill_the_slots(harness)
        await _measure(harness, "while every slot is busy")


def main() -> None:
    """Print both measurements."""
    asyncio.run(_main())


if __name__ == "__main__":
    main()
