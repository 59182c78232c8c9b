"""Stays below Slack's rate limits, which count each method in a workspace.

https://docs.slack.dev/apis/web-api/rate-limits
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

A_MINUTE: Mapping[str, int] = {
    **dict.fromkeys(("chat.update", "conversations.history", "conversations.info"), 40),
    "conversations.replies": 40,
    **dict.fromkeys(("chat.postEphemeral", "conversations.members", "users.info"), 85),
}
"""Calls a minute of each method; Slack allows 50 and 100. Other methods are not counted."""
AT_ONCE = 10.0
"""Calls that need not wait after a silence. With those of a minute they stay below the limit."""


@dataclass
class _PacedMethod:
    left: float
    at: float


@dataclass
class SlackPace:
    """Spreads the calls of this process over time, each method on its own.

    `clock` gives seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic
    _methods: dict[str, _PacedMethod] = field(default_factory=dict)

    async def turn(self, method: str) -> None:
        """Wait until this call may be made, after those that asked before."""
        await asyncio.sleep(self.reserve(method))

    def reserve(self, method: str) -> float:
        """Count a call; the seconds until it may be made."""
        if method not in A_MINUTE:
            return 0.0
        known = self._refilled(method)
        known.left -= 1
        return max(0.0, -known.left) * 60 / A_MINUTE[method]

    def is_free(self, method: str) -> bool:
        """Whether a call may be made now; if so, it is counted."""
        return method not in A_MINUTE or (
            self._refilled(method).left >= 1 and self.reserve(method) == 0.0
        )

    def _refilled(self, method: str) -> _PacedMethod:
        now = self.clock()
        known = self._methods.setdefault(method, _PacedMethod(AT_ONCE, now))
        known.left = min(AT_ONCE, known.left + (now - known.at) * A_MINUTE[method] / 60)
        known.at = now
        return known
