"""What is kept for how long, and which caches go first."""

from __future__ import annotations

import pytest

from app.domain.retention import DAY, Cached, Retention, is_due, to_drop

NOW = 20_000 * DAY + 12 * 3600
"""Some day at noon."""


def _cache(name: str, days_ago: float, size: int) -> Cached[str]:
    return Cached(name, NOW - days_ago * DAY, size)


def _dropped(caches: list[Cached[str]], **kept: int) -> list[str]:
    return sorted(each.what for each in to_drop(caches, Retention(**kept), NOW))


def test_what_was_not_used_for_long_goes() -> None:
    caches = [_cache("old", 31, 1), _cache("young", 29, 1)]
    assert _dropped(caches, cache_days=30) == ["old"]


def test_the_least_recently_used_goes_until_the_rest_fits() -> None:
    caches = [_cache("a", 1, 40), _cache("b", 2, 40), _cache("c", 3, 40), _cache("d", 4, 10)]
    assert _dropped(caches, cache_bytes=100) == ["c"]
    assert _dropped(caches, cache_bytes=80) == ["c", "d"]
    assert _dropped(caches, cache_bytes=0) == ["a", "b", "c", "d"]


def test_what_is_too_large_by_itself_keeps_no_other_from_staying() -> None:
    caches = [_cache("huge", 1, 500), _cache("small", 2, 5)]
    assert _dropped(caches, cache_bytes=100) == ["huge"]


def test_a_request_is_known_longer_than_its_run() -> None:
    kept = Retention(history_days=10)
    assert kept.forgotten_before(NOW) - kept.unknown_before(NOW) == 30 * DAY


@pytest.mark.parametrize(
    ("hours_ago", "now_hour", "due"),
    [
        (8, 12, False),  # at four this morning
        (10, 12, True),  # at two, before the night's hour
        (1, 2, False),  # at one, and the hour has not come
        (24, 2, True),  # the machine slept through the last one
        (0, 3, False),
        (24 * 400, 0, True),
    ],
)
def test_a_night_is_cleaned_after_once(hours_ago: float, now_hour: int, due: bool) -> None:
    now = 20_000 * DAY + now_hour * 3600
    assert is_due(now - hours_ago * 3600, now) is due
