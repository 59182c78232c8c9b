"""How long things are kept, and which caches go first. Pure; times are seconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.values import Value

DAY = 86_400.0
REMEMBERED_LONGER_DAYS = 30
"""For so long after its run is forgotten a request is still known as one that was heard."""

_CLEANING_HOUR = 3

T = TypeVar("T")


class Retention(Value):
    """What the operator decided: history in days after a run's end, caches in days after their last
    use, and all caches of a machine together in bytes."""

    history_days: int = 90
    cache_days: int = 30
    cache_bytes: int = 50 << 30

    def forgotten_before(self, now: float) -> float:
        """Runs that ended before then are forgotten."""
        return now - self.history_days * DAY

    def unknown_before(self, now: float) -> float:
        """Of what was asked before then nobody knows any more whether it was heard."""
        return now - (self.history_days + REMEMBERED_LONGER_DAYS) * DAY

    def unused_before(self, now: float) -> float:
        """Caches that were last used before then go."""
        return now - self.cache_days * DAY


@dataclass(frozen=True)
class Cached(Generic[T]):
    """One cache that may go: when it was last used, and its size in bytes."""

    what: T
    used: float
    size: int


def to_drop(caches: Iterable[Cached[T]], retention: Retention, now: float) -> list[Cached[T]]:
    """What goes: whatever was not used for long, then the least recently used until all fit."""
    newest_first = sorted(caches, key=lambda each: each.used, reverse=True)
    dropped, together = [], 0
    for each in newest_first:
        fits = together + each.size <= retention.cache_bytes
        if fits and each.used >= retention.unused_before(now):
            together += each.size
        else:
            dropped.append(each)
    return dropped


def is_due(last: float, now: float) -> bool:
    """Whether a night has begun since the last cleaning; one that was slept through counts."""
    night = (now // DAY) * DAY + _CLEANING_HOUR * 3600
    return last < (night if night <= now else night - DAY)
