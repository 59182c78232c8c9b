"""Rate limits: a tier for each method and workspace, and one message a second for each channel.

Outside contract: https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from .refusals import RateLimitedRefusal

TIERS: Mapping[str, int] = {
    "apps.connections.open": 1,
    "conversations.list": 2,
    "reactions.remove": 2,
    "users.list": 2,
    "auth.revoke": 3,
    "bots.info": 3,
    "chat.delete": 3,
    "chat.update": 3,
    "conversations.history": 3,
    "conversations.info": 3,
    "conversations.open": 3,
    "conversations.replies": 3,
    "reactions.add": 3,
    "reactions.get": 3,
    "team.info": 3,
    "chat.postEphemeral": 4,
    "conversations.members": 4,
    "files.completeUploadExternal": 4,
    "files.getUploadURLExternal": 4,
    "files.info": 4,
    "users.info": 4,
    "views.open": 4,
    "views.publish": 4,
    "views.update": 4,
}
"""Methods that are not here have a special limit, high enough not to matter."""

A_MINUTE: Mapping[int, int] = {1: 1, 2: 20, 3: 50, 4: 100}
"""Requests a minute of each tier. Slack tolerates a short burst above it, as here."""
_TOLERATED: Mapping[int, int] = {1: 10, 2: 20, 3: 50, 4: 100}
MESSAGES_AT_ONCE = 5
"""Messages in a channel that may come at once before one a second is enforced."""


@dataclass
class _Bucket:
    """A number of calls that refills at a steady rate; times are in seconds."""

    size: float
    a_second: float
    left: float
    at: float

    def seconds_to_wait(self, now: float) -> float:
        """Take one call, or return how long it takes until there is one."""
        self.left = min(self.size, self.left + (now - self.at) * self.a_second)
        self.at = now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / self.a_second


@dataclass
class SlackLimits:
    """The limits in force, and how often each refused. `is_on` switches them off."""

    is_on: bool = True
    refused: Counter[str] = field(default_factory=Counter)
    """By method."""
    _buckets: dict[tuple[str, ...], _Bucket] = field(default_factory=dict)

    def check(self, method: str, team_id: str, now: float) -> None:
        """Count a call of a method. Raises RateLimitedRefusal above its tier."""
        tier = TIERS.get(method)
        if tier is not None:
            a_second = A_MINUTE[tier] / 60
            self._take(method, (method, team_id), _TOLERATED[tier], a_second, now)

    def check_message(self, method: str, channel_id: str, now: float) -> None:
        """Count a message posted in a channel. Raises RateLimitedRefusal."""
        self._take(method, ("message", channel_id), MESSAGES_AT_ONCE, 1.0, now)

    def _take(
        self, method: str, key: tuple[str, ...], size: float, a_second: float, now: float
    ) -> None:
        if not self.is_on:
            return
        bucket = self._buckets.setdefault(key, _Bucket(size, a_second, size, now))
        wait = bucket.seconds_to_wait(now)
        if wait:
            self.refused[method] += 1
            raise RateLimitedRefusal(math.ceil(wait))
