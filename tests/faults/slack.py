"""Slack's faults: each call for a run, one after the other, with each kind of failure.

The calls are those for an undisturbed run, read from the simulator's record. Whatever Slack
answers, the run itself ends as usual, and its thread has each message once. After an answer that
rules out more messages, the thread may lack them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.playground.slack import SlackChannel, SlackMessage, SlackRecord
from app.playground.slack.faults import SlackFault
from tests.faults.points import Point, demand
from tests.support.harness import FINISH, FIX, script
from tests.support.slack_harness import SlackHarness, open_slack_harness, shown

SCRIPT = script([FIX], [FINISH])
TITLE = "Slack faults"

_TIMEOUT = 15.0
"""Seconds: longer than Honk waits for one answer."""
_PATIENT = 240.0
_BUTTON = "Open pull request"
_GATEWAY = "<html><body><h1>502 Bad Gateway</h1></body></html>"


def _error(code: str) -> dict[str, Any]:
    return {"status": 200, "body": {"ok": False, "error": code}}


TROUBLES: dict[str, dict[str, Any]] = {
    "ratelimited": {
        "status": 429,
        "body": {"ok": False, "error": "ratelimited"},
        "headers": {"Retry-After": "1"},
    },
    "500": {"status": 500, "body": {"ok": False, "error": "fatal_error"}},
    "502 with HTML": {"status": 502, "body": _GATEWAY},
    "502 after it took effect": {"status": 502, "body": _GATEWAY, "after": True},
    "internal_error": _error("internal_error"),
    "cut": {"status": 0, "cut": True},
    "timeout after it took effect": {"status": 0, "delay": _TIMEOUT, "after": True},
    "token_revoked": _error("token_revoked"),
    "is_archived": _error("is_archived"),
}
"""What is answered instead."""
FINAL = ("token_revoked", "is_archived")
"""After these nothing more can be posted, as far as Honk can know."""


@dataclass(frozen=True)
class SlackAsked:
    """The nth call of a method for a run."""

    method: str
    nth: int
    in_channel: bool

    def __str__(self) -> str:
        return f"{self.method} ({self.nth})" if self.nth > 1 else self.method


@dataclass
class SlackBench:
    """One harness for all; each point has a channel and a repository of its own."""

    world: SlackHarness
    calls: dict[str, SlackAsked] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def points(self) -> list[Point]:
        """Every failure at every call for an undisturbed run."""
        records = self.world.scene.slack.calls
        before = len(records)
        channel = self._channel()
        repository, asked = await self._ask(channel)
        await self._over(repository)
        await self._demand_the_usual_thread(asked)
        counts: Counter[str] = Counter()
        for record in records[before:]:
            counts[record.method] += 1
            call = SlackAsked(record.method, counts[record.method], _channel_of(record) != "")
            self.calls[str(call)] = call
        return [
            Point(name, what, slow="timeout" in what) for what in TROUBLES for name in self.calls
        ]

    def needs_slack_alone(self, point: Point) -> bool:
        """Whether another run could get the failure that is meant for this one."""
        return not self.calls[point.where].in_channel

    async def survives(self, point: Point) -> str:
        """Inject it. Returns "ok", or "not met" if there was no such call this time.

        Raises AssertionError when people could see it.
        """
        call, faults = self.calls[point.where], self.world.scene.slack.faults
        channel = self._channel()
        place = channel.id if call.in_channel else ""
        trouble = TROUBLES[point.what]
        order = faults.answer(call.method, **trouble, skip=call.nth - 1, channel=place)
        try:
            repository, asked = await self._ask(channel)
            if point.what in FINAL:
                await self._demand_no_harm(order, repository, asked)
            else:
                await self._over(repository)
                await self._demand_the_usual_thread(asked)
            met = order not in faults.orders
        finally:
            faults.orders[:] = [each for each in faults.orders if each is not order]
        return "ok" if met else "not met"

    async def _ask(self, channel: SlackChannel) -> tuple[str, SlackMessage]:
        repository = await self.world.repository(SCRIPT)
        words = f"@honk add() subtracts, fix it in {repository}"
        return repository, await self.world.scene.olivia.write(channel, words)

    async def _demand_no_harm(
        self, order: SlackFault, repository: str, asked: SlackMessage
    ) -> None:
        """Nothing began, if the answer came before the request was recorded; else the usual run."""
        github, faults = self.world.harness.github, self.world.scene.slack.faults

        def is_decided() -> bool:
            return order not in faults.orders or bool(github.world.repository(repository).issues)

        await self.world.until(is_decided, "nothing happened")
        await self.world.quiet()
        if github.world.repository(repository).issues:
            await self._over(repository)
        told = [each for each in self.world.replies(asked) if _BUTTON in each]
        demand(len(told) <= 1, f"{len(told)} results")

    def _channel(self) -> SlackChannel:
        scene = self.world.scene
        return scene.slack.add_channel(f"room-{next(self._numbers)}", scene.olivia, app=True)

    async def _over(self, repository: str) -> None:
        """Wait until the run ended on GitHub, and demand its usual end."""
        github = self.world.harness.github

        def is_done() -> bool:
            issues = github.world.repository(repository).issues
            return 1 in issues and "honk:done" in issues[1].label_names

        await self.world.until(is_done, f"{repository} is not done")
        pulls = github.pulls(repository)
        demand(len(pulls) == 1, f"{len(pulls)} pull requests")
        demand(len(github.world.repository(repository).issues) == 2, "more than one issue")

    async def _demand_the_usual_thread(self, asked: SlackMessage) -> None:
        """One message that follows the run to its end, and one with the result."""
        bot, olivia = self.world.scene.bot, self.world.scene.olivia

        def told() -> list[str]:
            seen = olivia.sees_in_thread(asked)
            return [shown(each) for each in seen if each.author is bot]

        def is_told() -> bool:
            return any(_BUTTON in each for each in told()) and any("*Done*" in o for o in told())

        await self.world.until(is_told, f"the thread: {told()}")
        demand(len(told()) == 2, f"{len(told())} messages: {[each[:80] for each in told()]}")


def _channel_of(record: SlackRecord) -> str:
    return str(record.arguments.get("channel") or record.arguments.get("channel_id") or "")


@asynccontextmanager
async def opened() -> AsyncIterator[SlackBench]:
    """With slots for runs that only wait, and a linked person."""
    async with open_slack_harness("socket", HONK_CONCURRENCY="8") as world:
        world.harness.patience = _PATIENT
        world.scene.slack.limits.is_on = False
        await world.link(world.scene.olivia, "olivia")
        yield SlackBench(world)
