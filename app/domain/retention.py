"""Retention of history and eviction of caches. Pure; times are seconds since 1970, UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.domain.values import Value

DAY = 86_400.0
REMEMBERED_LONGER_DAYS = 30
"""How long a request is still recognized as a duplicate after its run is deleted."""

_CLEANING_HOUR = 3

T = TypeVar("T")


class Retention(Value):
    """The operator's settings: days to keep history after a run's end, days to keep attestations
    (0 keeps all), days to keep caches after their last use, and the total size in bytes of a
    machine's caches."""

    history_days: int = 90
    attestation_days: int = 730
    cache_days: int = 30
    cache_bytes: int = 50 << 30

    def forgotten_before(self, now: float) -> float:
        """Runs that ended before this time are deleted."""
        return now - self.history_days * DAY

    def unknown_before(self, now: float) -> float:
        """Requests older than this can no longer be de-duplicated: their records may have been
        purged."""
        return now - (self.history_days + REMEMBERED_LONGER_DAYS) * DAY

    def unattested_before(self, now: float) -> float | None:
        """Attestations made before this time are deleted; None when all are kept."""
        return now - self.attestation_days * DAY if self.attestation_days else None

    def unused_before(self, now: float) -> float:
        """Caches last used before this time are deleted."""
        return now - self.cache_days * DAY


@dataclass(frozen=True)
class Cached(Generic[T]):
    """A cache that may be deleted: its last use, and its size in bytes."""

    what: T
    used: float
    size: int


def to_drop(caches: Iterable[Cached[T]], retention: Retention, now: float) -> list[Cached[T]]:
    """The caches to delete: expired ones, then the least recently used until the rest fits."""
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
    """Whether a night has begun since the last cleanup, also if the worker was down then."""
    night = (now // DAY) * DAY + _CLEANING_HOUR * 3600
    return last < (night if night <= now else night - DAY)
