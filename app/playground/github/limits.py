"""Secondary rate limits, which no header shows, and conditional requests.

Outside contract: https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api and
https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from .accounts import ApiCaller
from .refusals import Refusal

MINUTE, HOUR = 60, 3600
CONTENT_A_MINUTE, CONTENT_AN_HOUR = 80, 500
"""GitHub's limits for content created by one account."""

_CONTENT = re.compile(r"/repos/[^/]+/[^/]+/(issues|pulls)(/|$)|/comments")
_WRITES = ("POST", "PATCH", "PUT")


@dataclass
class Limits:
    """Secondary limits, off until a number is set, and the response at the primary limit.

    Edits count as content too, as people have observed.
    """

    content_a_minute: int | None = None
    content_an_hour: int | None = None
    retry_after: int | None = MINUTE
    """Seconds that the refusal names; None: it names none."""
    primary_status: int = 403
    """403 or 429: GitHub uses both."""
    _made: dict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def as_on_github(self) -> None:
        """Use GitHub's own numbers."""
        self.content_a_minute, self.content_an_hour = CONTENT_A_MINUTE, CONTENT_AN_HOUR

    def check(self, actor: ApiCaller, method: str, path: str, now: float) -> None:
        """Count requests that create content. Refuses with 403 above the limit."""
        if method not in _WRITES or not _CONTENT.match(path):
            return
        made = self._made[_owner(actor)]
        while made and made[0] <= now - HOUR:
            made.popleft()
        for limit, seconds in ((self.content_a_minute, MINUTE), (self.content_an_hour, HOUR)):
            if limit is not None and sum(when > now - seconds for when in made) >= limit:
                raise self._refusal()
        made.append(now)

    def _refusal(self) -> Refusal:
        refusal = Refusal(
            403,
            "You have exceeded a secondary rate limit and have been temporarily blocked from "
            "content creation. Please retry your request again later.",
        )
        if self.retry_after is not None:
            refusal.headers["Retry-After"] = str(self.retry_after)
        return refusal


def _owner(actor: ApiCaller) -> str:
    token = actor.token
    if token is not None and token.installation is not None:
        return f"installation {token.installation.id}"
    return actor.name


def tag(actor: ApiCaller, body: Any) -> str:
    """The ETag of a response body; it differs for every token."""
    text = actor.token.text if actor.token else actor.name
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f'W/"{hashlib.sha256(text.encode() + content).hexdigest()}"'


def is_known(wanted: str, tag: str) -> bool:
    """Whether If-None-Match names this tag; a weak one and a strong one are the same."""
    names = {one.strip().removeprefix("W/") for one in wanted.split(",")}
    return tag.removeprefix("W/") in names or "*" in names
