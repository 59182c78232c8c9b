"""Faults on demand: calls that fail, and a Slack that is away."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class SlackFault:
    """One order. `after`: the call takes effect and only its answer is replaced."""

    method: re.Pattern[str]
    status: int
    body: Any
    headers: dict[str, str]
    delay: float
    after: bool
    times: int | None
    skip: int
    cut: bool = False
    """Send half of the answer and hang up."""
    channel: str = ""
    """Only calls that name this channel; empty for all."""

    def fits(self, method: str, arguments: Mapping[str, Any]) -> bool:
        """Whether the order is about this call."""
        named = arguments.get("channel") or arguments.get("channel_id")
        return bool(self.method.fullmatch(method)) and self.channel in ("", named)


@dataclass
class SlackFaults:
    """All active orders; each is removed when it is used up."""

    orders: list[SlackFault] = field(default_factory=list)
    is_away: bool = False
    """Every request fails with 503, nothing is delivered, and sockets are refused."""

    def error(self, method: str, error: str, **how: Any) -> SlackFault:
        """Refuse calls with this error code; `method` is a regular expression for the whole name,
        such as `chat[.].*`.
        """
        return self.answer(method, 200, {"ok": False, "error": error}, **how)

    def ratelimited(self, method: str, seconds: int = 1, **how: Any) -> SlackFault:
        """Refuse calls with 429 and this Retry-After."""
        headers = {"Retry-After": str(seconds)}
        return self.answer(method, 429, {"ok": False, "error": "ratelimited"}, headers, **how)

    def answer(
        self,
        method: str,
        status: int,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        delay: float = 0.0,
        after: bool = False,
        times: int | None = 1,
        skip: int = 0,
        cut: bool = False,
        channel: str = "",
    ) -> SlackFault:
        """Answer calls with this status instead.

        `status` 0 leaves the answer as it is, for a mere delay or cut. `delay` is in seconds.
        `times` None is forever; the first `skip` matching calls are let through. A `body` of text
        is sent as HTML. `channel` is the id of the only channel that it applies to.
        """
        pattern = re.compile(method)
        order = SlackFault(pattern, status, body, headers or {}, delay, after, times, skip, cut)
        order.channel = channel
        self.orders.append(order)
        return order

    def clear(self) -> None:
        """Everything works again."""
        self.orders.clear()
        self.is_away = False

    def take(self, method: str, arguments: Mapping[str, Any]) -> SlackFault | None:
        """The order that applies to this call; counts as one use."""
        for order in self.orders:
            if not order.fits(method, arguments):
                continue
            if order.skip:
                order.skip -= 1
                continue
            if order.times is not None:
                order.times -= 1
                if order.times <= 0:
                    self.orders.remove(order)
            return order
        return None
