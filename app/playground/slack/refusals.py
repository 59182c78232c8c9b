"""Slack's refusals: HTTP 200 with `ok: false`, except a rate limit, which is a 429."""

from __future__ import annotations

from typing import Any


class SlackRefusal(Exception):  # noqa: N818 - it is an answer, not an error in Honk
    """Ends a call with Slack's error code; `more` are further fields of the answer."""

    def __init__(self, error: str, **more: Any) -> None:
        super().__init__(error)
        self.error = error
        self.status = 200
        self.headers: dict[str, str] = {}
        self._more = more

    def body(self) -> dict[str, Any]:
        """The JSON answer."""
        return {"ok": False, "error": self.error} | self._more


class RateLimitedRefusal(SlackRefusal):
    """429, with the seconds to wait in `Retry-After`."""

    def __init__(self, seconds: int) -> None:
        super().__init__("ratelimited")
        self.status = 429
        self.headers = {"Retry-After": str(seconds)}


def invalid_arguments(*messages: str) -> SlackRefusal:
    """A missing or malformed argument."""
    found = [f"[ERROR] {each}" for each in messages]
    return SlackRefusal("invalid_arguments", response_metadata={"messages": found})


def invalid_blocks(*messages: str) -> SlackRefusal:
    """Blocks that Slack does not show; each message names the place by JSON pointer."""
    found = [f"[ERROR] {each}" for each in messages]
    return SlackRefusal(
        "invalid_blocks", errors=list(messages), response_metadata={"messages": found}
    )
