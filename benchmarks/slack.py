"""How soon Slack shows the first reply, and whether 100 runs stay below Slack's rate limits.

On the playground's Slack, which enforces the tiers of the methods and one message a second in a
channel. The floor is what the same calls cost when a bare client makes them one after the other.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter

from slack_sdk.web.async_client import AsyncWebClient

from app.playground.slack import SlackChannel
from tests.support.harness import script
from tests.support.slack_harness import SlackHarness, open_slack_harness

ROUNDS = 30
RUNS, CHANNELS, SLOTS = 100, 10, 20
_MINUTE = 60.0
_POLL_SECONDS = 0.002
_ANSWER = {"finish": {"summary": "In calc.py.", "not_done": "", "how_to_check": ""}}


def main() -> None:
    """Print both measurements."""
    asyncio.run(_main())


async def _main() -> None:
    async with open_slack_harness("socket", HONK_CONCURRENCY=str(SLOTS)) as world:
        world.harness.patience = 1_800.0
        await world.link(world.scene.olivia, "olivia")
        await _first_replies(world)
        await _many_runs(world)


async def _first_replies(world: SlackHarness) -> None:
    times, floors = [], []
    for _ in range(ROUNDS):
        channel = _channel(world)
        repository = await world.repository(script([_ANSWER]))
        before = len(world.scene.slack.calls)
        started = time.perf_counter()
        asked = await world.scene.olivia.write(channel, f"@honk ask where add() is, {repository}")
        while not world.replies(asked):  # noqa: ASYNC110 - people look, too
            await asyncio.sleep(_POLL_SECONDS)
        times.append(time.perf_counter() - started)
        floors.append(await _floor(world, len(world.scene.slack.calls) - before))
        await world.says(asked, "In calc.py.")
    times.sort()
    median, floor = (statistics.median(each) * 1000 for each in (times, floors))
    print(
        f"message to first reply, {ROUNDS} times: median {median:.0f} ms, "
        f"longest {times[-1] * 1000:.0f} ms; Slack's own calls {floor:.0f} ms"
    )


async def _floor(world: SlackHarness, calls: int) -> float:
    """Seconds for as many bare calls."""
    client = AsyncWebClient(world.scene.token, base_url=world.scene.slack.api_url)
    started = time.perf_counter()
    for _ in range(calls):
        await client.auth_test()
    return time.perf_counter() - started


async def _many_runs(world: SlackHarness) -> None:
    slack = world.scene.slack
    channels = [_channel(world) for _ in range(CHANNELS)]
    names = [await world.repository(script([_ANSWER])) for _ in range(RUNS)]
    slack.limits.refused.clear()
    before = len(slack.calls)
    started = time.perf_counter()
    asked = [
        await world.scene.olivia.write(channels[number % CHANNELS], f"@honk ask where, {name}")
        for number, name in enumerate(names)
    ]
    for message in asked:
        await world.says(message, "In calc.py.")
    seconds = time.perf_counter() - started
    calls = slack.calls[before:]
    print(f"{RUNS} runs asked at once in {CHANNELS} channels, {SLOTS} slots: {seconds:.0f} s")
    for method, number in Counter(call.method for call in calls).most_common():
        most = _most_in_a_minute([call.at for call in calls if call.method == method])
        refused = slack.limits.refused[method]
        print(f"  {method:<24} {number:5} calls, at most {most:4} in a minute, {refused} refused")


def _most_in_a_minute(times: list[float]) -> int:
    return max(sum(1 for each in times if at - _MINUTE < each <= at) for at in times)


def _channel(world: SlackHarness) -> SlackChannel:
    name = f"room-{len(world.scene.slack.world.channels)}"
    return world.scene.slack.add_channel(name, world.scene.olivia, app=True)


if __name__ == "__main__":
    main()
